"""What a process of a pool is for: one handler."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable

from hornbeamd.apps import loader
from hornbeamd.config.pools import PoolOptions
from hornbeamd.node.handlers import Hook
from hornbeamd.worker.birth import Birth
from hornbeamd.worker.life import BEAT, Tell
from hornbeamd.worker.memory import resident

log = logging.getLogger("hornbeamd.worker")


class Pooled:
    """The :class:`~hornbeamd.worker.life.Service` of a process of a pool."""

    def __init__(self, birth: Birth, options: PoolOptions) -> None:
        self._birth = birth
        self._options = options
        self._hook: Hook
        self._tell: Tell

    def load(self) -> None:
        """Import the handler; a class gets its instance now, so that the first call finds it ready."""
        for listener in self._birth.listeners:
            listener.close()  # nobody shall find the address taken because of a process that never accepts
        found = loader.find(self._options.handler)
        self._hook = Hook(found() if isinstance(found, type) else found)

    async def startup(self) -> None:
        """All is done already."""

    def serve(self, tell: Tell) -> None:
        """Take calls."""
        self._tell = tell
        if self._options.max_memory:
            self._weigh_first()

    def _weigh_first(self) -> None:
        size, limit = resident(), self._options.max_memory
        if size > limit:  # a replacement would not be smaller
            fields = {"memory": size, "max_memory": limit}
            log.warning(
                "the handler alone takes more than max_memory, which is not looked at", extra={"fields": fields}
            )
        else:
            asyncio.get_running_loop().call_later(BEAT, self._weigh)

    def _weigh(self) -> None:
        """Ask to be replaced, once, when this process has become too large."""
        size = resident()
        if size > self._options.max_memory:
            self._tell({"event": "recycle", "why": f"max_memory: it holds {size} bytes"})
        else:
            asyncio.get_running_loop().call_later(BEAT, self._weigh)

    def stuck(self, now: float) -> str | None:
        return None

    async def drain(self, timeout: float, idle: float) -> bool:
        return True

    async def shutdown(self) -> None:
        """Nothing is left to be ended."""

    def reopen_logs(self) -> None:
        """It has no log files of its own."""

    def descriptors(self) -> Iterable[int]:
        """None that lead to clients."""
        return ()
