"""Caches that remember functions and classes of code that is gone, and with them all of that code.

Libraries keep what they have found out about an application's functions in ``functools.lru_cache``: FastAPI 4096 times,
which is hundreds of reloads. What such a cache holds it may lose at any time, if it has a bound; one without may be the
place where something is kept, and stays. :mod:`typing` remembers each ``Optional[Item]`` in the same way, and pydantic
each ``Page[Item]`` for as long as it is there, which it is for ever where the key leads to it.
"""

from __future__ import annotations

import functools
import gc
import types
import typing
from collections.abc import Generator, Iterable, Iterator
from itertools import chain
from typing import Any
from weakref import WeakValueDictionary

from hornbeamd.reload.view import namespace

_Cache: Any = type(functools.lru_cache(lambda: None))

# A key is a tuple of arguments, and an argument may be an object that holds a function.
_DEPTH = 4
# So many objects are looked at for one cache; 4096 entries of FastAPI are 17,000.
_MOST = 100_000
# What has more entries would not be looked through to the end, and only to list them takes milliseconds.
_MOST_ENTRIES = _MOST // 4
_AT_ONCE = 1000
# Beyond these lies everything.
_ENDS = (type, types.FunctionType, types.ModuleType, str, bytes, int, float, types.NoneType)


def forget(gone: Iterable[Any], staying: Iterable[Any]) -> Iterator[None]:
    """Empty the bounded caches in the modules *staying* that hold functions or classes of the modules *gone*.

    Those that are too large to be looked through stay; weak dictionaries lose what has such a key. The steps take about
    a millisecond: others may work between them.
    """
    # They are in closures. To fill them again takes less than to look through them.
    for clear in getattr(typing, "_cleanups", ()):
        clear()
    spaces = [namespace(module) for module in gone]
    known = {id(space) for space in spaces}
    known |= {id(each) for space in spaces for each in list(space.values()) if isinstance(each, type)}
    for module in staying:
        yield
        for each in list(namespace(module).values()):
            if type(each) is _Cache and _is_in_question(each) and (yield from _leads_to(each, known)):
                each.cache_clear()
            elif type(each) is WeakValueDictionary:
                for key in [reference.key for reference in each.valuerefs()]:
                    if (yield from _leads_to((key,), known)):
                        each.pop(key, None)


def _is_in_question(cache: Any) -> bool:
    return cache.cache_parameters()["maxsize"] is not None and cache.cache_info().currsize <= _MOST_ENTRIES


def _leads_to(holder: Any, known: set[int]) -> Generator[None, None, bool]:
    """Whether what is in *holder* leads to a class that is *known*, by its id, or to a function whose globals are."""
    holders = [holder]
    seen: set[int] = set()
    for _ in range(_DEPTH):
        following = []
        for count, each in enumerate(chain.from_iterable(map(gc.get_referents, holders))):
            if count % _AT_ONCE == 0:
                yield
            if id(each) in seen:  # what many entries share, say the object whose method is cached
                continue
            if len(seen) == _MOST:
                return False
            seen.add(id(each))
            if id(each.__globals__ if type(each) is types.FunctionType else each) in known:
                return True
            # Not isinstance(): it asks proxies what they stand for, and these may not be able to say.
            if not issubclass(type(each), _ENDS):
                following.append(each)
        holders = following
    return False
