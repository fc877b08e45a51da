"""What is held without being imported: the module registry has to go with the modules that enter something there."""

from __future__ import annotations

import sys

import pytest

from hornbeamd.reload import holders
from tests.support.modules import Project

ENTER = "import registry\nclass Thing: pass\ndef handle(): pass\n"


@pytest.mark.parametrize(
    ("registry", "enter"),
    [
        ("table = {}", "registry.table['x'] = handle"),
        ("table = []", "registry.table.append((1, [Thing()]))"),
        ("class Table:\n    entries = {}", "registry.Table.entries[1] = Thing"),
        ("import types\ntable = types.SimpleNamespace(entries=[])", "registry.table.entries.append(handle)"),
        ("def on(function): on.all = function", "registry.on(handle)"),
        ("table = []", "import functools; registry.table.append(functools.partial(handle))"),
        ("table = []", "registry.table.append(lambda: 1)"),
        ("import functools\n@functools.singledispatch\ndef show(x): pass", "registry.show.register(Thing, handle)"),
        ("class Base:\n    def __init_subclass__(cls): pass", "class Below(registry.Base): pass"),
        ("class Meta(type): pass\nclass Base(metaclass=Meta): pass", "class Below(registry.Base): pass"),
        (
            "Base = type('Made', (), {'__init_subclass__': classmethod(lambda cls: None), '__module__': 'lib'})",
            "class Below(registry.Base): pass",
        ),
    ],
)
def test_a_registry_goes_with_what_is_entered(project: Project, registry: str, enter: str) -> None:
    project.write(registry=registry, user="import registry", plugin=f"{ENTER}{enter}", main="import plugin, user")
    project.load("main")
    project.write(plugin=f"{ENTER}{enter}\n# changed")
    assert set(project.code.begin().modules) == {"main", "user", "registry", "plugin"}


def test_a_registry_goes_with_what_has_two_names(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    project.write(registry="table = []", helper="", plugin=f"import helper\n{ENTER}registry.table.append(handle)")
    monkeypatch.setitem(sys.modules, "alias", project.load("plugin"))
    project.code.settle()
    assert set(project.begin(helper="value = 1").modules) == {"registry", "helper", "plugin"}


@pytest.mark.parametrize(
    ("other", "use"),
    [
        ("class Base: pass", "class Below(other.Base): pass"),
        ("import abc\nclass Base(abc.ABC): pass", "class Below(other.Base): pass"),
        ("import enum\nclass Base(enum.Enum): pass", "class Below(other.Base): pass"),
        ("import weakref\ntable = weakref.WeakSet()", "other.table.add(handle)"),
        ("def function(): pass", "function = other.function"),
        ("import asyncio\nloop = asyncio.new_event_loop()\nloop.close()", "other.loop.things = [handle]"),
    ],
)
def test_what_is_used_stays(project: Project, other: str, use: str) -> None:
    text = f"import other\ndef handle(): pass\n{use}"
    project.write(other=other, plugin=text)
    project.load("plugin")
    project.write(plugin=f"{text}\n# changed")
    assert project.code.begin().modules == ("plugin",)


def test_proxies_are_not_asked_what_they_stand_for(project: Project) -> None:
    proxy = """
        class Proxy:
            @property
            def __class__(self): raise RuntimeError("outside of a request")
            def __getattr__(self, name): raise RuntimeError("outside of a request")
        proxy = Proxy()
        table = [proxy]
    """
    project.write(proxies=proxy, plugin="value = 1")
    project.load("proxies")
    project.load("plugin")
    assert project.swap(plugin="value = 2").modules == ("plugin",)


STATE = "connections = []"
CLIENTS = "import state\nclass Client: pass\ndef connect(): state.connections.append([Client(), connect])"


def test_what_gets_into_a_registry_later_is_state(project: Project) -> None:
    project.write(state=STATE, clients=CLIENTS, main="import clients")
    project.load("main")
    project.code.settle()
    for number in range(3):
        sys.modules["clients"].connect()
        swap = project.begin(clients=f"{CLIENTS}\n# {number}")
        assert swap.modules == ("main", "clients")
        swap.load(lambda: None)
        sys.modules["clients"].connect()  # the old code serves meanwhile
        project.code.settle(swap)
        swap.commit()
    assert len(sys.modules["state"].connections) == 6


def test_what_new_code_enters_is_found_beside_what_the_old_had_left(project: Project) -> None:
    text = "import registry\nclass Thing: pass\n"
    project.write(registry="table = []", plugin=text)
    project.load("plugin")
    project.code.settle()
    sys.modules["registry"].table.append(sys.modules["plugin"].Thing())
    swap = project.begin(plugin=f"{text}registry.table.append(Thing)")
    assert swap.modules == ("plugin",)
    swap.load(lambda: None)
    project.code.settle(swap)
    swap.commit()
    assert set(project.begin(plugin=text).modules) == {"registry", "plugin"}


def test_what_is_imported_late_is_looked_through_then(project: Project) -> None:
    text = "import registry\ndef handle(): pass\nregistry.table.append(handle)"
    project.write(registry="table = []", plugin=text)
    project.load("registry")
    project.code.settle()
    project.load("plugin")
    assert set(project.begin(plugin=f"{text}\n#").modules) == {"registry", "plugin"}


def test_a_large_table_is_looked_through_up_to_a_limit(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(holders, "_LIMIT", 100)
    plugin = "import data, registry\ndef handle(): pass\nregistry.table.append(handle)\ndata.rows[0] = handle"
    project.write(data="rows = [[] for _ in range(1000)]", registry="table = []", plugin=plugin)
    project.load("plugin")
    assert set(project.begin(plugin=f"{plugin}\n#").modules) == {"registry", "plugin"}
