"""A call that came through the hub, while this process works on it: in its event loop, or in a thread.

What the hub says of it meanwhile, the loop hears in either case.
"""

from __future__ import annotations

import asyncio
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, Protocol

from hornbeamd.hub import wire
from hornbeamd.hub.wire import Kind, Reason
from hornbeamd.node.post import Job

Take = Callable[[Job], None]


class Outlet(Protocol):
    """Where the answers go."""

    def send(self, kind: Kind, *items: Any) -> None:
        """Send a message to the hub. Raises ValueError when it is too large."""

    def over(self, id: int) -> None:
        """The job of that id needs no more messages from the hub."""


class _Job(ABC):
    """What jobs have in common."""

    def __init__(self, outlet: Outlet, id: int, mode: int, name: str, payload: bytes) -> None:
        self.id = id
        self.mode = mode
        self.name = name
        self.payload = payload
        self.wanted = mode != Kind.CAST
        self.streamed = mode == Kind.STREAM
        self._outlet = outlet
        self._over = False
        self._cancelled = False
        self._callbacks: list[Callable[[], None]] = []

    @property
    def over(self) -> bool:
        """Whether nothing is to be said of it any more."""
        return self._over

    def on_cancel(self, callback: Callable[[], None]) -> None:
        """Have *callback* called when the caller gives up, or is gone; at once when it has already."""
        if self._cancelled:
            callback()
        elif not self._over:
            self._callbacks.append(callback)

    def done(self, payload: bytes) -> None:
        """Answer, and be over. What is too large to be sent is answered by its error."""
        try:
            self._close(Kind.RESULT, payload if self.wanted and not self._cancelled else b"")
        except ValueError as error:
            self.failed(error)

    def failed(self, error: BaseException) -> None:
        """Answer that the function raised *error*, and be over."""
        self._close(Kind.ERROR, int(Reason.RAISED), *described(error))

    def unknown(self) -> None:
        """Answer that nothing of that name is registered here, not any more, and be over."""
        self._close(Kind.ERROR, int(Reason.UNKNOWN), "", "")

    def end(self) -> None:
        """There are no more parts."""
        self._close(Kind.END)

    def _close(self, kind: Kind, *items: Any) -> None:
        """Say that it is over, which frees its slot, even where nobody waits for the answer."""
        if not self._over:
            self._outlet.send(kind, self.id, *items)
            self._over = True
            self._callbacks.clear()
            self._outlet.over(self.id)

    # --- what the hub says ---------------------------------------------------------------------------------------

    @abstractmethod
    def more(self, chunks: int) -> None:
        """The caller can take so many more."""

    def cancel(self) -> None:
        """The caller is not interested any more."""
        if not self._over and not self._cancelled:
            self._cancelled = True
            callbacks, self._callbacks = self._callbacks, []
            for callback in callbacks:
                callback()
            self._go_on()

    def lose(self) -> None:
        """The hub is gone, and with it the caller. What nobody waits for is done nevertheless."""
        if self.wanted:
            self.cancel()
        self._over = True
        self._outlet.over(self.id)

    @abstractmethod
    def _go_on(self) -> None:
        """Have a chunk that waits look again."""


class HubJob(_Job):
    """A :class:`~hornbeamd.node.post.Job`, of the loop that reads from the hub."""

    _credit = wire.CREDIT
    _room: asyncio.Future[None] | None = None

    async def chunk(self, payload: bytes) -> None:
        """Send a part when the caller can take it. Raises CancelledError when the caller gave up."""
        while not self._credit and not self._cancelled:
            self._room = asyncio.get_running_loop().create_future()
            await self._room
        if self._cancelled or self._over:
            raise asyncio.CancelledError
        self._outlet.send(Kind.CHUNK, self.id, payload)
        self._credit -= 1

    def more(self, chunks: int) -> None:
        self._credit += chunks
        self._go_on()

    def _go_on(self) -> None:
        if self._room is not None and not self._room.done():
            self._room.set_result(None)


class HandJob(_Job):
    """A :class:`~hornbeamd.node.post.HeldJob`, of the thread that has read it. *move* is what its own does."""

    def __init__(
        self, outlet: Outlet, id: int, mode: int, name: str, payload: bytes, move: Callable[[HandJob, Take], None]
    ) -> None:
        super().__init__(outlet, id, mode, name, payload)
        self._move = move
        self._room = threading.Semaphore(wire.CREDIT) if self.streamed else None
        self._more = 0

    def chunk(self, payload: bytes) -> None:
        """Send a part when the caller can take it. Raises CancelledError when the caller gave up."""
        assert self._room is not None
        self._room.acquire()
        if self._cancelled or self._over:
            raise asyncio.CancelledError
        self._outlet.send(Kind.CHUNK, self.id, payload)

    def move(self, take: Take) -> None:
        """Have the loop go on with it, where *take* gets it. Nothing was answered yet."""
        self._move(self, take)

    def become(self, job: HubJob) -> None:
        """In the loop: *job* is in its place from now on, and is told what this one has heard."""
        if self._more:
            job.more(self._more)
        if self._over:
            job.lose()
        elif self._cancelled:
            job.cancel()
        self._over = True
        self._outlet.over(self.id)

    def more(self, chunks: int) -> None:
        self._more += chunks
        if self._room is not None:
            self._room.release(chunks)

    def _go_on(self) -> None:
        if self._room is not None:
            self._room.release()


_LONGEST_TEXT = 16 * 1024


def described(error: BaseException) -> tuple[str, str]:
    """The class of an exception, with its module unless that is builtins, and what it says."""
    kind = type(error)
    name = kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
    try:
        text = str(error)
    except Exception:
        text = "(an error that cannot be shown)"
    return name, text[:_LONGEST_TEXT].encode(errors="replace").decode()
