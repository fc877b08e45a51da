"""Bytes become messages and control frames, and messages bytes (RFC 6455, section 5).

wsproto reads the frames and judges them. Most of them need no judging: a small message in one masked frame, whole or
still arriving, while no other frame or message is unfinished. That case takes a short path of our own, and whatever is
not it, or is wrong with it, goes to wsproto. What the server sends is not masked, so it is a head and the payload.
"""

from __future__ import annotations

import struct
from io import StringIO
from typing import Any, NamedTuple

from wsproto.extensions import Extension
from wsproto.frame_protocol import CloseReason, Frame, FrameProtocol, Opcode, RsvBits

from hornbeamd.http.websocket.deflate import Deflate

TEXT, BINARY, CLOSE, PING, PONG = 0x1, 0x2, 0x8, 0x9, 0xA

# The largest payload on the short path: that much is copied again with each piece of a frame that arrives in pieces.
_SHORT = 16384
_REASON_BOUND = 123


class Control(NamedTuple):
    """A control frame."""

    opcode: int
    payload: Any
    """Bytes, or the code and the reason of a close frame."""


PART = Control(0, b"")
"""A part of a message that is not complete yet: nothing to do, but it took time to read."""


class Frames:
    """Reads what one client sends, and renders what it is sent. *limit* is the largest frame and message, in bytes."""

    __slots__ = ("_at", "_binary", "_data", "_deflate", "_guard", "_limit", "_proto", "_short", "_text", "_unread")

    def __init__(self, limit: int, deflate: Deflate | None = None) -> None:
        self._limit = limit
        self._deflate = deflate
        self._short = -1 if deflate is not None else min(_SHORT, limit)
        self._data = b""  # for the short path, read up to _at
        self._at = 0
        self._proto: FrameProtocol | None = None  # made when it is needed
        self._guard = _Guard(limit)
        self._unread = 0  # bytes given to wsproto that are not yet part of a finished frame
        self._text: StringIO | None = None  # of an unfinished message
        self._binary: bytearray | None = None

    @property
    def fragmented(self) -> bool:
        """A message has begun and is not complete."""
        return self._text is not None or self._binary is not None

    def feed(self, data: bytes) -> None:
        """Add *data*; :meth:`next` gives what has become of it."""
        if self._unread:
            self._pass_on(data)
        elif self._at < len(self._data):
            self._data = self._data[self._at :] + data
            self._at = 0
        else:
            self._data = data
            self._at = 0

    def next(self) -> str | bytes | Control | None:
        """Return the next message or control frame (or ``PART``), or None where more bytes are needed.

        Raises ParseFailed, whose ``code`` is the close code that it deserves.
        """
        while True:
            if not self._unread:
                if self._at == len(self._data):
                    return None
                if not self.fragmented:
                    found = self._next_short()
                    if found is not _OTHER:
                        return found  # type: ignore[return-value]
                data, self._data = self._data[self._at :], b""
                self._at = 0
                self._pass_on(data)
            event = self._next_judged()
            if event is not None or self._unread:
                return event

    def _next_short(self) -> object:
        """The message that stands next, None where it is not whole yet, ``_OTHER`` where wsproto has to look."""
        data = self._data
        start = self._at
        left = len(data) - start
        if left < 2:
            return None
        opcode = data[start]
        length = data[start + 1] - 128
        if (opcode != 0x81 and opcode != 0x82) or length < 0:
            return _OTHER
        key = start + 2
        if length > 125:
            if length == 127:
                return _OTHER
            if left < 4:
                return None
            length = data[key] << 8 | data[key + 1]
            if length < 126:
                return _OTHER
            key += 2
        if length > self._short:
            return _OTHER
        payload = key + 4
        end = payload + length
        if len(data) < end:
            return None
        mask = data[key:payload] * (length + 3 >> 2)
        message = (int.from_bytes(data[payload:end], "little") ^ int.from_bytes(mask[:length], "little")).to_bytes(
            length, "little"
        )
        if opcode == 0x82:
            self._at = end
            return message
        try:
            text = message.decode()
        except UnicodeDecodeError:
            return _OTHER
        self._at = end
        return text

    def message(self, data: str | bytes) -> bytes:
        """Render a message as one frame."""
        if self._deflate is not None:
            return bytes(self._judge.send_data(data))
        return render(TEXT, data.encode()) if isinstance(data, str) else render(BINARY, data)

    # --- by wsproto ---

    @property
    def _judge(self) -> FrameProtocol:
        if self._proto is None:
            # The guard first: it sees what was sent, the other one what that inflates to.
            self._proto = FrameProtocol(False, [self._guard, *([self._deflate] if self._deflate else ())])
        return self._proto

    def _pass_on(self, data: bytes) -> None:
        self._unread += len(data)
        self._judge.receive_bytes(data)

    def _next_judged(self) -> str | bytes | Control | None:
        frame = next(self._judge.received_frames(), None)
        if frame is None:
            return None
        if frame.frame_finished:
            self._unread -= self._guard.frame_size
        return self._take(frame)

    def _take(self, frame: Frame) -> str | bytes | Control:
        """Add a frame, or a part of one, to its message; return the message when that is complete."""
        if frame.opcode.iscontrol():
            return Control(int(frame.opcode), frame.payload)
        payload: Any = frame.payload
        done = frame.message_finished
        if isinstance(payload, str):
            if self._text is None:
                if done:
                    return payload
                self._text = StringIO()
            self._text.write(payload)
            if not done:
                return PART
            text, self._text = self._text.getvalue(), None
            return text
        if self._binary is None:
            if done:
                return bytes(payload)
            self._binary = bytearray()
        self._binary += payload
        if not done:
            return PART
        binary, self._binary = bytes(self._binary), None
        return binary


_OTHER = object()


class _Guard(Extension):
    """Sees every frame's head as wsproto reads it: holds its message to the limit, and notes the size of the frame."""

    name = "guard"

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._received = 0  # of the present message
        self._control = False
        self.frame_size = 0
        """Bytes of the present frame with its head."""

    def enabled(self) -> bool:
        """Always: it is no extension that the client has to know of."""
        return True

    def offer(self) -> bool | str:
        """Nothing is offered."""
        return False

    def frame_inbound_header(
        self, proto: Any, opcode: Opcode, rsv: RsvBits, payload_length: int
    ) -> CloseReason | RsvBits:
        """Judge by the announced length (may be asked twice, when the head arrives in pieces)."""
        self.frame_size = payload_length + (6 if payload_length < 126 else 8 if payload_length < 65536 else 14)
        self._control = opcode.iscontrol()
        if not self._control:
            if opcode is not Opcode.CONTINUATION:
                self._received = 0
            if self._received + payload_length > self._limit:
                return CloseReason.MESSAGE_TOO_BIG
        return RsvBits(False, False, False)

    def frame_inbound_payload_data(self, proto: Any, data: bytes) -> bytes | CloseReason:
        """Count what has arrived."""
        if not self._control:
            self._received += len(data)
        return data


# --- outbound ----------------------------------------------------------------------------------------------------

_HEADS = {opcode: [bytes((0x80 | opcode, size)) for size in range(126)] for opcode in (TEXT, BINARY, CLOSE, PING, PONG)}


def render(opcode: int, payload: bytes) -> bytes:
    """A whole frame, not masked (RFC 6455, section 5.2)."""
    size = len(payload)
    if size < 126:
        return _HEADS[opcode][size] + payload
    if size < 65536:
        return struct.pack("!BBH", 0x80 | opcode, 126, size) + payload
    return struct.pack("!BBQ", 0x80 | opcode, 127, size) + payload


def render_close(code: int | None, reason: str = "") -> bytes:
    """A close frame; the reason is cut to what fits, between two characters (RFC 6455, section 5.5.1)."""
    if code is None:
        return render(CLOSE, b"")
    text = reason.encode("utf-8", "replace")
    if len(text) > _REASON_BOUND:
        text = text[:_REASON_BOUND].decode("utf-8", "ignore").encode()
    return render(CLOSE, code.to_bytes(2, "big") + text)
