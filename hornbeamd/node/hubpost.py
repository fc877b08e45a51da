"""The way to the other processes through the hub: for threads by sockets of their own, for coroutines by the link."""

from __future__ import annotations

import asyncio
import threading
from asyncio.events import _get_running_loop
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from concurrent.futures import Future
from contextlib import AbstractContextManager, asynccontextmanager, suppress
from typing import Any, TypeVar

from hornbeamd.errors import CallTimeout, HubGone
from hornbeamd.hub.wire import Kind
from hornbeamd.node.direct import Direct
from hornbeamd.node.hands import Hands
from hornbeamd.node.home import Background, fast_loop
from hornbeamd.node.letters import PATIENCE, refusal
from hornbeamd.node.link import Link
from hornbeamd.node.offers import spoken
from hornbeamd.node.post import HeldJob, Job, Servant
from hornbeamd.node.standing import Standing
from hornbeamd.node.subscriptions import Subscriptions, unpack

T = TypeVar("T")


class HubPost:
    """A :class:`~hornbeamd.node.post.Post` through the hub at *address*; *limit* is the size of the largest payload."""

    def __init__(self, address: str, who: str, limit: int) -> None:
        self.servant: Servant | None = None
        self._address = address
        self._limit = limit
        self._who = who
        self._direct = Direct(address, who, limit)
        self._hands = Hands(address, limit, self._work)
        self._lock = threading.Lock()
        self.subscriptions = Subscriptions(self._announce)
        self._standing = Standing(self.subscriptions)
        self._link: Link | None = None
        self._background: Background | None = None
        self._orphan = False
        self._parents: tuple[Link | None, Background | None] = (None, None)
        self.aio = AsyncHubPost(self)

    # --- its life ------------------------------------------------------------------------------------------------

    @property
    def loop(self) -> asyncio.AbstractEventLoop | None:
        """The loop that is connected."""
        return None if self._link is None else self._link.loop

    def rename(self, who: str) -> None:
        """What people call this process, from the next connection on."""
        self._who = self._direct.who = who

    async def connect(self, timeout: float) -> None:
        """Connect the running loop, and stay connected. Raises HubGone when there is no hub within *timeout* seconds.

        It goes on trying nevertheless.
        """
        await self._begin()
        if self._link is not None:
            await self._link.connected(timeout)

    async def _begin(self) -> None:
        if self._link is None:
            link = Link(self._address, self._who, self._limit, self._standing, self._hands, self._take)
            link.start()
            self._link = link

    async def leave(self) -> None:
        """Close all connections."""
        link, self._link = self._link, None
        if link is not None:
            await link.stop()
        self._hands.end()
        self._direct.close()

    def connect_in_background(self, timeout: float) -> None:
        """As :meth:`connect`, in a thread with a loop, for a program that has none of its own."""
        self._in_background().run(self.connect(timeout))

    def leave_background(self) -> None:
        """Undo :meth:`connect_in_background`."""
        background, self._background = self._background, None
        if background is not None:
            background.run(self.leave())
            background.stop()

    def after_fork(self) -> None:
        """Let go, in a forked child, of what is its parent's. Where it needs a link, it gets one of its own."""
        self._lock = threading.Lock()
        self._direct.close()
        self._hands.after_fork()
        self._standing.after_fork(forget=self._link is not None)
        if self._link is not None:
            self._link.after_fork()
            self._orphan = True
        # Kept, for what is finalized here may still be in use there.
        self._parents = self._link, self._background
        self._link = self._background = None

    def link(self) -> Link:
        """The link, of whatever loop. Raises HubGone before there is one."""
        self._adopt()
        if self._link is None:
            raise HubGone("this process is not connected to the hub yet, or not any more")
        return self._link

    def _adopt(self) -> None:
        """A forked child whose parent had a link has one in the background, from when it needs it."""
        if self._orphan and self._link is None:
            self._in_background().run(self._begin())

    def _in_background(self) -> Background:
        with self._lock:
            if self._background is None:
                self._background = Background("hornbeamd node", fast_loop)
            return self._background

    def _announce(self, pattern: str) -> Future[None]:
        self._adopt()
        return self._standing.announce(pattern)

    def _take(self, job: Job) -> None:
        if self.servant is None:
            job.unknown()
        else:
            self.servant.take(job)

    def _work(self, job: HeldJob) -> None:
        if self.servant is None:
            job.unknown()
        else:
            self.servant.work(job)

    # --- what is asked -------------------------------------------------------------------------------------------

    def publish(self, topic: str, payload: bytes) -> int:
        try:
            return int(self._direct.ask(PATIENCE, Kind.PUBLISH, topic, payload)[2])
        except (HubGone, TimeoutError):
            return 0

    def call(self, name: str, payload: bytes, timeout: float) -> bytes:
        try:
            return _result(name, self._direct.ask(timeout, Kind.CALL, name, payload))
        except TimeoutError:
            raise _late(name, timeout) from None

    def cast(self, name: str, payload: bytes) -> None:
        with suppress(HubGone, TimeoutError):
            self._direct.tell(PATIENCE, Kind.CAST, name, payload)

    def stream(self, name: str, payload: bytes, timeout: float) -> Iterator[bytes]:
        try:
            yield from self._direct.stream(timeout, name, payload)
        except TimeoutError:
            raise _late(name, timeout) from None

    def lock(self, key: bytes, timeout: float) -> AbstractContextManager[None]:
        return self._direct.lock(timeout, key)

    def offered(self, name: str) -> bool:
        try:
            return bool(self._direct.ask(PATIENCE, Kind.OFFERED, name)[2])
        except (HubGone, TimeoutError):
            return False

    def status(self) -> dict[str, Any]:
        """What the hub says of itself (``hub/office.py``). Raises HubGone, TimeoutError."""
        found: dict[str, Any] = unpack(self._direct.ask(PATIENCE, Kind.STATUS)[2])
        return found

    def offer(self, name: str, slots: int, threads: int = 0) -> None:
        self._wait(self._standing.offer(name, slots, threads))

    def withdraw(self, name: str) -> None:
        self._wait(self._standing.withdraw(name))

    async def rest(self) -> None:
        await asyncio.wrap_future(self._hands.end())

    def _wait(self, told: Future[None]) -> None:
        """In a thread that may wait, wait a while until the hub knows; in the loop what comes later is behind it."""
        if self._link is not None and _get_running_loop() is None:
            with suppress(TimeoutError):
                told.result(PATIENCE)


class AsyncHubPost:
    """A :class:`~hornbeamd.node.post.AsyncPost`: over the link, from its own loop directly, from others by a bridge."""

    def __init__(self, post: HubPost) -> None:
        self._post = post

    async def publish(self, topic: str, payload: bytes) -> int:
        try:
            return int((await self._ask(PATIENCE, Kind.PUBLISH, topic, payload))[2])
        except (HubGone, TimeoutError):
            return 0

    async def call(self, name: str, payload: bytes, timeout: float) -> bytes:
        try:
            return _result(name, await self._ask(timeout, Kind.CALL, name, payload))
        except TimeoutError:
            raise _late(name, timeout) from None

    async def cast(self, name: str, payload: bytes) -> None:
        with suppress(HubGone, TimeoutError):
            link = self._post.link()
            await self._there(link, link.tell(PATIENCE, Kind.CAST, name, payload))

    async def stream(self, name: str, payload: bytes, timeout: float) -> AsyncIterator[bytes]:
        link = self._post.link()
        chunks = link.stream(timeout, name, payload)
        try:
            while (chunk := await self._there(link, anext(chunks, None))) is not None:
                yield chunk
        except TimeoutError:
            raise _late(name, timeout) from None
        finally:
            await self._there(link, chunks.aclose())

    @asynccontextmanager
    async def lock(self, key: bytes, timeout: float) -> AsyncIterator[None]:
        release = None
        with suppress(HubGone):
            release = await self._acquire(key, timeout)
        try:
            yield
        finally:
            if release is not None:
                release()

    async def _acquire(self, key: bytes, timeout: float) -> Callable[[], None]:
        """Wait for a lock; gives what gives it back, if it was to be had."""
        link = self._post.link()
        held: Future[int | None] = Future()

        async def acquire() -> None:
            held.set_result(await link.lock(timeout, key))

        def release(held: Future[int | None] = held) -> None:
            lock = held.result()
            if lock is not None and link.loop is not None:
                link.loop.call_soon_threadsafe(link.unlock, lock)

        try:
            await self._there(link, acquire())
        except BaseException:
            held.add_done_callback(release)  # it may be had by now, in a loop that has not heard that nobody waits
            raise
        return release

    async def _ask(self, timeout: float, kind: Kind, *items: Any) -> list[Any]:
        link = self._post.link()
        return await self._there(link, link.ask(timeout, kind, *items))

    async def _there(self, link: Link, work: Coroutine[Any, Any, T]) -> T:
        """Do *work* in the loop of the link."""
        loop = link.loop
        if loop is None or loop.is_closed():
            work.close()
            raise HubGone("this process has left the hub")
        if _get_running_loop() is loop:
            return await work
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, loop))


def _result(name: str, answer: list[Any]) -> bytes:
    if answer[0] == Kind.RESULT:
        payload: bytes = answer[2]
        return payload
    _, _, reason, type, text = answer
    raise refusal(name, reason, type, text)


def _late(name: str, timeout: float) -> CallTimeout:
    return CallTimeout(f"{spoken(name)} gave no answer within {timeout:g} s")
