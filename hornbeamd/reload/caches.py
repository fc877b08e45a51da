"""Caches that remember functions and classes of code that is gone, and with them all of that code.

Libraries keep what they have found out about an application's functions in ``functools.lru_cache``: FastAPI 4096 times,
which is hundreds of reloads. What such a cache holds it may lose at any time, if it has a bound; one without may be the
place where something is kept, and stays.
"""

from __future__ import annotations

import functools
import gc
import types
from collections.abc import Iterable
from itertools import chain
from typing import Any

from hornbeamd.reload.view import namespace

_Cache: Any = type(functools.lru_cache(lambda: None))

# A key is a tuple of arguments, and an argument may be an object that holds a function.
_DEPTH = 4
# So many objects are looked at for one cache, since the event loop waits meanwhile; 4096 entries of FastAPI are 17,000.
_MOST = 100_000
# Beyond these lies everything.
_ENDS = (type, types.FunctionType, types.ModuleType, str, bytes, int, float, types.NoneType)


def forget(gone: Iterable[Any], staying: Iterable[Any]) -> None:
    """Empty the bounded caches in the modules *staying* that hold functions or classes of the modules *gone*."""
    spaces = [namespace(module) for module in gone]
    known = {id(space) for space in spaces}
    known |= {id(each) for space in spaces for each in list(space.values()) if isinstance(each, type)}
    for module in staying:
        for each in list(namespace(module).values()):
            if type(each) is _Cache and _is_bounded(each) and _leads_to(each, known):
                each.cache_clear()


def _is_bounded(cache: Any) -> bool:
    return cache.cache_parameters()["maxsize"] is not None


def _leads_to(cache: Any, known: set[int]) -> bool:
    """Whether the entries of *cache* hold a class that is *known*, by its id, or a function whose globals are."""
    holders: list[Any] = [cache]
    seen: set[int] = set()
    for _ in range(_DEPTH):
        following = []
        for each in chain.from_iterable(map(gc.get_referents, holders)):
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
