"""What one process does for the state while the others use it: expiry, readers that were killed, and the disk."""

from __future__ import annotations

import asyncio
import logging
import math
import os
import time
from collections.abc import Callable
from typing import Any, Final

import lmdb

from hornbeamd.state.environment import failure
from hornbeamd.state.folder import DATA, Metas, write_synced
from hornbeamd.state.shared import SharedStore

log = logging.getLogger("hornbeamd.state")

_EXPIRY: Final = 1.0
_READERS: Final = 10.0
_PRESSING: Final = 0.05
_AFTER_A_FAILURE: Final = 10.0


class Upkeep:
    """Of the state in ``path``, of ``max_size`` bytes at most, with ``clock`` as for SharedStore.

    With a ``sync_interval``, in seconds, it is written to the disk so often, or more often when much is written. The
    methods may be called from any thread, one at a time; :meth:`turn` and :meth:`sync` wait for the disk.
    """

    def __init__(
        self, path: str, max_size: int, sync_interval: float | None = None, clock: Callable[[], float] = time.time
    ) -> None:
        self._store = SharedStore(path, max_size, clock)
        self._environment = self._store.environment
        self._max_size = max_size
        self._sync_interval = sync_interval
        self._next = dict.fromkeys(("expiry", "readers", "sync"), -math.inf)
        self._pinned: Any = None
        """A transaction that reads the state as it was at the last sync: LMDB uses none of its pages again."""
        self._synced = (-1, 0)
        """The last transaction, and the last page, at that sync."""

    @property
    def pause(self) -> float:
        """How long, in seconds, it may be from one turn to the next."""
        return _EXPIRY if self._sync_interval is None else _PRESSING

    def turn(self, now: float) -> None:
        """Do what is due *now*, in seconds of a clock that only goes forward. Raises OSError when the disk fails."""
        if self._sync_interval is not None and (now >= self._next["sync"] or self.pressing()):
            self._next["sync"] = now + self._sync_interval
            self.sync()
        if now >= self._next["readers"] or self._store.room_to_come():
            self._next["readers"] = now + _READERS
            self.reader_check()
        if now >= self._next["expiry"]:
            self._next["expiry"] = now + _EXPIRY
            while self.expire():
                pass

    def expire(self, limit: int = 1000) -> int:
        """Remove at most *limit* entries whose time is over; how many there were."""
        return self._store.expire(limit)

    def reader_check(self) -> int:
        """Free the slots of readers that were killed, and with them the pages that they hold; how many there were.

        Who writes waits a few seconds for such pages, so it is not put off once much is held.
        """
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
        with self._environment.begin(write=True):
            pinned = self._environment.begin()
            data = os.open(os.path.join(self._environment.path, DATA), os.O_RDONLY | os.O_CLOEXEC)
            try:
                pages = Metas.read(data).pages
            finally:
                os.close(data)
            last = self._last()
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


async def tend(upkeep: Upkeep) -> asyncio.Task[None]:
    """Have *upkeep* take its turns, in threads; gives, when the first is over, the task that goes on with them."""

    async def turn() -> float:
        try:
            await asyncio.to_thread(upkeep.turn, time.monotonic())
        except Exception as error:  # of whatever kind: without upkeep nothing expires, and nothing is on the disk
            trace = None if isinstance(error, OSError) else error
            log.error("the state is not kept up", exc_info=trace, extra={"fields": {"error": str(error)}})
            return _AFTER_A_FAILURE
        return upkeep.pause

    async def turns(pause: float) -> None:
        while True:
            await asyncio.sleep(pause)
            pause = await turn()

    return asyncio.create_task(turns(await turn()))
