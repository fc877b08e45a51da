"""A handler whose application belongs to a generation of its own (``node/generations.py``)."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager

from hornbeamd.http.exchange import Exchange, Handler
from hornbeamd.node.generations import Generation


class Owned:
    """Serves exchanges by *handler* as code of *generation*, in whatever context they come.

    The server is started, and adopts this, in the block of :meth:`running`: so new connections are the generation's
    without anybody's doing.
    """

    handle: Callable[[Exchange], None]

    def __init__(self, handler: Handler, generation: Generation) -> None:
        self.generation = generation
        self._handler = handler
        # A connection may be older than the code; than that of the first generation none is.
        self.handle = handler.handle if generation.first else generation.bound(handler.handle)

    def running(self) -> AbstractContextManager[None]:
        """Have what runs in the block belong to the generation."""
        return self.generation.running()

    @property
    def capacity(self) -> int:
        return self._handler.capacity

    async def startup(self) -> None:
        with self.running():
            await self._handler.startup()

    def drain(self, seconds: float) -> None:
        self._handler.drain(seconds)

    async def finished(self) -> None:
        await self._handler.finished()

    async def shutdown(self) -> None:
        with self.running():
            await self._handler.shutdown()

    def stuck(self, now: float) -> str | None:
        return self._handler.stuck(now)
