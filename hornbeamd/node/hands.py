"""Threads that take calls of plain functions from the hub: each reads them from a socket of its own, one at a time,
calls the function where it stands, and answers there.

So a call costs this process one wake-up and not three, and the event loop, be it busy or not, has no part in it but
one: it hears over its link what concerns a call while the function runs (CANCEL, MORE). To the hub these sockets are
*hands* of the link, which offers what they take; they are lost with its connection, and connect again when it has.

One thread waits as soon as there is something to wait for. The others are started one by one, each by the one that
would be the last to get a call.
"""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
import socket
import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from typing import Any, Protocol

from hornbeamd.hub import wire
from hornbeamd.hub.wire import Frames, Kind, encode
from hornbeamd.node.jobs import HandJob, Take
from hornbeamd.node.letters import letter

log = logging.getLogger("hornbeamd.node")

_READ = 65536
_KEY = 16
_PAUSE = 0.1
"""How long, in seconds, until a socket or a thread that was not to be had is tried again."""
_EARLY = 4096
"""What is heard of calls that no thread has is kept for so many of them: most are over, and few are yet to be read."""


class Claimant(Protocol):
    """The link, as hands see it."""

    loop: asyncio.AbstractEventLoop | None

    def claim(self, held: HandJob, take: Take) -> None:
        """Go on with it in the loop."""


class Hands:
    """At most as many threads as :meth:`open` says, connected to the hub at *address*.

    *limit* is the size in bytes that a payload may have; *work* is called by a thread for each job that it has read.
    """

    def __init__(self, address: str, limit: int, work: Callable[[HandJob], None]) -> None:
        self._address = address
        self._limit = limit
        self._work = work
        self._begin()

    def _begin(self) -> None:
        self._changed = threading.Condition()
        self._link: Claimant | None = None
        self._hello = b""
        """What each socket says first; empty while there is no hub."""
        self._most = 0
        self._started = 0
        self._idle = 0
        self._ending: Future[None] | None = None
        """Done when all threads have ended, as they are to."""
        self._sockets: set[socket.socket] = set()
        self._jobs: dict[int, HandJob] = {}
        self._early: dict[int, list[tuple[int, ...]]] = {}

    # --- the loop's side -----------------------------------------------------------------------------------------

    def key(self) -> bytes:
        """A new one, by which the next hub knows them."""
        return secrets.token_bytes(_KEY)

    def open(self, link: Claimant, who: str, key: bytes, most: int) -> None:
        """The hub knows *key*: connect, *most* at most."""
        hello = encode(Kind.HELLO, wire.VERSION, who, os.getpid()) + encode(Kind.HAND, key)
        with self._changed:
            self._link, self._hello, self._most, self._ending = link, hello, most, None
            self._changed.notify_all()
        self._start_first()

    def lose(self) -> None:
        """The hub is lost, and all that came from it."""
        with self._changed:
            self._hello = b""
            self._early.clear()
            for sock in self._sockets:
                _shut(sock, socket.SHUT_RDWR)
            jobs = list(self._jobs.values())
        for job in jobs:
            job.lose()

    def end(self) -> Future[None]:
        """Take no more calls than have been sent; done when these are over and all threads have ended."""
        with self._changed:
            if self._ending is None:
                self._ending = Future()
                if not self._started:
                    self._ending.set_result(None)
            for sock in self._sockets:
                # What the hub has sent can still be read, and is answered; behind it is the end.
                _shut(sock, socket.SHUT_RD)
            self._changed.notify_all()
            return self._ending

    def hear(self, kind: int, id: int, *items: int) -> None:
        """The hub says something about the call of that id."""
        with self._changed:
            job = self._jobs.get(id)
            if job is None:
                # Mostly it was over when the hub said so; or the thread has not had its turn to read it.
                self._early.setdefault(id, []).append((kind, *items))
                if len(self._early) > _EARLY:
                    del self._early[next(iter(self._early))]
        if job is not None:
            _tell(job, kind, *items)

    def after_fork(self) -> None:
        """In a forked child none of the threads is there; the sockets are its parent's."""
        sockets = list(self._sockets)
        self._begin()
        for sock in sockets:
            sock.close()

    def _start_first(self) -> None:
        with self._changed:
            if self._started or self._ending is not None:
                return
            try:
                self._start()
            except RuntimeError as error:
                log.error("there is no thread for calls of plain functions", extra={"fields": {"why": str(error)}})
                asyncio.get_running_loop().call_later(_PAUSE, self._start_first)

    # --- the threads' side ---------------------------------------------------------------------------------------

    def _start(self) -> None:
        threading.Thread(target=self._run, name=f"hand-{self._started + 1}", daemon=True).start()
        self._started += 1
        self._idle += 1

    def _run(self) -> None:
        while hello := self._hub_is_there():
            sock = self._connected(hello)
            if sock is None:
                continue
            try:
                self._serve(sock)
            except ConnectionError:
                pass  # the hub has died, and not read all that was sent to it
            except Exception as error:
                log.error("a thread that takes calls has lost the hub", exc_info=error)
            finally:
                with self._changed:
                    self._sockets.discard(sock)
                sock.close()

    def _hub_is_there(self) -> bytes:
        """Wait for what is to be said to a hub; nothing when the thread is to end."""
        with self._changed:
            self._changed.wait_for(lambda: self._hello or self._ending)
            if self._ending is None:
                return self._hello
            self._started -= 1
            self._idle -= 1
            if not self._started and self._ending.set_running_or_notify_cancel():
                self._ending.set_result(None)
            return b""

    def _connected(self, hello: bytes) -> socket.socket | None:
        """A socket of its own, unless the hub is lost again."""
        try:
            sock = _dial(self._address, hello)
        except OSError:
            with self._changed:
                self._changed.wait(_PAUSE)
            return None
        with self._changed:
            if self._hello is hello:
                self._sockets.add(sock)
                if self._ending is not None:
                    _shut(sock, socket.SHUT_RD)
                return sock
        sock.close()
        return None

    def _serve(self, sock: socket.socket) -> None:
        """Work on the calls that come, until there is nothing more to read."""
        hand = self._hand(sock)
        frames = Frames(self._limit + 2 * wire.ENVELOPE)
        while data := sock.recv(_READ):
            for kind, *items in frames.feed(data):
                if kind == Kind.WORK:
                    self._take(hand, *items)

    def _hand(self, sock: socket.socket) -> _Hand:
        return _Hand(sock, self._limit, self._jobs)

    def _take(self, hand: _Hand, id: int, mode: int, name: str, payload: bytes) -> None:
        job = HandJob(hand, id, mode, name, payload, self._move)
        with self._changed:
            self._idle -= 1
            if not self._idle and self._started < self._most and self._ending is None:
                with suppress(RuntimeError):  # there are no more threads to be had; the hub waits for one of ours
                    self._start()
            self._jobs[id] = job
            early = self._early.pop(id, ())
        for message in early:
            _tell(job, *message)
        try:
            self._work(job)
        finally:
            with self._changed:
                self._idle += 1

    def _move(self, job: HandJob, take: Take) -> None:
        link = self._link
        loop = link.loop if link is not None else None
        with suppress(RuntimeError):  # the loop has ended, and the process soon will
            if link is not None and loop is not None:
                loop.call_soon_threadsafe(link.claim, job, take)


class _Hand:
    """The :class:`~hornbeamd.node.jobs.Outlet` of one thread."""

    def __init__(self, sock: socket.socket, limit: int, jobs: dict[int, HandJob]) -> None:
        self._sock = sock
        self._limit = limit
        self._jobs = jobs

    def send(self, kind: Kind, *items: Any) -> None:
        """Send a message, or nothing when the hub is lost. Raises ValueError when it is too large."""
        frame = letter(self._limit, kind, *items)
        with suppress(OSError):  # who reads next sees that, too
            self._sock.sendall(frame)

    def over(self, id: int) -> None:
        """The job of that id needs no more messages from the hub."""
        self._jobs.pop(id, None)


def _tell(job: HandJob, kind: int, *items: int) -> None:
    if kind == Kind.CANCEL:
        job.cancel()
    else:
        job.more(*items)


def _dial(address: str, hello: bytes) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.connect(address)
        sock.sendall(hello)
    except BaseException:
        sock.close()
        raise
    return sock


def _shut(sock: socket.socket, how: int) -> None:
    with suppress(OSError):  # the other end was first
        sock.shutdown(how)
