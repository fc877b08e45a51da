from __future__ import annotations

import pytest

from hornbeamd.reload.graph import Edges, affected, edges, references

KNOWN = ("main", "shop", "shop.views", "shop.views.items", "shop.models", "shop.urls")


@pytest.mark.parametrize(
    ("text", "holds", "passed"),
    [
        ("import shop.views.items", {"shop.views.items"}, {"shop", "shop.views"}),
        ("import shop.views.items as items", {"shop.views.items"}, {"shop", "shop.views"}),
        ("from shop.models import Item", {"shop.models"}, {"shop.models.Item"}),
        ("from shop import models", {"shop.models"}, {"shop"}),
        ("from . import models", {"shop.models"}, {"shop"}),
        ("from .. import models", {"shop.models"}, {"shop"}),
        ("from ..models import Item", {"shop.models"}, {"shop.models.Item"}),
        ("from .... import models", set(), set()),
        ("from shop import *", {"shop", "shop.views", "shop.models", "shop.urls"}, set()),
        ("def f():\n    import main", {"main"}, set()),
        ("import typing\nif typing.TYPE_CHECKING:\n    import main\nelse:\n    import shop", {"typing", "shop"}, set()),
        ("if TYPE_CHECKING:\n    from main import x", set(), set()),
        ("try:\n    import main\nexcept ImportError:\n    import other", {"main", "other"}, set()),
        ("importlib.import_module('main')", {"main"}, set()),
        ("import_module('..models', __package__)", {"shop.models"}, {"shop"}),
        ("__import__('main')", {"main"}, set()),
        ("import shop\nshop.models.Item()", {"shop", "shop.models"}, set()),
        ("import shop as s\ndef f(): return s.models.Item.name", {"shop", "shop.models"}, set()),
        ("import os.path\nos.path.join('a')", {"os.path"}, {"os"}),
        ("include('shop.urls')", {"shop.urls"}, set()),
        ("tasks = ['shop.models:Item', 'main', 'no such.name', 'shop..x']", {"shop.models"}, set()),
    ],
)
def test_what_a_text_depends_on(text: str, holds: set[str], passed: set[str]) -> None:
    level = "shop" if text.startswith("from . ") else "shop.views"
    assert edges(references(text, level, package=True), KNOWN) == Edges(frozenset(holds), frozenset(passed))


def test_a_module_is_relative_to_the_package_it_lies_in() -> None:
    assert references("from . import models", "shop.views", package=False).members == {("shop", "models")}


@pytest.mark.parametrize(
    ("text", "refuses"),
    [
        ("__hot_reload__ = False", True),
        ("__hot_reload__: bool = False", True),
        ("__hot_reload__ = True", False),
        ("x = __hot_reload__", False),
        ("def f():\n    __hot_reload__ = False", False),
    ],
)
def test_a_text_can_refuse(text: str, refuses: bool) -> None:
    assert references(text, "shop", package=False).refuses is refuses


def depend(**names: str) -> dict[str, Edges]:
    """``a="b (c)"``: a holds b, and goes through c."""
    found = {}
    for name, targets in names.items():
        words = targets.split()
        passed = frozenset(word.strip("()") for word in words if word.startswith("("))
        found[name.replace("__", ".")] = Edges(frozenset(words) - {f"({word})" for word in passed}, passed)
    return found


@pytest.mark.parametrize(
    ("changed", "hollow", "expected"),
    [
        ("a", "", "a b c"),
        ("c", "", "c"),
        ("missing", "", "missing d"),
        ("round_1", "", "round_1 round_2"),
        ("shop.a", "shop", "shop.a shop user_a"),
        ("shop.a", "", "shop.a shop user_a user_b"),
        ("shop", "shop", "shop user_a user_b"),
    ],
)
def test_what_follows_from_a_change(changed: str, hollow: str, expected: str) -> None:
    graph = depend(a="", b="a", c="b", d="missing", round_1="round_2", round_2="round_1")
    graph |= depend(shop="", shop__a="", shop__b="", user_a="shop.a (shop)", user_b="shop.b (shop)")
    assert affected([changed], graph, lambda name: name in hollow) == set(expected.split())
