"""The connection of an event loop to the hub: for coroutines, for subscriptions, and for calls that come from others.

It is made again when it is lost. What this process is subscribed to and offers is said first, before anything else.
Answers that the old hub owed will not come, and whoever waits for one gets HubGone.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import AsyncGenerator, Callable
from contextlib import suppress
from itertools import count
from typing import Any, cast

from hornbeamd.errors import HubGone, WireError
from hornbeamd.hub import wire
from hornbeamd.hub.wire import Frames, Kind, encode
from hornbeamd.node.hands import Hands
from hornbeamd.node.jobs import HandJob, HubJob, Take
from hornbeamd.node.letters import letter, refusal
from hornbeamd.node.post import Job
from hornbeamd.node.standing import Standing

log = logging.getLogger("hornbeamd.node")

Answer = list[Any]
# What was asked for by the one is taken back by the other.
_TAKE_BACK = {Kind.CALL: Kind.CANCEL, Kind.LOCK: Kind.UNLOCK}
_OF_JOBS = {Kind.CANCEL, Kind.MORE}
_FIRST_PAUSE, _LONGEST_PAUSE = 0.02, 1.0
# A connection that was kept for so long was a good one: the next pause is the first again.
_GOOD = 0.5
# With more than so many bytes unsent, nothing is asked until the hub has read.
_UNSENT = 1024 * 1024
# How long a hub may take to let go of who leaves, in seconds.
_CLOSING = 1.0


class Link(asyncio.Protocol):
    """Speaks to the hub at *address* from the loop that :meth:`start` was called in, and only there.

    *limit* is the size in bytes that a payload may have; *who* is for people; *take* is given the calls that come, but
    for those that come to *hands*, which are lost and have the hub with this.
    """

    def __init__(
        self, address: str, who: str, limit: int, standing: Standing, hands: Hands, take: Callable[[Job], None]
    ) -> None:
        self.loop: asyncio.AbstractEventLoop | None = None
        self._who = who
        self._standing = standing
        self._hands = hands
        self._lent = False
        self._take = take
        self._address = address
        self._limit = limit
        self._ids = count(1)
        self._asked: dict[int, asyncio.Future[Answer]] = {}
        self._streams: dict[int, asyncio.Queue[Answer]] = {}
        self._jobs: dict[int, HubJob] = {}
        self._frames: Frames
        self._transport: asyncio.Transport | None = None
        self._up: asyncio.Event
        self._down: asyncio.Event
        self._room: asyncio.Event
        self._keeper: asyncio.Task[None] | None = None

    # --- its life ------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Connect from the running loop, and stay connected until :meth:`stop`."""
        self._up, self._down, self._room = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self._room.set()
        self.loop = asyncio.get_running_loop()
        self._keeper = self.loop.create_task(self._keep_connected())
        self._standing.follow(self.loop, self._say)

    async def stop(self) -> None:
        """Close the connection for good; the hub knows when this returns, if it is there."""
        keeper, self._keeper = self._keeper, None
        if keeper is not None:
            keeper.cancel()
            with suppress(asyncio.CancelledError):
                await keeper
        self._standing.leave()
        if self._transport is not None:
            # What was written goes out, and when the hub has let go of us it closes. Between the hub's end and the news
            # of it uvloop's transport says that it is open, and raises.
            with suppress(RuntimeError, OSError):
                self._transport.write_eof()
            try:
                async with asyncio.timeout(_CLOSING):
                    await self._down.wait()
            except TimeoutError:
                self._transport.abort()
        self.loop = None

    async def connected(self, timeout: float) -> None:
        """Wait for a connection. Raises HubGone when there is none within *timeout* seconds."""
        if self._transport is None:
            try:
                async with asyncio.timeout(timeout):
                    await self._up.wait()
            except TimeoutError:
                raise HubGone("there is no hub") from None

    def after_fork(self) -> None:
        """In a forked child: put the null device in the place of the connection, which is the parent's.

        Closed, its number would be given to another file, which the transport would close one day.
        """
        sock = None if self._transport is None else self._transport.get_extra_info("socket")
        if sock is not None and sock.fileno() >= 0:  # else it is closed, and the loop has yet to say so
            null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
            os.dup2(null, sock.fileno(), inheritable=False)
            os.close(null)

    async def _keep_connected(self) -> None:
        assert self.loop is not None
        pause = _FIRST_PAUSE
        while True:
            began = self.loop.time()
            try:
                await self.loop.create_unix_connection(lambda: self, self._address)
            except OSError as error:
                if pause == _FIRST_PAUSE:
                    log.warning("the hub cannot be reached", extra={"fields": {"why": str(error)}})
            else:
                await self._down.wait()
            if self.loop.time() - began > _GOOD:
                pause = _FIRST_PAUSE
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._frames = Frames(self._limit + 2 * wire.ENVELOPE)
        self._transport = cast(asyncio.Transport, transport)
        self._transport.set_write_buffer_limits(_UNSENT)
        hello = encode(Kind.HELLO, wire.VERSION, self._who, os.getpid())
        self._transport.write(b"".join((hello, *self._standing.all(self._ids))))
        self._lent = False
        self._lend()
        self._down.clear()
        self._up.set()

    def connection_lost(self, error: Exception | None) -> None:
        self._transport = None
        self._up.clear()
        self._down.set()
        self._room.set()
        asked, self._asked = self._asked, {}
        for future in asked.values():
            if not future.done():
                future.set_exception(HubGone("the hub was lost during the call"))
        streams, self._streams = self._streams, {}
        for inbox in streams.values():
            inbox.put_nowait([Kind.ERROR, 0, wire.Reason.GONE, "", "the hub was lost during the call"])
        for job in list(self._jobs.values()):
            job.lose()
        self._hands.lose()

    def pause_writing(self) -> None:
        self._room.clear()

    def resume_writing(self) -> None:
        self._room.set()

    # --- what is asked of the hub --------------------------------------------------------------------------------

    async def ask(self, timeout: float, kind: Kind, *items: Any) -> Answer:
        """Send a message and wait for its answer. Raises TimeoutError, HubGone; ValueError when it is too large."""
        loop = self.loop
        assert loop is not None
        if self._transport is None or not self._room.is_set():
            timeout = await self._wait_for_room(timeout)
        id = next(self._ids)
        self.send(kind, id, *items)
        future: asyncio.Future[Answer] = loop.create_future()
        self._asked[id] = future
        timer = loop.call_later(timeout, _expire, future)
        try:
            return await future
        except BaseException:
            self._asked.pop(id, None)
            if kind in _TAKE_BACK:
                # Also when the answer is there and came too late for this Task: it might be a lock.
                self.send(_TAKE_BACK[kind], id)
            raise
        finally:
            timer.cancel()

    async def tell(self, timeout: float, kind: Kind, *items: Any) -> None:
        """Send a message that has no answer. Raises HubGone; ValueError when it is too large."""
        if self._transport is None or not self._room.is_set():
            await self._wait_for_room(timeout)
        self.send(kind, *items)

    async def stream(self, timeout: float, name: str, payload: bytes) -> AsyncGenerator[bytes, None]:
        """The parts of a result; *timeout* is for each. Raises TimeoutError and CallError."""
        await self._wait_for_room(timeout)
        id = next(self._ids)
        self.send(Kind.STREAM, id, name, payload)
        inbox = self._streams[id] = asyncio.Queue()
        taken = 0
        try:
            while True:
                async with asyncio.timeout(timeout):
                    message = await inbox.get()
                match message:
                    case [Kind.CHUNK, _, chunk]:
                        yield chunk
                    case [Kind.ERROR, _, reason, type, text]:
                        raise refusal(name, reason, type, text)
                    case _:
                        return
                taken += 1
                if taken == wire.CREDIT // 2 and id in self._streams:
                    self.send(Kind.MORE, id, taken)
                    taken = 0
        finally:
            if self._streams.pop(id, None) is not None:
                self.send(Kind.CANCEL, id)

    async def lock(self, timeout: float, key: bytes) -> int | None:
        """Wait for a lock; gives what :meth:`unlock` takes, or None when it was not to be had."""
        try:
            return int((await self.ask(timeout, Kind.LOCK, key))[1])
        except (TimeoutError, HubGone):
            return None

    def unlock(self, id: int) -> None:
        """Give a lock back."""
        self.send(Kind.UNLOCK, id)

    def send(self, kind: Kind, *items: Any) -> None:
        """Write a message, or nothing without a connection. Raises ValueError when it is too large."""
        frame = letter(self._limit, kind, *items)
        if self._transport is not None:
            self._transport.write(frame)

    def over(self, id: int) -> None:
        """The job of that id needs no more messages from the hub."""
        self._jobs.pop(id, None)

    async def _wait_for_room(self, timeout: float) -> float:
        """Wait until something can be written; gives what is left of *timeout*. Raises TimeoutError, HubGone."""
        loop = self.loop
        assert loop is not None
        end = loop.time() + timeout
        await self.connected(timeout)
        async with asyncio.timeout_at(end):
            await self._room.wait()
        return max(0.0, end - loop.time())

    def _say(self, key: tuple[Kind, str]) -> None:
        """Say what has changed of what this process is subscribed to and offers."""
        if self._transport is not None:
            self._transport.write(self._standing.one(next(self._ids), key))
            self._lend()

    def _lend(self) -> None:
        """Have hands, once there is something for them to do."""
        if self._lent or not self._standing.threads or self._transport is None:
            return
        assert self.loop is not None
        key, id = self._hands.key(), next(self._ids)
        self._lent = True
        self._asked[id] = future = self.loop.create_future()
        future.add_done_callback(lambda done: self._open(key, done))
        self._transport.write(encode(Kind.HANDS, id, key))

    def _open(self, key: bytes, done: asyncio.Future[Answer]) -> None:
        if done.exception() is None:  # else the hub is lost
            self._hands.open(self, self._who, key, self._standing.threads)

    def claim(self, held: HandJob, take: Take) -> None:
        """Go on with the job of a hand, which *take* gets."""
        job = HubJob(self, held.id, held.mode, held.name, b"")
        if not held.over:
            self._jobs[job.id] = job
            self.send(Kind.CLAIM, job.id)
        held.become(job)
        take(job)

    # --- what the hub says ---------------------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        try:
            messages = self._frames.feed(data)
        except WireError as error:
            log.error("the hub is not understood", extra={"fields": {"why": str(error)}})
            if self._transport is not None:
                self._transport.abort()
            return
        for message in messages:
            kind = message[0]
            if kind == Kind.MESSAGE:
                self._standing.subscriptions.deliver(message[1], message[2])
            elif kind == Kind.WORK:
                self._work(*message[1:])
            elif kind == Kind.MISSED:
                self._standing.subscriptions.miss(message[1], message[2])
            elif kind in _OF_JOBS:
                self._about_job(kind, message[1], *message[2:])
            else:
                self._answer(kind, message)

    def _answer(self, kind: int, message: Answer) -> None:
        """Take a message of an exchange that this process began, and may have given up meanwhile."""
        id = message[1]
        if (future := self._asked.pop(id, None)) is not None:
            if not future.done():
                future.set_result(message)
        elif (inbox := self._streams.get(id)) is not None:
            if kind != Kind.CHUNK:
                del self._streams[id]
            inbox.put_nowait(message)
        elif kind == Kind.DONE:
            self._standing.done(id)

    def _about_job(self, kind: int, id: int, *items: int) -> None:
        """Take a message about a job: ids of those are the hub's, and may be equal to our own."""
        job = self._jobs.get(id)
        if job is None:
            self._hands.hear(kind, id, *items)
        elif kind == Kind.CANCEL:
            job.cancel()
        else:
            job.more(*items)

    def _work(self, id: int, mode: int, name: str, payload: bytes) -> None:
        job = self._jobs[id] = HubJob(self, id, mode, name, payload)
        self._take(job)


def _expire(future: asyncio.Future[Answer]) -> None:
    if not future.done():
        future.set_exception(TimeoutError())
