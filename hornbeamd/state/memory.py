"""The store of a program outside the server: a dict, one lock, and the same terms."""

from __future__ import annotations

import errno
import heapq
import os
import time
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from hornbeamd.state.changes import holds, summed
from hornbeamd.state.entries import end_after
from hornbeamd.state.keys import beginning, full_name, key_of
from hornbeamd.state.terms import pack, unpack
from hornbeamd.state.turns import Turn


class MemoryStore:
    """A Store (store.py) of this process alone. A forked child has a copy, and each goes its own way.

    ``clock`` gives seconds since the epoch.
    """

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._entries: dict[bytes, tuple[bytes, int]] = {}
        """By name: the packed value, and when it is over, in ms since the epoch; 0 for never."""
        self._ends: list[tuple[int, bytes]] = []
        """A heap of the ends that there are, and of some of entries that were replaced since."""
        self._turn = Turn()
        _stores.add(self)

    def get(self, key: Any, default: Any = None) -> Any:
        with self._turn.lock:
            packed = self._packed(full_name(key))
        return default if packed is None else unpack(packed)

    def set(self, key: Any, value: Any, ttl: float | None = None) -> None:
        name, new = full_name(key), self._entry(value, ttl)
        with self._changing():
            self._store(name, new)

    def delete(self, key: Any) -> None:
        name = full_name(key)
        with self._changing():
            self._entries.pop(name, None)

    def incr(self, key: Any, delta: int = 1) -> int:
        name = full_name(key)
        with self._changing():
            total = summed(self._packed(name), delta)
            self._replace(name, pack(total))
        return total

    def get_multi(self, keys: Iterable[Any]) -> dict[Any, Any]:
        names = {key: full_name(key) for key in keys}
        with self._turn.lock:
            found = {key: self._packed(name) for key, name in names.items()}
        return {key: None if packed is None else unpack(packed) for key, packed in found.items()}

    def set_multi(self, mapping: Mapping[Any, Any], ttl: float | None = None) -> None:
        new = {full_name(key): self._entry(value, ttl) for key, value in mapping.items()}
        with self._changing():
            for name, entry in new.items():
                self._store(name, entry)

    def keys(self, prefix: str | None = None) -> list[Any]:
        start = b"" if prefix is None else beginning(prefix)[0]
        with self._changing():
            self._expire()
            names = list(self._entries)
        return [key_of(name) for name in names if name.startswith(start)]

    def put_new(self, key: Any, value: Any, ttl: float | None = None) -> bool:
        name, new = full_name(key), self._entry(value, ttl)
        with self._changing():
            if self._packed(name) is not None:
                return False
            self._store(name, new)
            return True

    def compare_and_set(self, key: Any, old: Any, new: Any, ttl: float | None = None) -> bool:
        name, entry = full_name(key), self._entry(new, ttl)
        pack(old)
        with self._changing():
            if not holds(self._packed(name), old):
                return False
            self._store(name, entry)
            return True

    def update(self, key: Any, fun: Callable[[Any], Any], default: Any = None) -> Any:
        name = full_name(key)
        while True:
            with self._turn.lock:
                before = self._packed(name)
            value = fun(default if before is None else unpack(before))
            packed = pack(value)
            with self._changing():
                if self._packed(name) == before:
                    self._replace(name, packed)
                    return value

    def clear(self) -> None:
        with self._changing():
            self._entries.clear()
            self._ends.clear()

    def size(self) -> int:
        with self._changing():
            self._expire()
            return len(self._entries)

    def close(self) -> None:
        """There is nothing to let go of."""

    @contextmanager
    def _changing(self) -> Iterator[None]:
        with self._turn as first:
            if not first:
                why = "the state cannot be used: a finalizer was run while this very thread changes it"
                raise OSError(errno.EDEADLK, why)
            yield

    def _entry(self, value: Any, ttl: float | None) -> tuple[bytes, int]:
        return pack(value), end_after(ttl, self._clock())

    def _packed(self, name: bytes) -> bytes | None:
        packed, end = self._entries.get(name, (None, 0))
        return None if end and end <= self._clock() * 1000 else packed

    def _store(self, name: bytes, entry: tuple[bytes, int]) -> None:
        self._expire()
        self._entries[name] = entry
        if entry[1]:
            heapq.heappush(self._ends, (entry[1], name))

    def _replace(self, name: bytes, packed: bytes) -> None:
        """A new value in an entry that keeps its end."""
        self._expire()
        _, end = self._entries.get(name, (b"", 0))
        self._entries[name] = (packed, end)

    def _expire(self) -> None:
        now = self._clock() * 1000
        while self._ends and self._ends[0][0] <= now:
            end, name = heapq.heappop(self._ends)
            if self._entries.get(name, (b"", 0))[1] == end:
                del self._entries[name]

    def renew_lock(self) -> None:
        """For a forked child: no thread that might have held it is there."""
        self._turn = Turn()


_stores: weakref.WeakSet[MemoryStore] = weakref.WeakSet()


def _in_child() -> None:
    for store in list(_stores):
        store.renew_lock()


os.register_at_fork(after_in_child=_in_child)
