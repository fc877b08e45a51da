"""Caches of libraries let go of code that is gone."""

import functools
import gc
import typing
import weakref
from dataclasses import dataclass
from types import ModuleType, SimpleNamespace

from hornbeamd.reload import caches

OLD = """
class Thing:
    pass

def view():
    return lambda: None
"""


def forget(gone, staying):
    """All of it; gives in how many steps."""
    return sum(1 for _ in caches.forget(gone, staying))


def module(name, text=OLD):
    made = ModuleType(name)
    exec(text, vars(made))
    return made


def library(**caches):
    made = ModuleType("library")
    vars(made).update(caches)
    return made


@dataclass(frozen=True)
class Identity:
    """An argument that holds what was meant, as FastAPI has it."""

    call: object


def describe(*arguments):
    return repr(arguments)


def cached(*arguments, bound=8):
    cache = functools.lru_cache(bound)(describe)
    cache(*arguments)
    return cache


def test_caches_that_hold_functions_or_classes_that_are_gone():
    old = module("old")
    held = library(
        by_function=cached(old.view),
        by_class=cached(old.Thing),
        by_what_a_function_made=cached(old.view()),
        by_an_object=cached(1, Identity(old.view)),
        by_what_is_in_a_tuple=cached((old.Thing, int)),
    )
    forget([old], [held])
    assert [cache.cache_info().currsize for name, cache in vars(held).items() if name.startswith("by")] == [0] * 5


def test_a_result_that_is_gone():
    old = module("old")

    @functools.lru_cache(8)
    def found(name):
        return getattr(old, name)

    found("view")
    forget([old], [library(found=found)])
    assert found.cache_info().currsize == 0


class Proxy:
    @property
    def __class__(self):
        raise RuntimeError("outside of a request")


def test_what_is_kept():
    old, new = module("old"), module("new")
    kept = library(
        of_others=cached(new.view, new.Thing),
        of_names=cached("view", 1, None),
        of_proxies=cached(Proxy()),
        unbounded=cached(old.Thing, bound=None),
    )
    forget([old], [kept, old])
    assert [cache.cache_info().currsize for name, cache in vars(kept).items() if not name.startswith("__")] == [1] * 4


def test_what_entries_share_is_looked_at_once(monkeypatch):
    looked = []

    def get_referents(*objects):
        looked.extend(map(id, objects))
        return gc.get_referents(*objects)

    cache = cached(shared := Proxy(), 0, bound=100)
    for number in range(1, 100):
        cache(shared, number)
    monkeypatch.setattr(caches, "gc", SimpleNamespace(get_referents=get_referents))
    forget([module("old")], [library(cache=cache)])
    assert cache.cache_info().currsize == 100
    assert looked.count(id(shared)) == 1
    assert len(looked) == len(set(looked))


def test_a_cache_that_is_too_large_to_be_looked_through_stays(monkeypatch):
    monkeypatch.setattr(caches, "_MOST", 10)
    monkeypatch.setattr(caches, "_MOST_ENTRIES", 1)
    old = module("old")
    wide = cached(*range(1000, 1100), Identity(old.view))
    full = cached(old.view)
    full(old.Thing)
    forget([old], [library(wide=wide, full=full)])
    assert (wide.cache_info().currsize, full.cache_info().currsize) == (1, 2)


def test_a_large_cache_is_looked_through_in_small_steps():
    cache = functools.lru_cache(10_000)(lambda number: [number])
    for number in range(10_000):
        cache(number)
    assert forget([module("old")], [library(cache=cache)]) > 20
    assert cache.cache_info().currsize == 10_000


def test_what_typing_keeps():
    old = module(
        "old",
        f"{OLD}\nfrom typing import Generic, List, Optional, TypeVar\nT = TypeVar('T')\n"
        "class Some(Generic[T]): pass\nall = Optional[list[Thing]], List[Thing], Some[int]\n",
    )
    kept = weakref.ref(old.Some), weakref.ref(old.Thing)
    forget([old], [])
    del old
    gc.collect()
    assert [each() for each in kept] == [None, None]


def test_weak_dictionaries_lose_what_has_a_key_that_is_gone():
    old, new = module("old"), module("new")
    weak = weakref.WeakValueDictionary({(old.Thing, int): new.view, (list[old.Thing],): new.view, "view": new.view})
    weak[old.Thing], weak[new.Thing] = new.view, new.view
    forget([old], [library(weak=weak)])
    assert set(weak) == {"view", new.Thing}


def test_a_typing_that_keeps_nothing(monkeypatch):
    monkeypatch.delattr(typing, "_cleanups")
    old = module("old")
    cache = cached(old.Thing)
    forget([old], [library(cache=cache)])
    assert cache.cache_info().currsize == 0
