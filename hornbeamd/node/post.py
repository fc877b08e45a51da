"""The way from this process to the others, as the rest of it sees it.

Two implementations: ``hubpost.py`` goes through the hub, ``alone.py`` is for programs outside the server, where there
are no others. Names are those that offers have on the wire, "function:resize" or "hook:embeddings". Payloads are
packed terms. *timeout* is in seconds and includes all waiting; when it is over, CallTimeout is raised and nothing is
left behind: the call is cancelled where it runs, and its answer reaches nobody.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from typing import Protocol


class Post(Protocol):
    """The blocking side, for any thread but that of the event loop that reads from the hub.

    There it works, too, as long as no answer depends on that very loop.
    """

    servant: Servant | None
    """Who works on the calls of what is offered."""

    @property
    def aio(self) -> AsyncPost:
        """The same for coroutines."""

    def publish(self, topic: str, payload: bytes) -> int:
        """How many subscribers got it, in all processes. 0 when the hub is lost meanwhile."""

    def call(self, name: str, payload: bytes, timeout: float) -> bytes:
        """The result of a call. Raises CallError, and of its kinds CallTimeout, NotRegistered and HubGone."""

    def cast(self, name: str, payload: bytes) -> None:
        """A call that nobody waits for; never raises for want of a receiver."""

    def stream(self, name: str, payload: bytes, timeout: float) -> Iterator[bytes]:
        """The parts of a result; *timeout* is for each. Closing the iterator ends the stream at its source."""

    def lock(self, key: bytes, timeout: float) -> AbstractContextManager[None]:
        """Hold the lock of *key*, in all processes; gone with the process that holds it.

        It is for saving work, not for safety: without a hub, or after *timeout*, the block is entered without it.
        """

    def offer(self, name: str, slots: int, threads: int = 0) -> None:
        """Take calls of *name* from now on, so many at once, or any number with 0; said again to each new hub.

        With *threads*, so many at most take those calls themselves, which the loop hears nothing of; it is the same
        number for all names.
        """

    def withdraw(self, name: str) -> None:
        """Take no more of them."""

    async def rest(self) -> None:
        """Return when the threads that take calls have done what came until now, and take no more."""

    def offered(self, name: str) -> bool:
        """Whether some process takes calls of *name*; not so without a hub."""


class AsyncPost(Protocol):
    """The same for coroutines, on any event loop."""

    async def publish(self, topic: str, payload: bytes) -> int:
        """As :meth:`Post.publish`; messages of one Task arrive in order."""

    async def call(self, name: str, payload: bytes, timeout: float) -> bytes:
        """As :meth:`Post.call`; cancelling it cancels the call where it runs."""

    async def cast(self, name: str, payload: bytes) -> None:
        """As :meth:`Post.cast`."""

    def stream(self, name: str, payload: bytes, timeout: float) -> AsyncIterator[bytes]:
        """As :meth:`Post.stream`."""

    def lock(self, key: bytes, timeout: float) -> AbstractAsyncContextManager[None]:
        """As :meth:`Post.lock`."""


class Job(Protocol):
    """A call that came from another process. All methods are for the event loop that reads from the hub."""

    name: str
    payload: bytes
    wanted: bool
    """Whether somebody waits for the result; not so for a cast."""
    streamed: bool
    """Whether it is to be answered in parts."""

    def on_cancel(self, callback: Callable[[], None]) -> None:
        """Have *callback* called when the caller gives up, or is gone."""

    def done(self, payload: bytes) -> None:
        """Answer, and be over. Harmless after a cancel."""

    def failed(self, error: BaseException) -> None:
        """Answer that the function raised *error*, and be over."""

    def unknown(self) -> None:
        """Answer that nothing of that name is registered here, not any more, and be over."""

    async def chunk(self, payload: bytes) -> None:
        """Send a part when the caller can take it. Raises CancelledError when the caller gave up."""

    def end(self) -> None:
        """There are no more parts."""


class HeldJob(Protocol):
    """A call that came from another process to a thread. All methods are for that thread."""

    name: str
    payload: bytes
    streamed: bool
    """Whether it is to be answered in parts."""

    def on_cancel(self, callback: Callable[[], None]) -> None:
        """Have *callback* called, in the loop, when the caller gives up, or is gone."""

    def done(self, payload: bytes) -> None:
        """Answer, and be over. Harmless after a cancel."""

    def failed(self, error: BaseException) -> None:
        """Answer that the function raised *error*, and be over."""

    def unknown(self) -> None:
        """Answer that nothing of that name is registered here, not any more, and be over."""

    def chunk(self, payload: bytes) -> None:
        """Send a part when the caller can take it. Raises CancelledError when the caller gave up."""

    def end(self) -> None:
        """There are no more parts."""

    def move(self, take: Callable[[Job], None]) -> None:
        """Have the loop go on with it, where *take* gets it. Nothing was answered yet."""


class Servant(Protocol):
    """Who works on the jobs whose names were offered."""

    def take(self, job: Job) -> None:
        """Begin to work on *job*, in the loop that reads from the hub, without blocking it."""

    def work(self, job: HeldJob) -> None:
        """Work on *job* in the thread that has read it, and return when it is over or moved."""
