"""The store that all processes of the server share: an LMDB environment in shared memory, or in a folder on disk.

There is one database in it, since each further one would cost every write a page. Names (keys.py) stand in it in their
order, with their entries (entries.py); after them the index of expiry: the end of each entry that has one, as eight
bytes, and its name.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final, TypeVar

import lmdb
from ormsgpack import packb, unpackb

from hornbeamd.state.changes import holds, summed
from hornbeamd.state.entries import MARK, end_after, end_of, entry, parts
from hornbeamd.state.environment import environment, failure, is_full, size_of_file_system
from hornbeamd.state.keys import AFTER_TEXT, LIMIT, TERM, beginning, full_name, key_of, shortened
from hornbeamd.state.terms import SHORT_INTEGERS, pack, unpack

T = TypeVar("T")

_INDEX: Final = b"x"
_TIME: Final = 8
_NAME: Final = len(_INDEX) + _TIME
"""Where the name begins in a key of the index."""

_AT_ONCE: Final = 1000
"""How many entries one transaction expires: others want to write, too."""

_RESERVE: Final = 1 << 20
"""How much larger, in bytes, the map is than what may be stored: to delete something, pages have to be written, too."""

_LARGE: Final = 2048
_SOME: Final = 16
"""Whether there is room is looked at for values of so many bytes, and by each so many-th transaction."""

_PATIENCE: Final = 5.0
"""How long, in seconds, a write waits for room that is about to be free."""


class SharedStore:
    """A Store (store.py) in ``path``, a folder that is made when it is missing, of ``max_size`` bytes at most.

    On a small file system it may have three quarters of that. ``clock`` gives seconds since the epoch.
    """

    def __init__(self, path: str, max_size: int, clock: Callable[[], float] = time.time) -> None:
        max_size = min(max_size, size_of_file_system(path) // 4 * 3)
        self.environment = environment(path, max_size + _RESERVE + max_size // 16)
        self._clock = clock
        self._most_pages = max_size // os.sysconf("SC_PAGE_SIZE")

    # --- reading ---

    def get(self, key: Any, default: Any = None) -> Any:
        try:
            name, _ = _name(key)
            with self.environment.begin() as transaction:
                stored = transaction.get(name)
        except lmdb.Error as error:
            raise failure(error) from error
        if stored is None:
            return default
        if stored[0] != MARK:
            return unpack(stored)
        packed = self._alive(stored)
        return default if packed is None else unpack(packed)

    def get_multi(self, keys: Iterable[Any]) -> dict[Any, Any]:
        names = {key: _name(key)[0] for key in keys}
        stored = self._read(lambda transaction: {key: transaction.get(name) for key, name in names.items()})
        found = {key: self._alive(entry) for key, entry in stored.items()}
        return {key: None if packed is None else unpack(packed) for key, packed in found.items()}

    def keys(self, prefix: str | None = None) -> list[Any]:
        if prefix is None:
            return self._read(lambda transaction: list(self._keys(transaction, TERM, b"")), buffers=True)
        whole, start = beginning(prefix)
        return self._read(lambda transaction: list(self._keys(transaction, start, whole)), buffers=True)

    def size(self) -> int:
        return self._read(self._size)

    def room(self) -> tuple[int, int]:
        """How many bytes are in use, and how many may be."""
        pages = self._read(lambda transaction: _pages(transaction.stat()))
        size = os.sysconf("SC_PAGE_SIZE")
        return pages * size, self._most_pages * size

    def room_to_come(self) -> bool:
        """Whether half of it is in no use any more, but is kept for somebody who reads, or for the next sync."""
        pages = _pages(self.environment.lmdb.stat())
        kept: int = self.environment.lmdb.info()["last_pgno"] - pages
        return pages < self._most_pages < 2 * kept

    def _read(self, work: Callable[[Any], T], buffers: bool = False) -> T:
        try:
            with self.environment.begin(buffers=buffers) as transaction:
                return work(transaction)
        except lmdb.Error as error:
            raise failure(error) from error

    def _alive(self, stored: bytes | None) -> bytes | None:
        """The packed value of an entry, unless it is over, or there is none."""
        if stored is None:
            return None
        packed, end, _ = parts(stored)
        return None if 0 < end <= self._now() else packed

    def _keys(self, transaction: Any, start: bytes, whole: bytes) -> Iterator[Any]:
        now = self._now()
        cursor = transaction.cursor()
        if not cursor.set_range(start):
            return
        for buffer, stored in cursor:
            name = bytes(buffer)
            if name >= AFTER_TEXT or (whole and not name.startswith(start)):
                return
            end = 0
            if stored[0] == MARK:
                _, end, shorter = parts(stored)
                name = shorter or name
            if not 0 < end <= now and name.startswith(whole):
                yield key_of(name)

    def _size(self, transaction: Any) -> int:
        ends, over, now = 0, 0, self._now()
        cursor = transaction.cursor()
        if cursor.set_range(_INDEX):
            for key in cursor.iternext(values=False):
                ends += 1
                over += _end(key) <= now
        return transaction.stat()["entries"] - ends - over  # type: ignore[no-any-return]

    # --- writing ---

    def set(self, key: Any, value: Any, ttl: float | None = None) -> None:
        self._write(self._put, *_name(key), pack(value), self._end(ttl))

    def delete(self, key: Any) -> None:
        self._write(_remove, _name(key)[0])

    def incr(self, key: Any, delta: int = 1) -> int:
        name = full_name(key)
        if len(name) < LIMIT and type(delta) is int and (total := self._count(name, delta)) is not None:
            return total
        return self._write(self._add, *_name(key), delta)

    def set_multi(self, mapping: Mapping[Any, Any], ttl: float | None = None) -> None:
        end = self._end(ttl)
        new = [(*_name(key), pack(value), end) for key, value in mapping.items()]
        self._write(self._put_all, new)

    def put_new(self, key: Any, value: Any, ttl: float | None = None) -> bool:
        return self._write(self._put_if, lambda packed: packed is None, *_name(key), pack(value), self._end(ttl))

    def compare_and_set(self, key: Any, old: Any, new: Any, ttl: float | None = None) -> bool:
        pack(old)
        return self._write(self._put_if, lambda packed: holds(packed, old), *_name(key), pack(new), self._end(ttl))

    def update(self, key: Any, fun: Callable[[Any], Any], default: Any = None) -> Any:
        name, whole = _name(key)
        while True:
            before = self._alive(self._read(lambda transaction: transaction.get(name)))
            value = fun(default if before is None else unpack(before))
            if self._write(self._exchange, name, whole, before, pack(value)):
                return value

    def clear(self) -> None:
        self._write(self._drop)

    def close(self) -> None:
        self.environment.release()

    def expire(self, limit: int = _AT_ONCE) -> int:
        """Remove at most *limit* entries whose time is over; how many there were."""
        return self._write(self._expire, limit)

    def _write(self, work: Callable[..., T], *arguments: Any) -> T:
        """Do *work* in a transaction; when there is no room, again when those that are over are gone."""
        try:
            with self.environment.begin(write=True) as transaction:
                return work(transaction, *arguments)
        except lmdb.Error as error:
            if not is_full(error):
                raise failure(error) from error
        return self._write_where_it_is_full(work, *arguments)

    def _write_where_it_is_full(self, work: Callable[..., T], *arguments: Any) -> T:
        patience_ends = time.monotonic() + _PATIENCE
        while True:
            try:
                with self.environment.begin(write=True) as transaction:
                    self._expire(transaction, _AT_ONCE)
                with self.environment.begin(write=True) as transaction:
                    return work(transaction, *arguments)
            except lmdb.Error as error:
                if not is_full(error) or not self.room_to_come() or time.monotonic() > patience_ends:
                    raise failure(error) from None
            time.sleep(0.01)

    def _count(self, name: bytes, delta: int) -> int | None:
        """What :meth:`_add` does, to a counter that is there already; None, and nothing done, where there is none.

        It takes a quarter less time, and counters are what is written most.
        """
        transaction = None
        try:
            transaction = self.environment.begin(None, None, True)  # faster than write=True
            stored = transaction.get(name)
            if stored is not None and stored[0] in SHORT_INTEGERS:
                total: int = unpackb(stored) + delta
                if -(2**63) <= total < 2**63:
                    transaction.put(name, packb(total))
                    transaction.commit()
                    return total
            transaction.abort()
        except lmdb.Error:
            if transaction is not None:
                transaction.abort()
        return None

    def _add(self, transaction: Any, name: bytes, whole: bytes, delta: int) -> int:
        stored = transaction.get(name)
        if stored is None or stored[0] != MARK:
            total = summed(stored, delta)
            self._store(transaction, name, entry(pack(total), 0, whole))
            return total
        packed = self._alive(stored)
        total = summed(packed, delta)
        self._replace(transaction, name, whole, stored, packed, pack(total))
        return total

    def _put(self, transaction: Any, name: bytes, whole: bytes, packed: bytes, end: int) -> None:
        stored = transaction.get(name)
        before = 0 if stored is None else end_of(stored)
        if before != end:
            if before:
                transaction.delete(_index(before, name))
            if end:
                transaction.put(_index(end, name), b"")
        self._store(transaction, name, entry(packed, end, whole))

    def _put_all(self, transaction: Any, new: Iterable[tuple[bytes, bytes, bytes, int]]) -> None:
        for arguments in new:
            self._put(transaction, *arguments)

    def _replace(
        self, transaction: Any, name: bytes, whole: bytes, stored: bytes | None, before: bytes | None, packed: bytes
    ) -> None:
        """Put another value into an entry, which keeps its end if it was not over: then *before* is None."""
        end = end_of(stored) if stored is not None and before is not None else 0
        self._put(transaction, name, whole, packed, end)

    def _store(self, transaction: Any, name: bytes, entry: bytes) -> None:
        transaction.put(name, entry)
        if transaction.id() % _SOME == 0 or len(entry) > _LARGE:
            pages = _pages(transaction.stat())
            if pages > self._most_pages:
                raise lmdb.MapFullError(f"{pages} pages are in use, and {self._most_pages} are allowed")

    def _put_if(
        self, transaction: Any, fits: Callable[[bytes | None], bool], name: bytes, whole: bytes, packed: bytes, end: int
    ) -> bool:
        if not fits(self._alive(transaction.get(name))):
            return False
        self._put(transaction, name, whole, packed, end)
        return True

    def _exchange(self, transaction: Any, name: bytes, whole: bytes, before: bytes | None, packed: bytes) -> bool:
        stored = transaction.get(name)
        if self._alive(stored) != before:
            return False
        self._replace(transaction, name, whole, stored, before, packed)
        return True

    def _drop(self, transaction: Any) -> None:
        transaction.drop(self.environment.lmdb.open_db(txn=transaction), delete=False)

    def _expire(self, transaction: Any, limit: int) -> int:
        now = self._now()
        over: list[bytes] = []
        cursor = transaction.cursor()
        if cursor.set_range(_INDEX):
            for key in cursor.iternext(values=False):
                if len(over) == limit or _end(key) > now:
                    break
                over.append(key)
        for key in over:
            transaction.delete(key)
            transaction.delete(key[_NAME:])
        return len(over)

    def _now(self) -> int:
        return int(self._clock() * 1000)

    def _end(self, ttl: float | None) -> int:
        return 0 if ttl is None else end_after(ttl, self._clock())


def _name(key: Any) -> tuple[bytes, bytes]:
    """The name of *key*, and the whole of it if that is longer than a name may be."""
    whole = full_name(key)
    return (whole, b"") if len(whole) < LIMIT else (shortened(whole), whole)


def _index(end: int, name: bytes) -> bytes:
    return _INDEX + end.to_bytes(_TIME, "big") + name


def _end(key: bytes) -> int:
    return int.from_bytes(key[len(_INDEX) : _NAME], "big")


def _pages(stat: dict[str, int]) -> int:
    return stat["branch_pages"] + stat["leaf_pages"] + stat["overflow_pages"]


def _remove(transaction: Any, name: bytes) -> None:
    stored = transaction.get(name)
    if stored is None:
        return
    if end := end_of(stored):
        transaction.delete(_index(end, name))
    transaction.delete(name)
