"""What this process is subscribed to, and the messages that wait for whoever asked for them.

Messages are delivered from any thread (from the loop that reads from the hub; outside the server, from the publisher's)
and taken in any other: by threads that block, and by coroutines of any event loop.
"""

from __future__ import annotations

import asyncio
import threading
import time
from asyncio.events import _get_running_loop
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import Future
from contextlib import suppress
from types import TracebackType
from typing import Any

from hornbeamd.errors import HubGone
from hornbeamd.hub.topics import Topics
from hornbeamd.node.generations import Generation
from hornbeamd.state.terms import unpack as unpack
from hornbeamd.state.turns import Turn

OPENING, CLOSING = 10.0, 1.0
"""How long, in seconds, a subscription waits for a hub that takes it, and for one that lets it go."""

Item = tuple[str, bytes]
Wake = Callable[[], None]
Announce = Callable[[str], "Future[None] | None"]
"""Told when the number of subscribers of a pattern has changed. Done when the hub knows; None where there is none."""


class Subscriptions:
    """All subscriptions of this process. Every method is for any thread."""

    def __init__(self, announce: Announce) -> None:
        self._announce = announce
        self._topics: Topics[Subscription] = Topics()
        self._turn = Turn()
        self._late: deque[tuple[Subscription, int]] = deque()
        """What finalizers changed while the thread that ran them was at work here."""

    def deliver(self, topic: str, payload: bytes) -> int:
        """Hand a message to those whose pattern fits *topic*; gives how many these are."""
        with self._turn as first:
            receivers = list(self._topics.receivers(topic))
        if self._late and first:
            self._catch_up()
        item = topic, payload
        for receiver in receivers:
            receiver.deliver(item)
        return len(receivers)

    def miss(self, pattern: str, messages: int) -> None:
        """So many messages of *pattern* were dropped on their way."""
        for subscription in self._of(pattern):
            subscription.miss(messages)

    def add(self, subscription: Subscription) -> Future[None] | None:
        """Have messages delivered to *subscription*; done when nobody's can be missed any more."""
        return self._set(subscription, 1)

    def remove(self, subscription: Subscription) -> Future[None] | None:
        """Deliver no more to *subscription*; done when nobody counts it any more."""
        return self._set(subscription, 0)

    def patterns(self) -> list[str]:
        """All that somebody is subscribed to."""
        with self._turn:
            return list(self._topics)

    def count(self, pattern: str) -> int:
        """How many subscriptions of just this pattern there are."""
        with self._turn:
            return self._topics.count(pattern)

    def close(self, generation: Generation | None = None) -> None:
        """Close all subscriptions, or all of the code of *generation*."""
        with self._turn:
            everybody = self._topics.subscribers()
        for subscription in everybody:
            if generation is None or subscription.generation is generation:
                subscription.close()

    def after_fork(self) -> None:
        """In a forked child there is nobody who takes the messages of the parent."""
        self._topics = Topics()
        self._turn = Turn()
        self._late.clear()

    def _set(self, subscription: Subscription, number: int) -> Future[None] | None:
        with self._turn as first:
            if not first:
                self._late.append((subscription, number))
                return None
            self._topics.set(subscription, subscription.pattern, number)
        return self._announce(subscription.pattern)

    def _catch_up(self) -> None:
        while self._late:
            self._set(*self._late.popleft())

    def _of(self, pattern: str) -> list[Subscription]:
        # Read as a topic, a pattern fits itself, and those that fit it; only those that are it are meant.
        with self._turn:
            return [each for each in self._topics.receivers(pattern) if each.pattern == pattern]


class Subscription:
    """Messages of all topics that fit *pattern*, from the moment it is entered to :meth:`close`.

    In a thread it is entered by ``with`` and iterated by ``for``; in a coroutine by ``async with`` and ``async for``.
    Each message is a copy of its own. *size* messages wait at most; what comes when so many do is dropped, and counted
    in :attr:`missed`. It ends with the *generation* of the code that has made it.
    """

    def __init__(self, all: Subscriptions, pattern: str, size: int, generation: Generation | None = None) -> None:
        self.pattern = pattern
        self.generation = generation
        self.missed = 0
        """How many messages were dropped because they were not taken in time."""
        self._all = all
        self._size = size
        self._queue: deque[Item] = deque()
        self._waiters: deque[Wake] = deque()
        self._lock = threading.RLock()  # a finalizer may close it under the thread that delivers
        self._open = False
        self._closed = False
        self._left: Future[None] | None = None

    def __enter__(self) -> Subscription:
        if _get_running_loop() is not None:
            raise RuntimeError("this would block the event loop: use 'async with subscribe(...)'")
        done = self._begin()
        if done is not None:
            try:
                done.result(OPENING)
            except BaseException as error:
                self._give_up(error)
        return self

    async def __aenter__(self) -> Subscription:
        try:
            if not await self.enter(OPENING):
                raise TimeoutError
        except BaseException as error:
            self._give_up(error)
        return self

    async def enter(self, timeout: float) -> bool:
        """Begin, as ``async with`` does; False when no hub has confirmed it within *timeout* seconds.

        Messages come nevertheless, once there is a hub. Whoever enters this way calls :meth:`close` in the end.
        """
        done = self._begin()
        if done is not None:
            try:
                await asyncio.wait_for(asyncio.wrap_future(done), timeout)
            except TimeoutError:
                return False
        return True

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        done = self._end()
        # The collector may end an abandoned generator's block in an event loop, maybe the one that is to be told.
        if done is not None and _get_running_loop() is None:
            with suppress(TimeoutError):
                done.result(CLOSING)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        done = self._end()
        if done is not None:
            with suppress(TimeoutError):
                await asyncio.wait_for(asyncio.wrap_future(done), CLOSING)

    def close(self) -> None:
        """Unsubscribe. Who waits for a message gets the end of the iteration; what waits is dropped.

        It does not wait for the hub, as leaving the block does, so a publisher may still count it.
        """
        self._end()

    def get(self, timeout: float | None = None) -> Any:
        """Wait for the next message, at most *timeout* seconds. Raises TimeoutError, and EOFError when closed."""
        return _message(self.take(timeout))

    async def get_async(self, timeout: float | None = None) -> Any:
        """As :meth:`get`, for coroutines."""
        async with asyncio.timeout(timeout):
            return _message(await self.take_async())

    def items(self) -> Items:
        """Iterate over pairs of topic and message, by ``for`` or ``async for``."""
        return Items(self)

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        item = self.take(None)
        if item is None:
            raise StopIteration
        return unpack(item[1])

    def __aiter__(self) -> AsyncIterator[Any]:
        return self

    async def __anext__(self) -> Any:
        item = await self.take_async()
        if item is None:
            raise StopAsyncIteration
        return unpack(item[1])

    def __repr__(self) -> str:
        return f"<Subscription {self.pattern!r}, {len(self._queue)} waiting, {self.missed} missed>"

    # --- what comes ----------------------------------------------------------------------------------------------

    def deliver(self, item: Item) -> None:
        """Take a message; called from any thread."""
        with self._lock:
            if not self._open:
                return
            if len(self._queue) >= self._size:
                self.missed += 1
                return
            self._queue.append(item)
            if self._waiters:
                self._waiters.popleft()()

    def miss(self, messages: int) -> None:
        """Count messages that were dropped on their way."""
        with self._lock:
            self.missed += messages

    # --- taking --------------------------------------------------------------------------------------------------

    def take(self, timeout: float | None) -> Item | None:
        """The next topic and packed message, or None when it is closed. Raises TimeoutError."""
        end = None if timeout is None else time.monotonic() + timeout
        while True:
            gate = threading.Lock()
            gate.acquire()
            with self._lock:
                if self._queue or not self._is_open():
                    return self._queue.popleft() if self._queue else None
                self._waiters.append(gate.release)
            try:
                if not gate.acquire(timeout=-1 if end is None else max(0.0, end - time.monotonic())):
                    raise TimeoutError(f"no message within {timeout:g} s")
            except BaseException:
                self._leave(gate.release)
                raise

    async def take_async(self) -> Item | None:
        """The same for a coroutine."""
        while True:
            with self._lock:
                if self._queue or not self._is_open():
                    return self._queue.popleft() if self._queue else None
                loop = asyncio.get_running_loop()
                future: asyncio.Future[None] = loop.create_future()
                wake = _waker(loop, future)
                self._waiters.append(wake)
            try:
                await future
            except BaseException:
                self._leave(wake)
                raise

    def _is_open(self) -> bool:
        if not self._open and not self._closed:
            raise RuntimeError("the subscription is not entered yet: 'with subscribe(...) as messages'")
        return self._open

    def _leave(self, wake: Wake) -> None:
        """Wait no longer; a call that came too late goes to the next who waits."""
        with self._lock:
            if wake in self._waiters:
                self._waiters.remove(wake)
            elif self._queue and self._waiters:
                self._waiters.popleft()()

    # --- the beginning -------------------------------------------------------------------------------------------

    def _begin(self) -> Future[None] | None:
        with self._lock:
            if self._open or self._closed:
                raise RuntimeError("a subscription is entered once")
            if self.generation is not None and self.generation.over:
                raise RuntimeError("this code was replaced by a reload, and gets no more messages")
            self._open = True
        return self._all.add(self)

    def _end(self) -> Future[None] | None:
        with self._lock:
            opened, self._open = self._open, False
            self._closed = True
            self._queue.clear()
            waiters = list(self._waiters)
            self._waiters.clear()
        for wake in waiters:
            wake()
        if opened:
            self._left = self._all.remove(self)
        return self._left

    def _give_up(self, error: BaseException) -> None:
        self.close()
        if isinstance(error, TimeoutError):
            raise HubGone("no hub has taken the subscription in time") from None
        raise error


class Items:
    """The pairs of topic and message of a subscription."""

    def __init__(self, subscription: Subscription) -> None:
        self._subscription = subscription

    def __iter__(self) -> Iterator[tuple[str, Any]]:
        return self

    def __next__(self) -> tuple[str, Any]:
        item = self._subscription.take(None)
        if item is None:
            raise StopIteration
        return item[0], unpack(item[1])

    def __aiter__(self) -> AsyncIterator[tuple[str, Any]]:
        return self

    async def __anext__(self) -> tuple[str, Any]:
        item = await self._subscription.take_async()
        if item is None:
            raise StopAsyncIteration
        return item[0], unpack(item[1])


def _message(item: Item | None) -> Any:
    if item is None:
        raise EOFError("the subscription is closed")
    return unpack(item[1])


def _waker(loop: asyncio.AbstractEventLoop, future: asyncio.Future[None]) -> Wake:
    def done() -> None:
        if not future.done():
            future.set_result(None)

    def wake() -> None:
        if _get_running_loop() is loop:
            done()
        else:
            with suppress(RuntimeError):  # that loop has ended, and whoever waited with it
                loop.call_soon_threadsafe(done)

    return wake
