"""The cache of all processes of a server: an LMDB environment of its own, and counters beside it.

An entry has two records. ``e`` and its key hold when it ends, when it was last used, and the value; ``u``, the time of
its last use and the key hold nothing, and are there for their order: the first of them makes room. A use is written
down when the last one that was is older than ``COARSE``, so most hits write nothing, and entries used within that time
of each other go in any order.

Both times are of the one monotonic clock of the machine; as eight bytes, most significant first, they sort as numbers.
"""

from __future__ import annotations

import logging
import os
import struct
import time
from typing import Any, Final

import lmdb

from hornbeamd.state.cache import EVICTIONS, HITS, MISSES, CacheStats, Found, ends
from hornbeamd.state.environment import environment
from hornbeamd.state.tally import Tally

log = logging.getLogger("hornbeamd.state")

COARSE: Final = 60.0
"""How exact "last used" is, in seconds."""

_BATCH: Final = 16
"""How many entries are removed in one transaction: each may need new pages before any is free."""

_HEAD: Final = struct.Struct(">dd")
_TIME: Final = struct.Struct(">d")
_ENTRY: Final = b"e"
_USE: Final = b"u"


class SharedCache:
    """The cache in the folder at *path*, which is made when missing, of at most *size* bytes.

    It takes no more than a quarter of the file system, which in a container is small, and which the state may be on.
    Entries fill three quarters of it, because LMDB writes new pages before it frees old ones; what is larger than an
    eighth is not kept. Where there is no room even for the counters, it does without entries, for as long as it lives.
    """

    def __init__(self, path: str, size: int) -> None:
        self._complained = float("-inf")
        self._size = 0
        try:
            os.makedirs(path, 0o700, exist_ok=True)
            self._tally = Tally(os.path.join(path, "tally"))
            disk = os.statvfs(path)
            self._size = min(size, disk.f_blocks * disk.f_frsize // 4)
        except OSError as error:
            self._complain(error)
            self._tally = Tally()
        self._environment = environment(path, self._size)

    def get(self, key: bytes) -> Found | None:
        try:
            with self._environment.begin() as txn:
                record = txn.get(_ENTRY + key)
            if record is None:
                return None
            expires, used = _HEAD.unpack_from(record)
            now = time.monotonic()
            if expires <= now:
                return None
            if now - used > COARSE:
                with self._environment.begin(write=True) as txn:
                    _touch(txn, key, now)
        except (OSError, lmdb.Error) as error:
            self._complain(error)
            return None
        return Found(record[_HEAD.size :], expires)

    def put(self, key: bytes, value: bytes, ttl: float | None = None) -> None:
        record = _HEAD.pack(ends(ttl), time.monotonic()) + value
        if len(record) <= self._size // 8:
            try:
                self._write(key, record)
            except (OSError, lmdb.Error) as error:
                self._complain(error)

    def _write(self, key: bytes, record: bytes) -> None:
        while True:
            try:
                with self._environment.begin(write=True) as txn:
                    old = _remove(txn, key)
                    evicted = _evict(txn, self._size * 3 // 4 - len(record))
                    txn.put(_ENTRY + key, record)
                    txn.put(_use(key, record), b"")
                break
            except lmdb.MapFullError:
                # There may be room enough, but in pieces, or free only for a later transaction.
                evicted = self._make_room()
                self._tally.add(EVICTIONS, evicted)
                if not evicted:
                    return
        if evicted:
            self._tally.add(EVICTIONS, evicted)
        if old is not None and old[_HEAD.size :] != record[_HEAD.size :]:
            self._tally.change()

    def _make_room(self) -> int:
        """Remove a batch, or, where there is no page left to do that with, everything; how many went."""
        try:
            with self._environment.begin(write=True) as txn:
                return _evict(txn, 0)
        except lmdb.MapFullError:
            self._environment.lmdb.reader_check()
            with self._environment.begin(write=True) as txn:
                entries = _entries(txn)
                txn.drop(self._environment.lmdb.open_db(txn=txn), delete=False)
            return entries

    def clear(self, prefix: bytes = b"") -> int:
        removed, taken = 0, _BATCH
        try:
            while taken == _BATCH:
                with self._environment.begin(write=True) as txn:
                    taken = _take(txn, _ENTRY + prefix)
                removed += taken
        except (OSError, lmdb.Error) as error:
            self._complain(error)
        self._tally.change()
        return removed

    def count(self, hit: bool) -> None:
        self._tally.add(HITS if hit else MISSES)

    @property
    def mark(self) -> int:
        return self._tally.mark

    def stats(self) -> CacheStats:
        entries = size = 0
        try:
            with self._environment.begin() as txn:
                entries, size = _entries(txn), _bytes(txn)
        except (OSError, lmdb.Error) as error:
            self._complain(error)
        return CacheStats(
            hits=self._tally.total(HITS),
            misses=self._tally.total(MISSES),
            entries=entries,
            size=size,
            max_size=self._size,
            evictions=self._tally.total(EVICTIONS),
        )

    def close(self) -> None:
        self._environment.release()
        self._tally.close()

    def _complain(self, error: Exception) -> None:
        """Say that the cache does not work, at most once a minute, and have the environment opened anew."""
        now = time.monotonic()
        if now - self._complained > 60:
            self._complained = now
            log.warning("the cache does not work", extra={"fields": {"error": str(error)}})
        if self._size:
            self._environment.renew()


def _use(key: bytes, record: bytes) -> bytes:
    """The key of the other record: ``record`` holds the time of the last use as it is there."""
    return _USE + record[_TIME.size : _HEAD.size] + key


def _touch(txn: Any, key: bytes, now: float) -> None:
    """Note that the entry is used now."""
    old = _remove(txn, key)
    if old is not None:
        record = old[: _TIME.size] + _TIME.pack(now) + old[_HEAD.size :]
        txn.put(_ENTRY + key, record)
        txn.put(_use(key, record), b"")


def _remove(txn: Any, key: bytes) -> bytes | None:
    """The record that the entry had."""
    record: bytes | None = txn.pop(_ENTRY + key)
    if record is not None:
        txn.delete(_use(key, record))
    return record


def _evict(txn: Any, limit: int) -> int:
    """Remove what was not used for the longest time until all takes no more than *limit*; how many went.

    It stops at a batch. Small entries share pages, and many may go before a page does; the next to come goes on.
    """
    evicted = 0
    cursor = txn.cursor()
    while evicted < _BATCH and _bytes(txn) > limit and cursor.set_range(_USE):
        _remove(txn, cursor.key()[len(_USE) + _TIME.size :])
        evicted += 1
    return evicted


def _take(txn: Any, start: bytes) -> int:
    """Remove a batch of the entries whose names begin with *start*; how many they were."""
    keys: list[bytes] = []
    cursor = txn.cursor()
    there = cursor.set_range(start)
    while there and len(keys) < _BATCH and cursor.key().startswith(start):
        keys.append(cursor.key()[len(_ENTRY) :])
        there = cursor.next()
    for key in keys:
        _remove(txn, key)
    return len(keys)


def _entries(txn: Any) -> int:
    return int(txn.stat()["entries"] // 2)


def _bytes(txn: Any) -> int:
    """What the entries take, in whole pages."""
    stat = txn.stat()
    return int((stat["branch_pages"] + stat["leaf_pages"] + stat["overflow_pages"]) * stat["psize"])
