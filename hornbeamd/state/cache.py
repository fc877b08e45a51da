"""Results that somebody may want again: what a cache can do, and the one for programs outside the server."""

from __future__ import annotations

import os
import threading
import time
import weakref
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from cachetools import LRUCache

from hornbeamd.state.tally import Tally

HITS, MISSES, EVICTIONS = range(3)
"""The cells of a cache's tally."""


class Found(NamedTuple):
    """A value that was in the cache."""

    value: bytes
    expires: float
    """When it ends, as ``time.monotonic()`` counts, which is one clock for all processes; infinite without a ttl."""


@dataclass(frozen=True, slots=True)
class CacheStats:
    """The figures of a cache. Those of a shared one are of all processes, as of this moment."""

    hits: int
    misses: int
    entries: int
    size: int
    """In bytes, all of what the entries need."""
    max_size: int
    evictions: int
    """Entries that made room for others."""


class Cache(Protocol):
    """Packed values by key. Every method is atomic, and may be called from any thread.

    Whatever is in it may be gone the next time: the least recently used make room for others. Nothing raises for want
    of room or of a working engine: what cannot be kept is not kept. Keys have at most 256 bytes.
    """

    def get(self, key: bytes) -> Found | None:
        """The value of *key*, unless it has none or its time is over."""

    def put(self, key: bytes, value: bytes, ttl: float | None = None) -> None:
        """Keep *value*, for *ttl* seconds if given."""

    def clear(self, prefix: bytes = b"") -> int:
        """Forget all keys that begin with *prefix*; how many there were."""

    def count(self, hit: bool) -> None:
        """Count one question that the cache answered, or did not. ``get`` does not: who keeps copies asks it less."""

    @property
    def mark(self) -> int:
        """A number that is another one after any value was replaced or cleared: copies of all values are then old."""

    def stats(self) -> CacheStats:
        """The figures."""

    def close(self) -> None:
        """Let go of it."""


class LocalCache:
    """A cache of this process, of at most *size* bytes."""

    def __init__(self, size: int) -> None:
        self._entries = _Entries(size)
        self._lock = threading.Lock()
        self._tally = Tally()
        _caches.add(self)

    def get(self, key: bytes) -> Found | None:
        with self._lock:
            found = self._entries.get(key)
            if found is None or found.expires > time.monotonic():
                return found
            del self._entries[key]
            return None

    def put(self, key: bytes, value: bytes, ttl: float | None = None) -> None:
        found = Found(value, ends(ttl))
        with self._lock:
            old = self._entries.pop(key, None)
            if _Entries.size(found) <= self._entries.maxsize:
                self._entries[key] = found
        if old is not None and old.value != value:
            self._tally.change()

    def clear(self, prefix: bytes = b"") -> int:
        with self._lock:
            keys = [key for key in self._entries if key.startswith(prefix)]
            for key in keys:
                del self._entries[key]
        self._tally.change()
        return len(keys)

    def count(self, hit: bool) -> None:
        self._tally.add(HITS if hit else MISSES)

    @property
    def mark(self) -> int:
        return self._tally.mark

    def stats(self) -> CacheStats:
        with self._lock:
            return CacheStats(
                hits=self._tally.total(HITS),
                misses=self._tally.total(MISSES),
                entries=len(self._entries),
                size=int(self._entries.currsize),
                max_size=int(self._entries.maxsize),
                evictions=self._entries.evictions,
            )

    def close(self) -> None:
        self.clear()

    def forked(self) -> None:
        """Let go of the lock, which a thread of the parent may have held."""
        self._lock = threading.Lock()


class _Entries(LRUCache[bytes, Found]):
    """Counts what makes room."""

    def __init__(self, size: int) -> None:
        super().__init__(size, self.size)
        self.evictions = 0

    @staticmethod
    def size(found: Found) -> int:
        """In bytes; an entry costs about 300 next to its value."""
        return len(found.value) + 300

    def popitem(self) -> tuple[bytes, Found]:
        self.evictions += 1
        return super().popitem()


_caches: weakref.WeakSet[LocalCache] = weakref.WeakSet()


def _forked() -> None:
    for cache in _caches:
        cache.forked()


os.register_at_fork(after_in_child=_forked)


def ends(ttl: float | None) -> float:
    """When a *ttl* that begins now is over. Raises ValueError unless it is more than 0."""
    if ttl is None:
        return float("inf")
    if not ttl > 0:
        raise ValueError(f"a ttl of {ttl!r} seconds; it must be more than 0")
    return time.monotonic() + ttl
