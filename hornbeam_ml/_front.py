"""What each process keeps of the cache: results that it has seen, ready to be given away.

What is given away is the caller's own: values that can be changed are copied. An entry stays for ``FRESH`` seconds at
most, then the cache is asked again, where it counts as used. When the cache's mark is another one than it was, which is
looked at each time, a value was replaced or cleared by some process, and nothing is kept.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from datetime import datetime
from typing import Any, Final, NamedTuple

from cachetools import LRUCache

from hornbeamd.node import Cache, unpack

SIZE: Final = 8 * 1024 * 1024
"""In bytes of packed values."""

FRESH: Final = 10.0
"""In seconds."""

MISSING: Final = object()
"""Stands for no result; None is one."""

_OVERHEAD: Final = 500
_IMMUTABLE = frozenset({type(None), bool, int, float, str, bytes, datetime})


class _Copy(NamedTuple):
    give: Callable[[], Any]
    """Makes one for a caller."""
    until: float
    size: int


class Front:
    """The layer in front of *cache*. Its methods may be called from any thread."""

    def __init__(self, cache: Cache) -> None:
        self.cache = cache
        self._copies: LRUCache[bytes, _Copy] = LRUCache(SIZE, lambda copy: copy.size)
        self._mark = cache.mark
        self._lock = threading.Lock()

    def get(self, key: bytes) -> Any:
        """The result of *key*, or MISSING."""
        mark = self.cache.mark
        with self._lock:
            if mark != self._mark:
                self._copies.clear()
                self._mark = mark
            copy = self._copies.get(key)
        if copy is None or copy.until <= time.monotonic():
            copy = self._look(key, mark)
        return MISSING if copy is None else copy.give()

    def _look(self, key: bytes, mark: int) -> _Copy | None:
        found = self.cache.get(key)
        if found is None:
            return None
        try:
            give = giver(found.value)
        except (ValueError, ImportError):  # an array, where there is no numpy
            return None
        until = min(found.expires, time.monotonic() + FRESH)
        copy = _Copy(give, until, len(found.value) + _OVERHEAD)
        with self._lock:
            if mark == self._mark and copy.size <= SIZE // 8:
                self._copies[key] = copy
        return copy


def giver(packed: bytes) -> Callable[[], Any]:
    """A function that gives the value each time, in the cheapest way in which it is not shared."""
    value = unpack(packed)
    kind = type(value)
    if kind in _IMMUTABLE:
        return lambda: value
    if kind in (tuple, frozenset) and _IMMUTABLE.issuperset(map(type, value)):
        return lambda: value
    if kind in (list, set) and _IMMUTABLE.issuperset(map(type, value)):
        return value.copy  # type: ignore[no-any-return]
    if kind is dict and _IMMUTABLE.issuperset(map(type, value.values())):
        return value.copy  # type: ignore[no-any-return]
    numpy = sys.modules.get("numpy")
    if numpy is not None and kind is numpy.ndarray:
        return value.copy  # type: ignore[no-any-return]
    return lambda: unpack(packed)
