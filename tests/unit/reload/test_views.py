"""Several generations in one process: who sees which modules."""

from __future__ import annotations

import builtins
import contextvars
import importlib
import os
import pickle
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

import pytest

from hornbeamd.errors import CannotSwap
from hornbeamd.reload.views import Views
from tests.support.modules import Project

READ = "def get():\n    import b\n    return b.value"


@contextmanager
def gate(name: str = "gate") -> Iterator[ModuleType]:
    """A module that is nobody's, at which others can be made to wait while they are loaded."""
    module = ModuleType(name)
    module.entered, module.opened = threading.Event(), threading.Event()  # type: ignore[attr-defined]
    sys.modules[name] = module
    try:
        yield module
    finally:
        del sys.modules[name]


def test_other_threads_see_nothing_of_what_is_being_loaded(project: Project) -> None:
    text = (
        "class Thing: pass\nthing = Thing()\nvalue = {}\ndef late():\n    from shop import late\n    return late.seen\n"
    )
    project.write(shop____init__="", shop__a=text.format(1), shop__late="from shop import a\nseen = a.value\n")
    old = project.load("shop.a")
    project.write(shop__a=text.format(2) + "import gate\ngate.entered.set()\nassert gate.opened.wait(30)\n")
    swap = project.code.begin()
    with gate() as waiting:
        loading = threading.Thread(target=swap.load, args=(lambda: None,))
        loading.start()
        assert waiting.entered.wait(30)
        assert importlib.import_module("shop.a") is old is sys.modules["shop.a"] is sys.modules["shop"].a
        assert type(pickle.loads(pickle.dumps(old.thing))) is old.Thing
        assert old.late() == 1  # which is loaded now for the first time
        assert sys.modules["shop.late"].a is old
        waiting.opened.set()
        loading.join()
    swap.commit()
    new = importlib.import_module("shop.a")
    assert (new.value, new.late(), old.late()) == (2, 2, 1)
    assert type(pickle.loads(pickle.dumps(new.thing))) is new.Thing
    swap.retire()
    assert old.late() == 2


def test_new_code_sees_its_own_modules_while_it_is_loaded(project: Project) -> None:
    text = "import dataclasses, sys, typing\nclass Part: pass\n@dataclasses.dataclass\nclass Whole:\n    part: 'Part'\n"
    check = "assert typing.get_type_hints(Whole)['part'] is Part\nassert sys.modules[__name__].Whole is Whole\n"
    project.write(a=text + check)
    project.load("a")
    swap = project.swap(a=text + check + "assert Whole.__init__.__globals__ is globals()\n")
    assert swap.modules == ("a",)


def test_a_package_and_its_module_that_import_each_other(project: Project) -> None:
    circle = "from shop import b\nimport shop.b as again\nvalue = {}\nassert b is again\n"
    project.write(shop____init__="from shop import a", shop__a=circle.format(1), shop__b="from shop import a as back")
    project.load("shop")
    project.swap(shop__a=circle.format(2))
    assert sys.modules["shop"].a.b.back.value == 2


def test_three_generations_end_in_any_order(project: Project) -> None:
    for order in ((0, 1, 2), (2, 1, 0), (1, 2, 0)):
        project.write(a=READ, b="value = 0")
        generations, swaps = [project.load("a")], []
        assert generations[0].get() == 0
        for value in (1, 2, 3):
            swaps.append(project.swap(b=f"value = {value}"))
            generations.append(importlib.import_module("a"))
        assert [each.get() for each in generations] == [0, 1, 2, 3]
        expected = [0, 1, 2, 3]
        for ended in order:
            swaps[ended].retire()
            expected[ended] = 3
            assert [each.get() for each in generations] == expected
        assert type(sys.modules) is dict
        project.swap(b="value = 0").retire()


def test_shared_modules_follow_the_context(project: Project) -> None:
    shared = "import importlib, sys\ndef get(name): return importlib.import_module(name).value, sys.modules[name].value"
    project.write(shared=shared, b="value = 1")
    module = project.load("shared")
    project.load("b")
    old = object()
    project.running = None
    project.code.current.mark = old
    project.write(b="value = 2")
    swap = project.code.begin()
    assert swap.modules == ("b",)
    inside: contextvars.Context = swap.load(contextvars.copy_context)
    assert inside.run(module.get, "b") == (2, 2)
    assert module.get("b") == (1, 1)
    swap.commit()
    assert module.get("b") == (2, 2)
    project.running = old
    assert module.get("b") == (1, 1)
    assert inside.run(module.get, "b") == (2, 2)
    swap.retire()
    assert module.get("b") == (2, 2)


def test_new_code_configures_logging_with_its_own_classes(project: Project) -> None:
    config = "import logging.config\nThing = logging.config.DictConfigurator({}).resolve('shop.log.Thing')\n"
    project.write(shop____init__="", shop__log="class Thing: value = 1\n", shop__a=config)
    assert project.load("shop.a").Thing.value == 1
    project.swap(shop__log="class Thing: value = 2\n")
    assert sys.modules["shop.a"].Thing.value == 2


def test_what_is_being_loaded_does_not_mix_with_the_old_by_pickle(project: Project) -> None:
    text = "class Thing: pass\n"
    project.write(a=text)
    old = project.load("a")
    swap = project.begin(a=text * 2)
    with pytest.raises(CannotSwap, match="a is asked for by C code"):
        swap.load(lambda: pickle.loads(b"ca\nThing\n."))
    assert pickle.loads(pickle.dumps(old.Thing)) is old.Thing
    project.swap()
    assert pickle.loads(b"ca\nThing\n.") is sys.modules["a"].Thing is not old.Thing


class Interrupted(str):
    """A name; before it is looked up for the second time something else is done, as by another thread."""

    def __new__(cls, name: str, then: Callable[[], object]) -> Interrupted:
        made = super().__new__(cls, name)
        made.then, made.looks = then, 0
        return made

    then: Callable[[], object]
    looks: int

    def __hash__(self) -> int:
        self.looks += 1
        if self.looks == 2:
            self.then()
        return super().__hash__()


def test_what_is_looked_up_while_generations_are_exchanged_is_of_the_one_that_asks(project: Project) -> None:
    project.write(shop____init__="", shop__b="value = 1")
    project.load("shop.b")
    swap = project.begin(shop__b="value = 2")
    swap.load(lambda: None)
    former, find = project.code.current, project.code._views.find
    assert find(former, Interrupted("shop.b", swap.commit)).value == 1
    assert importlib.import_module("shop.b").value == 2


def test_an_attribute_that_is_read_while_generations_are_exchanged_is_of_the_one_that_asks(project: Project) -> None:
    text = "import shop\nV = {}\ndef load():\n    import shop.late\ndef get(): return shop.late.value\n"
    project.write(a=text.format(1), shop____init__="", shop__late="import a\nvalue = a.V")
    old = project.load("a")
    swap = project.begin(a=text.format(2))
    swap.load(lambda: sys.modules["a"].load())
    old.load()
    attribute = vars(type(sys.modules["shop"]))["late"]
    attribute._name = name = Interrupted("late", swap.commit)
    hash(name)
    assert (old.get(), name.looks > 1) == (1, True)
    assert sys.modules["a"].get() == 2


def test_what_is_imported_while_generations_are_exchanged_is_of_the_one_that_asks(project: Project) -> None:
    project.write(shop____init__="", shop__a="def get():\n    from . import b\n    return b.value", shop__b="value = 1")
    old = project.load("shop.a")
    assert old.get() == 1
    swap = project.begin(shop__a="", shop__b="value = 2")
    swap.load(lambda: None)

    class Spec:
        @property
        def parent(self) -> str:  # which Python's own import runs; where code runs another thread may
            if project.code.current is not swap.view:
                swap.commit()
            return "shop"

    vars(old)["__spec__"] = Spec()
    assert old.get() == 1
    assert importlib.import_module("shop.b").value == 2


def seen_in_a_child() -> int:
    """What C code, Python code and a thread see of the module ``b`` in a child that is forked here, as a number."""
    seen: list[int] = []

    def look() -> None:
        seen.append(importlib.import_module("b").value)

    pid = os.fork()
    if not pid:
        try:
            look()
            seen.append(pickle.loads(b"cb\nvalue\n."))
            thread = threading.Thread(target=look)
            thread.start()
            thread.join()
        finally:
            os._exit(int("".join(map(str, seen)) or 0))
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_child_goes_on_with_the_generation_that_has_forked_it(project: Project) -> None:
    """Such as the processes of a ``multiprocessing.Pool``, which unpickle functions by their names."""
    hooks: list[Callable[[], None]] = []
    os.register_at_fork(after_in_child=lambda: [hook() for hook in hooks])
    hooks.append(project.code.forked)
    project.write(b="value = 1")
    project.load("b")
    project.code.current.mark = project.running = object()
    swap = project.begin(b="value = 2")
    inside: contextvars.Context = swap.load(contextvars.copy_context)
    assert (seen_in_a_child(), inside.run(seen_in_a_child)) == (111, 222)
    swap.commit()
    assert seen_in_a_child() == 111
    project.running = None
    assert seen_in_a_child() == 222
    swap.retire()
    hooks.clear()


LATE = {
    "from": "from shop import late\n    return late.value",
    "as": "import shop.late as late\n    return late.value",
    "attribute": "import shop.late\n    return shop.late.value",
    "relative": "from . import late\n    return late.value",
}


@pytest.mark.parametrize("way", LATE)
@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 0, 2)])
def test_each_has_a_module_of_its_own_in_a_package_that_all_share(
    project: Project, way: str, order: tuple[int, ...]
) -> None:
    project.write(shop____init__="", shop__late="from settings import value", shop__api=f"def get():\n    {LATE[way]}")
    project.write(settings="value = 0", main="import settings, shop.api")
    get = project.load("main").shop.api.get
    marks, swaps = [object(), object(), object()], []
    project.code.current.mark = marks[0]

    def told(generation: int) -> Any:
        project.running = marks[generation]
        return get()

    for number in (1, 2):
        project.write(settings=f"value = {number}")
        swaps.append(project.code.begin())
        assert swaps[-1].modules == ("main", "settings")
        swaps[-1].view.mark = marks[number]
        swaps[-1].load(lambda: None)
        swaps[-1].commit()
    for _ in range(20):  # as often as it takes for the interpreter to specialize the function
        assert [told(each) for each in order] == list(order)
    for swap in swaps:
        swap.retire()
    assert get() == 2
    shop: Any = sys.modules["shop"]
    assert (type(shop), shop.late) == (ModuleType, sys.modules["shop.late"])


def test_what_is_loaded_late_while_a_package_is_shared_comes_and_goes_with_its_generation(project: Project) -> None:
    project.write(
        shop____init__="", shop__late="from settings import value", settings="value = 1", main="import settings"
    )
    project.load("main")
    shop: Any = project.load("shop")
    project.write(settings="value = 2", main="import settings, shop.late")
    swap = project.code.begin()
    swap.load(lambda: None)
    assert not hasattr(shop, "late")
    with pytest.raises(AttributeError, match="module 'shop' has no attribute 'late'"):
        shop.late  # noqa: B018
    swap.commit()
    assert shop.late.value == 2
    del shop.late
    assert not hasattr(shop, "late")
    shop.late = sys.modules["shop.late"]
    swap.retire()
    assert shop.late.value == 2


def test_a_module_may_put_another_object_in_its_place(project: Project) -> None:
    lazy = "import sys\nclass Lazy:\n    value = {}\nsys.modules[__name__] = Lazy()\nsys.modules['by_hand'] = Lazy()\n"
    project.write(lazy=lazy.format(1), user="import lazy\nvalue = lazy.value")
    user = project.load("user")
    before = sys.modules["by_hand"]
    try:
        swap = project.swap(lazy=lazy.format(2))
        assert swap.modules == ("user", "lazy")
        assert (user.value, sys.modules["user"].value) == (1, 2)
        assert sys.modules["by_hand"].value == 2
        project.write(lazy=lazy.format(3) + "1 / 0")
        with pytest.raises(ZeroDivisionError):
            project.code.begin().load(lambda: None)
        assert sys.modules["by_hand"].value == sys.modules["lazy"].value == 2
        assert before.value == 1
    finally:
        del sys.modules["by_hand"]


def test_what_is_not_the_applications_is_loaded_for_all(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    project.put("env/site-packages/library.py", "value = 1")
    monkeypatch.syspath_prepend(project.folder / "env" / "site-packages")
    project.write(a="value = 1")
    project.load("a")
    project.write(a="import library\n1 / 0")
    with pytest.raises(ZeroDivisionError):
        project.code.begin().load(lambda: None)
    assert sys.modules["library"].value == 1


def test_an_import_that_somebody_has_wrapped_goes_on(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    names = []

    def wrap(inner: Callable[..., Any]) -> Callable[..., Any]:
        def outer(name: str, *rest: Any, **more: Any) -> Any:
            names.append(name)
            return inner(name, *rest, **more)

        return outer

    monkeypatch.setattr(builtins, "__import__", builtins.__import__)
    project.write(a=READ, b="value = 1")
    old = project.load("a")
    assert old.get() == 1
    swap = project.swap(b="value = 2")
    builtins.__import__ = wrap(builtins.__import__)
    swap.retire()
    assert old.get() == 2
    project.swap(b="value = 3")
    assert old.get() == 3
    assert names.count("b") >= 2


def test_one_view_comes_while_another_goes(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    project.write(a="value = 1")
    project.load("a")
    swap = project.swap(a="value = 2")
    project.write(a="value = 3")
    following = project.code.begin()
    loading = threading.Thread(target=following.load, args=(lambda: None,))
    uninstall = Views._uninstall

    def slowly(views: Views) -> None:
        loading.start()
        loading.join(0.1)
        uninstall(views)

    monkeypatch.setattr(Views, "_uninstall", slowly)
    swap.retire()
    monkeypatch.undo()
    loading.join()
    assert importlib.import_module("a").value == 2
    following.commit()
    assert importlib.import_module("a").value == 3
    following.retire()
    assert type(sys.modules) is dict
    assert builtins.__import__.__name__ == "__import__"


def test_the_mapping_is_one(project: Project) -> None:
    project.write(a="value = 1", b="value = 1")
    project.load("a")
    project.load("b")
    swap = project.swap(a="value = 2")
    modules = sys.modules
    assert type(modules) is not dict
    assert modules["a"].value == 2
    assert modules.copy() == dict(modules) == dict(modules.items())
    assert len(modules) == len(list(modules))
    assert modules.pop("b").value == 1
    assert "b" not in modules
    with pytest.raises(KeyError):
        del modules["b"]
    swap.retire()
    assert "b" not in sys.modules
    assert modules["a"] is sys.modules["a"]
