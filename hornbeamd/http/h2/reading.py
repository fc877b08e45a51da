"""Bytes become whole frames, and frames whole header blocks (RFC 9113, sections 3.4, 4.1, 4.3 and 6.10)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from hornbeamd.http.h2.frames import (
    ACK,
    CONTINUATION,
    END_HEADERS,
    FRAME_SIZE,
    PADDED,
    PREFACE,
    PRIORITIZED,
    SETTINGS,
    WINDOW_LIMIT,
    Code,
    ConnectionFault,
    check_dependency,
    unpad,
)
from hornbeamd.http.h2.headers import LIST_SIZE

# The largest header block, in all its frames (section 10.5.1).
_BLOCK = 2 * LIST_SIZE


class FrameListener(Protocol):
    """Whom a reader tells what came: flags, the number of the stream, and the payload."""

    def on_data(self, flags: int, number: int, payload: bytes) -> None: ...
    def on_headers(self, flags: int, number: int, block: bytes) -> None: ...
    def on_priority(self, flags: int, number: int, payload: bytes) -> None: ...
    def on_reset(self, flags: int, number: int, payload: bytes) -> None: ...
    def on_settings(self, flags: int, number: int, payload: bytes) -> None: ...
    def on_push(self, flags: int, number: int, payload: bytes) -> None: ...
    def on_ping(self, flags: int, number: int, payload: bytes) -> None: ...
    def on_goaway(self, flags: int, number: int, payload: bytes) -> None: ...
    def on_window_update(self, flags: int, number: int, payload: bytes) -> None: ...
    def on_empty(self) -> None: ...
    def on_unknown(self) -> None: ...


class FrameReader:
    """Reads what a client sends, from its preface on."""

    __slots__ = ("_block", "_block_flags", "_block_stream", "_handlers", "_listener", "_need", "_rest", "_settled")

    def __init__(self, listener: FrameListener) -> None:
        self._listener = listener
        self._rest = bytearray()  # a frame that is not whole
        self._need = len(PREFACE)  # bytes it takes to go on
        self._settled = False  # the preface and the client's first SETTINGS have come
        self._block: bytearray | None = None  # of a header block that goes on in CONTINUATION
        self._block_flags = self._block_stream = 0
        self._handlers: tuple[Callable[[int, int, bytes], None], ...] = (
            listener.on_data,
            self._headers,
            listener.on_priority,
            listener.on_reset,
            listener.on_settings,
            listener.on_push,
            listener.on_ping,
            listener.on_goaway,
            listener.on_window_update,
            self._continuation,
        )

    def feed(self, data: bytes) -> None:
        """Read *data*. Raises :class:`ConnectionFault`, and what the listener raises."""
        rest = self._rest
        if rest:
            rest += data
            if len(rest) < self._need:
                return
            data = bytes(rest)
            rest.clear()
        position = 0
        if not self._settled:
            position = self._read_preface(data)
            if position < 0:
                return
        size = len(data)
        handlers = self._handlers
        while size - position >= 9:
            length = data[position] << 16 | data[position + 1] << 8 | data[position + 2]
            if length > FRAME_SIZE:
                raise ConnectionFault(Code.FRAME_SIZE_ERROR, "a frame that is too large")
            start = position + 9
            end = start + length
            if end > size:
                break
            kind = data[position + 3]
            if self._block is not None and kind != CONTINUATION:
                raise ConnectionFault(Code.PROTOCOL_ERROR, "a frame within a header block")
            flags = data[position + 4]
            number = int.from_bytes(data[position + 5 : start], "big") & WINDOW_LIMIT
            if kind < 10:
                handlers[kind](flags, number, data[start:end])
            else:
                self._listener.on_unknown()
            position = end
        if position < size:
            rest += data[position:] if position else data
            self._need = 9 if size - position < 9 else end - position

    def _read_preface(self, data: bytes) -> int:
        """Check the preface; the position behind it, or -1 while it is not whole. SETTINGS must follow."""
        if not PREFACE.startswith(data[: len(PREFACE)]):
            raise ConnectionFault(Code.PROTOCOL_ERROR, "no preface")
        if len(data) < len(PREFACE) + 9:
            self._rest += data
            self._need = len(PREFACE) + 9
            return -1
        if data[len(PREFACE) + 3] != SETTINGS or data[len(PREFACE) + 4] & ACK:
            raise ConnectionFault(Code.PROTOCOL_ERROR, "no SETTINGS behind the preface")
        self._settled = True
        return len(PREFACE)

    def _headers(self, flags: int, number: int, payload: bytes) -> None:
        if flags & (PADDED | PRIORITIZED):
            payload = unpad(flags, payload)
            if flags & PRIORITIZED:
                if len(payload) < 5:
                    raise ConnectionFault(Code.FRAME_SIZE_ERROR, "HEADERS without its priority")
                check_dependency(number, payload)
                payload = payload[5:]
        if not number:
            raise ConnectionFault(Code.PROTOCOL_ERROR, "HEADERS on stream 0")
        if flags & END_HEADERS:
            self._listener.on_headers(flags, number, payload)
        else:
            if not payload:
                self._listener.on_empty()
            self._block = bytearray(payload)
            self._block_flags, self._block_stream = flags, number

    def _continuation(self, flags: int, number: int, payload: bytes) -> None:
        block = self._block
        if block is None or number != self._block_stream:
            raise ConnectionFault(Code.PROTOCOL_ERROR, "CONTINUATION of nothing")
        if not payload:
            self._listener.on_empty()
        block += payload
        if len(block) > _BLOCK:
            raise ConnectionFault(Code.ENHANCE_YOUR_CALM, "a header block without end")
        if flags & END_HEADERS:
            self._block = None
            self._listener.on_headers(self._block_flags, number, bytes(block))
