"""What one process does for the state while the others use it: expiry, readers that were killed, and the disk."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Any

import lmdb

from hornbeamd.state.environment import failure
from hornbeamd.state.folder import DATA, Metas, write_synced
from hornbeamd.state.shared import SharedStore


class Upkeep:
    """Of the state in ``path``, of ``max_size`` bytes at most, with ``clock`` as for SharedStore.

    Its methods may be called from any thread, one at a time; :meth:`sync` waits for the disk.
    """

    def __init__(self, path: str, max_size: int, clock: Callable[[], float] = time.time) -> None:
        self._store = SharedStore(path, max_size, clock)
        self._environment = self._store.environment
        self._max_size = max_size
        self._pinned: Any = None
        """A transaction that reads the state as it was at the last sync: LMDB uses none of its pages again."""
        self._synced = (-1, 0)
        """The last transaction, and the last page, at that sync."""

    def expire(self, limit: int = 1000) -> int:
        """Remove at most *limit* entries whose time is over; how many there were."""
        return self._store.expire(limit)

    def reader_check(self) -> int:
        """Free the slots of readers that were killed, and with them the pages that they hold; how many there were."""
        return self._environment.lmdb.reader_check()  # type: ignore[no-any-return]

    def pressing(self) -> bool:
        """Whether so much was written since the last sync that it should not wait for its time.

        What a transaction leaves behind, three pages at least, is used again after the next sync only.
        """
        transaction, page = self._last()
        some = self._max_size // os.sysconf("SC_PAGE_SIZE") // 8
        return page - self._synced[1] > some or 3 * (transaction - self._synced[0]) > some

    def sync(self) -> bool:
        """Write the state to the disk; whether there was anything new.

        It has to come before anybody writes, in each process that begins with the upkeep: until then, what the last
        process had synced may be overwritten. Raises OSError when the disk fails; then the last sync is still good.
        """
        try:
            if self._pinned is not None and self._last()[0] == self._synced[0]:
                return False
            pinned, pages, synced = self._pin()
            self._environment.lmdb.sync(True)
        except lmdb.Error as error:
            raise failure(error) from error
        folder = os.open(self._environment.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            write_synced(folder, pages)
        finally:
            os.close(folder)
        # Not before the newer one is known to the disk.
        self._let_go()
        self._pinned, self._synced = pinned, synced
        return True

    def _pin(self) -> tuple[Any, bytes, tuple[int, int]]:
        """The newest state, to be kept, and its meta pages; while nobody writes."""
        with self._environment.begin(write=True) as writing:
            pinned = self._environment.begin()
            data = os.open(os.path.join(self._environment.path, DATA), os.O_RDONLY | os.O_CLOEXEC)
            try:
                pages = Metas.read(data).pages
            finally:
                os.close(data)
            last = self._last()
            writing.abort()
        return pinned, pages, last

    def _last(self) -> tuple[int, int]:
        info = self._environment.lmdb.info()
        return info["last_txnid"], info["last_pgno"]

    def _let_go(self) -> None:
        if self._pinned is not None:
            self._pinned.abort()
            self._pinned = None

    def close(self) -> None:
        """Let go of all."""
        self._let_go()
        self._store.close()
