"""A program outside the server: it is its own and only neighbour.

Messages are delivered in the thread that publishes, locks are this process's, and there is nobody to call. Nothing is
started in the background.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections import deque
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import Future
from contextlib import (
    AbstractAsyncContextManager,
    AbstractContextManager,
    asynccontextmanager,
    contextmanager,
    suppress,
)

from hornbeamd.errors import NotRegistered
from hornbeamd.node.post import Servant
from hornbeamd.node.subscriptions import Subscriptions

log = logging.getLogger("hornbeamd.calls")


class AlonePost:
    """A :class:`~hornbeamd.node.post.Post` that goes nowhere."""

    def __init__(self) -> None:
        self.servant: Servant | None = None
        self.subscriptions = Subscriptions(lambda pattern: None)
        self.locks = Locks()
        self.aio = AsyncAlonePost(self)
        self.loop: asyncio.AbstractEventLoop | None = None  # it is connected to nothing

    def rename(self, who: str) -> None:
        """There is nobody who would call this process by a name."""

    async def connect(self, timeout: float) -> None:
        """There is nobody to connect to."""

    def connect_in_background(self, timeout: float) -> None:
        """There is nobody to connect to."""

    async def leave(self) -> None:
        """There is nobody to leave."""

    def leave_background(self) -> None:
        """There is nobody to leave."""

    def publish(self, topic: str, payload: bytes) -> int:
        return self.subscriptions.deliver(topic, payload)

    def call(self, name: str, payload: bytes, timeout: float) -> bytes:
        raise _nobody(name)

    def cast(self, name: str, payload: bytes) -> None:
        log.warning("a cast of a name that nobody offers", extra={"fields": {"name": name}})

    def stream(self, name: str, payload: bytes, timeout: float) -> Iterator[bytes]:
        raise _nobody(name)

    def lock(self, key: bytes, timeout: float) -> AbstractContextManager[None]:
        return self.locks.hold(key, timeout)

    def offer(self, name: str, slots: int, threads: int = 0) -> None:
        """There is nobody to call it."""

    def withdraw(self, name: str) -> None:
        """There is nobody to call it."""

    async def rest(self) -> None:
        """There is nobody who calls."""

    def offered(self, name: str) -> bool:
        return False

    def after_fork(self) -> None:
        """In a forked child: who waited for a message or held a lock is not there."""
        self.subscriptions.after_fork()
        self.locks = Locks()


class AsyncAlonePost:
    """The same for coroutines."""

    def __init__(self, post: AlonePost) -> None:
        self._post = post

    async def publish(self, topic: str, payload: bytes) -> int:
        return self._post.publish(topic, payload)

    async def call(self, name: str, payload: bytes, timeout: float) -> bytes:
        raise _nobody(name)

    async def cast(self, name: str, payload: bytes) -> None:
        self._post.cast(name, payload)

    def stream(self, name: str, payload: bytes, timeout: float) -> AsyncIterator[bytes]:
        raise _nobody(name)

    def lock(self, key: bytes, timeout: float) -> AbstractAsyncContextManager[None]:
        return self._post.locks.hold_async(key, timeout)


class Locks:
    """Locks by key, for threads and for coroutines of any event loop; who waits longest is next."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: dict[bytes, deque[Future[None]]] = {}
        """By the keys that are held."""

    @contextmanager
    def hold(self, key: bytes, timeout: float) -> Iterator[None]:
        """Hold the lock of *key*, or go on without it after *timeout* seconds."""
        turn = self._queue(key)
        with suppress(TimeoutError):
            turn.result(timeout)
        try:
            yield
        finally:
            self._leave(key, turn)

    @asynccontextmanager
    async def hold_async(self, key: bytes, timeout: float) -> AsyncIterator[None]:
        """The same for a coroutine."""
        turn = self._queue(key)
        try:
            with suppress(TimeoutError):
                await asyncio.wait_for(asyncio.wrap_future(turn), timeout)
            yield
        finally:
            self._leave(key, turn)

    def _queue(self, key: bytes) -> Future[None]:
        turn: Future[None] = Future()
        with self._lock:
            if key in self._waiting:
                self._waiting[key].append(turn)
            else:
                self._waiting[key] = deque()
                turn.set_result(None)
        return turn

    def _leave(self, key: bytes, turn: Future[None]) -> None:
        """Give the lock to the next, or wait for it no longer."""
        turn.cancel()  # does nothing to a turn that has come
        if turn.cancelled():
            return
        with self._lock:
            waiting = self._waiting[key]
            while waiting:
                following = waiting.popleft()
                if following.set_running_or_notify_cancel():
                    following.set_result(None)
                    return
            del self._waiting[key]


def _nobody(name: str) -> NotRegistered:
    return NotRegistered(f"nobody offers {name!r}")
