"""One WebSocket (RFC 6455): the seam between what carries it and the application.

A *wire* is what carries the bytes: a connection of its own (HTTP/1.1), or a stream of HTTP/2 (RFC 8441). The session
is sans-I/O but for it, and reads no clock but ``clock.now``. All methods run on the thread of the event loop.

What arrives is queued until the application takes it. A full queue stops the wire; so does a client that sends more
frames than are to be read in one turn of the loop.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from random import uniform
from typing import NamedTuple, Protocol

from wsproto.frame_protocol import ParseFailed

from hornbeamd.errors import ClientGone, ResponseError
from hornbeamd.http.websocket.deflate import Deflate
from hornbeamd.http.websocket.frames import (
    CLOSE,
    PING,
    PONG,
    Control,
    Frames,
    render,
    render_close,
)

NORMAL, NO_STATUS, LOST, FAILED, RESTART = 1000, 1005, 1006, 1011, 1012
"""Close codes (RFC 6455, section 7.4.1, and the registry it opened)."""

_SENDABLE = frozenset((1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014))
_REASONS = {1002: "protocol error", 1007: "invalid data", 1009: "message too big"}

_NEVER = math.inf
# Messages, and bytes or characters of them, that wait for the application before the wire is paused.
_QUEUE_LENGTH = 64
_QUEUE_SIZE = 65536
# Frames that are read in one turn of the event loop: the other connections want theirs.
_TURN = 256
# How long the client may take to answer a close frame, in seconds.
CLOSE_SECONDS = 5.0


class Wire(Protocol):
    """What a session needs of what carries it."""

    @property
    def blocked(self) -> bool:
        """The client takes less than is written; :meth:`Session.writable` is called when there is room."""

    def write(self, data: bytes) -> None:
        """Send *data*."""

    def end(self, *, linger: bool) -> None:
        """Close in order, behind what was written. With *linger* the client is likely to be still sending."""

    def abort(self) -> None:
        """Close at once."""

    def pause(self) -> None:
        """Let the client wait with what it sends."""

    def resume(self) -> None:
        """Let it go on."""

    def soon(self, callback: Callable[[], None]) -> None:
        """Call back in the next turn of the event loop."""


class Clock(Protocol):
    """Who knows the time."""

    @property
    def now(self) -> float:
        """Seconds, as of ``Server.time()``."""


class Closed(NamedTuple):
    """How a session ended, as the application is told."""

    code: int
    """The client's or our own; 1005 where its close frame had none, 1006 where there was no close frame."""
    reason: str


class Session:
    """An open WebSocket.

    *timeout*, in seconds, is the longest silence of the client; it is pinged at half of it. *limit*, in bytes, is the
    largest frame and message. *deflate* is there when compression was agreed upon.
    """

    __slots__ = (
        "_clock",
        "_deaf",
        "_frames",
        "_halted",
        "_heard",
        "_leave_at",
        "_pong",
        "_queue",
        "_queued",
        "_timeout",
        "closed",
        "deadline",
        "notify",
        "wire",
    )

    def __init__(self, wire: Wire, clock: Clock, *, timeout: float, limit: int, deflate: Deflate | None = None) -> None:
        self.wire = wire
        self.closed: Closed | None = None
        """Nothing can be sent any more, and when :meth:`receive` has nothing more either, this is how it ended."""
        self.notify: Callable[[], None] | None = None
        """Called when there is something new: a message, the end, or room to write."""
        self._clock = clock
        self._timeout = timeout
        self._frames = Frames(limit, deflate)
        self._queue: deque[str | bytes] = deque()
        self._queued = 0
        self._halted = False  # nothing is read until the application or the loop is ready for it
        self._deaf = False  # nothing is read any more
        self._pong: bytes | None = None  # owed to a client that takes nothing
        self._heard = clock.now
        self._leave_at = _NEVER
        self.deadline = self._heard + timeout / 2
        """When :meth:`expire` is to be called, as of the clock."""

    # --- the application's side ------------------------------------------------------------------------------

    @property
    def blocked(self) -> bool:
        """The client takes less than it is sent: wait for :attr:`notify`."""
        return self.closed is None and self.wire.blocked

    def receive(self) -> str | bytes | None:
        """Take the next message, text or binary; None where none has arrived."""
        queue = self._queue
        if not queue:
            return None
        message = queue.popleft()
        self._queued -= len(message)
        if self._halted and not queue:
            self.wire.soon(self._go_on)
        return message

    def send(self, message: str | bytes) -> None:
        """Send *message* as text or binary. Raises ClientGone where the session is over."""
        if self.closed is not None:
            raise ClientGone(f"the WebSocket is closed with {self.closed.code}")
        self.wire.write(self._frames.message(message))

    def close(self, code: int = NORMAL, reason: str = "") -> None:
        """Close; what the client still sends is not wanted any more.

        A reason longer than 123 bytes is cut. Raises ResponseError for a code that may not be sent (RFC 6455,
        section 7.4), ClientGone where the session is over.
        """
        if not isinstance(code, int) or (code not in _SENDABLE and not 3000 <= code <= 4999):
            raise ResponseError(f"{code!r} is no close code that may be sent")
        if self.closed is not None:
            raise ClientGone(f"the WebSocket is closed with {self.closed.code}")
        self._queue.clear()
        self._queued = 0
        self._say_close(int(code), reason)

    def fail(self, code: int = FAILED) -> None:
        """Close in the application's place, which cannot go on."""
        if self.closed is None:
            self.close(code)

    # --- the wire's side -------------------------------------------------------------------------------------

    def feed(self, data: bytes) -> None:
        """Take what the client has sent."""
        self._heard = self._clock.now
        if not self._deaf:
            self._frames.feed(data)
            if not self._halted and not self._read():
                self._halted = True
                self.wire.pause()

    def writable(self) -> None:
        """There is room to write again."""
        if self._pong is not None and self.closed is None:
            pong, self._pong = self._pong, None
            self.wire.write(render(PONG, pong))
        self._tell()

    def lost(self) -> None:
        """Nothing more comes from the wire, nor goes there."""
        self._deaf = True
        self.deadline = _NEVER
        if self.closed is None:
            self.closed = Closed(LOST, "")
        self._tell()

    def drain(self, until: float) -> None:
        """The server drains: close at some moment up to *until*, not all sessions in the same one."""
        if self.closed is None:
            self._leave_at = min(self._leave_at, uniform(self._clock.now, until))
            self.deadline = min(self.deadline, self._leave_at)

    def leave(self, within: float) -> None:
        """The application ends, and the server does not: close at some moment within so many seconds."""
        self.drain(self._clock.now + within)

    def expire(self, now: float) -> None:
        """Act on a deadline that has passed."""
        if self.closed is not None and self.wire.blocked:
            self.deadline = now + CLOSE_SECONDS  # it cannot have seen our close frame yet
        elif self.closed is not None:
            self._deaf = True
            self.deadline = _NEVER
            self.wire.abort()
        elif now >= self._leave_at:
            self._close_ourselves(RESTART, "service restart")
        else:
            self._watch(now)

    # --- reading ---------------------------------------------------------------------------------------------

    def _read(self) -> bool:
        """Queue the messages that have arrived; False where there was no room or no time for all of them."""
        frames = self._frames
        queue = self._queue
        left = _TURN
        while left:
            try:
                event = frames.next()
            except ParseFailed as error:
                self._break_off(int(error.code))
                return True
            if event is None:
                break
            left -= 1
            if isinstance(event, Control):
                self._control(event)
                if self._deaf:
                    return True
            elif self.closed is None:
                queue.append(event)
                self._queued += len(event)
                if self._full:
                    break
        else:
            self.wire.soon(self._go_on)
        if queue and self.notify is not None:
            self.notify()
        return event is None

    @property
    def _full(self) -> bool:
        return self._queued > _QUEUE_SIZE or len(self._queue) > _QUEUE_LENGTH

    def _go_on(self) -> None:
        """Read on, unless the application still has enough to take (behind our close frame it takes nothing)."""
        wanted = self.closed is not None or not self._full
        if self._halted and not self._deaf and wanted and self._read():
            self._halted = False
            if not self._deaf:
                self.wire.resume()

    def _control(self, frame: Control) -> None:
        if frame.opcode == PING and self.closed is None:
            if self.wire.blocked:
                self._pong = frame.payload  # the latest will do (RFC 6455, section 5.5.3)
            else:
                self.wire.write(render(PONG, frame.payload))
        elif frame.opcode == CLOSE:
            self._deaf = True
            self.deadline = _NEVER
            if self.closed is None:
                code, reason = frame.payload
                self.closed = Closed(int(code), reason)
                self.wire.write(render_close(None if code == NO_STATUS else int(code)))
            self.wire.end(linger=False)
            self._tell()

    # --- the end ---------------------------------------------------------------------------------------------

    def _say_close(self, code: int, reason: str) -> None:
        """Send a close frame, and give the client a while to answer it."""
        self.closed = Closed(code, reason)
        self.wire.write(render_close(code, reason))
        self.deadline = self._clock.now + CLOSE_SECONDS
        if self._halted:
            self.wire.soon(self._go_on)  # its answer is behind what nobody wants any more

    def _close_ourselves(self, code: int, reason: str) -> None:
        self._say_close(code, reason)
        self._tell()

    def _break_off(self, code: int) -> None:
        """The client broke a rule: say which, and read no further (RFC 6455, section 7.1.7)."""
        self._deaf = True
        self.deadline = _NEVER
        if self.closed is None:
            reason = _REASONS.get(code, "")
            self.closed = Closed(code, reason)
            self.wire.write(render_close(code, reason))
        self.wire.end(linger=True)
        self._tell()

    def _watch(self, now: float) -> None:
        """Ping a client that is silent for half the time, close when it is for the whole.

        While we do not read it, its silence means nothing; the ping finds out whether it is there at all.
        """
        half = self._timeout / 2
        deadline = self._heard + self._timeout
        if now >= deadline and not self._halted:
            self._close_ourselves(FAILED, "no answer to a ping")
            return
        if now < self._heard + half:
            deadline = self._heard + half
        else:
            if not self.wire.blocked:
                self.wire.write(render(PING, b""))
            if now >= deadline:
                deadline = now + half
        self.deadline = min(deadline, self._leave_at)

    def _tell(self) -> None:
        if self.notify is not None:
            self.notify()
