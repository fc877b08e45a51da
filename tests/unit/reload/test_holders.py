"""What is held without being imported: the module registry has to go with the modules that enter something there."""

from __future__ import annotations

import pytest

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
