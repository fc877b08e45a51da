"""A reload in place: all or nothing, and two generations beside each other."""

from __future__ import annotations

import builtins
import contextlib
import functools
import gc
import importlib
import sys
import weakref
from types import ModuleType

import pytest

from tests.support.modules import Project

VALUE = "value = {}\ndef get(): return value\n"


def test_nothing_changed(project: Project) -> None:
    project.write(a="import b", b="")
    project.load("a")
    assert project.code.begin().modules == ()


def test_only_what_changed_and_what_depends_on_it(project: Project) -> None:
    project.write(a="from b import get", b=VALUE.format(1), c="")
    a, c = project.load("a"), project.load("c")
    project.write(b=VALUE.format(2))
    swap = project.code.begin()
    assert swap.modules == ("a", "b")
    swap.load(lambda: None)
    swap.commit()
    assert sys.modules["a"].get() == 2
    assert a.get() == 1
    assert sys.modules["c"] is c


def test_before_the_commit_only_the_new_code_sees_the_new(project: Project) -> None:
    project.write(a="def get():\n    import b\n    return b.value", b="value = 1")
    old = project.load("a")
    assert old.get() == 1
    project.write(b="value = 2")
    swap = project.code.begin()
    new, seen = swap.load(lambda: (project.load("a"), sys.modules["b"].value))
    assert (old.get(), new.get(), seen) == (1, 2, 2)
    assert sys.modules["a"] is old
    assert importlib.import_module("b").value == 1
    swap.commit()
    assert (old.get(), new.get()) == (1, 2)
    assert sys.modules["a"] is new
    swap.retire()
    assert (old.get(), new.get()) == (2, 2)


def test_what_the_old_code_imports_before_the_new_is_loaded_is_not_the_news(project: Project) -> None:
    text = "value = {}\ndef get():\n    import late\n    return late.value\n"
    project.write(a=text.format(1), late="import a\nvalue = a.value")
    old = project.load("a")
    swap = project.begin(a=text.format(2))
    assert old.get() == 1
    assert swap.load(lambda: sys.modules["a"].get()) == 2
    swap.commit()
    assert (old.get(), sys.modules["a"].get()) == (1, 2)


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("value = (", SyntaxError),
        ("1 / 0", ZeroDivisionError),
        ("import missing", ModuleNotFoundError),
        ("exit()", SystemExit),
    ],
)
def test_a_failure_changes_nothing(project: Project, text: str, error: type[BaseException]) -> None:
    project.write(shop____init__="", shop__a="from shop import b", shop__b="value = 1", shop__new="")
    a = project.load("shop.a")
    before, attributes = dict(sys.modules), dict(vars(sys.modules["shop"]))
    project.write(shop__b=f"import shop.new\n{text}")
    swap = project.code.begin()
    with pytest.raises(error):
        swap.load(lambda: None)
    assert sys.modules == before
    assert type(sys.modules) is dict
    assert vars(sys.modules["shop"]) == attributes
    assert a.b.value == 1
    assert builtins.__import__.__name__ == "__import__"


def test_what_build_raises_is_a_failure_too(project: Project) -> None:
    project.write(a="value = 1")
    a = project.load("a")
    project.write(a="value = 2")
    with pytest.raises(ZeroDivisionError):
        project.code.begin().load(lambda: 1 // 0)
    assert sys.modules["a"] is a
    assert project.swap(a="value = 3").modules == ("a",)


def test_state_is_handed_over(project: Project) -> None:
    handover = "count = 0\ndef __code_change__(old):\n    global count\n    count = old.count + 1\n"
    project.write(a=handover, b="from a import __code_change__")
    project.load("b")
    for _ in range(3):
        project.swap(a=handover + "# again\n", b="from a import __code_change__").retire()
        handover += "# again\n"
    assert sys.modules["a"].count == 3


def test_old_modules_are_freed(project: Project) -> None:
    project.write(shop____init__="", shop__a="from shop import b", shop__b="value = 0")
    project.load("shop.a")
    alive: list[weakref.ref[ModuleType]] = []
    sizes = set()
    for value in range(50):
        alive += [weakref.ref(module) for name, module in sys.modules.items() if name.startswith("shop")]
        swap = project.swap(shop__b=f"value = {value + 1}")
        swap.retire()
        del swap
        sizes.add((len(sys.modules), len(vars(sys.modules["shop"]))))
    gc.collect()
    assert not [each() for each in alive if each() is not None]
    assert len(sizes) == 1


@pytest.mark.parametrize("more", ["value = 2", "1 / 0"], ids=["in what is made of it", "in a module"])
def test_a_failed_generation_is_freed_too(project: Project, monkeypatch: pytest.MonkeyPatch, more: str) -> None:
    library = ModuleType("library")
    seen: list[weakref.ref[object]] = []
    vars(library).update(remember=functools.lru_cache(8)(id), see=lambda view: seen.append(weakref.ref(view)))
    monkeypatch.setitem(sys.modules, "library", library)
    text = "import library\ndef view(): pass\nlibrary.remember(view)\nlibrary.see(view)\n"
    project.write(a=text)
    project.load("a")
    project.write(a=f"{text}{more}")
    with contextlib.suppress(ZeroDivisionError):
        project.code.begin().load(lambda: 1 // 0)
    gc.collect()
    assert [view() is None for view in seen] == [False, True]
