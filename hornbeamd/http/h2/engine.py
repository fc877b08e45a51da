"""HTTP/2 as the server of a connection has it, sans I/O: bytes in, calls of a listener out, and bytes to send.

Frames are read by hand and header blocks by :mod:`hornbeamd.http.h2.headers`. What RFC 9113 calls a stream error ends
the whole connection where no client in earnest makes it (a window overflow, say): resets that a client provokes are an
attack (MadeYouReset). Malformed requests do not: behind a proxy one connection carries the requests of many.

:mod:`hornbeamd.http.h2.reference` has the same methods over the ``h2`` library.
"""

from __future__ import annotations

from collections import deque

from hornbeamd.errors import ProtocolError
from hornbeamd.http.h2 import frames
from hornbeamd.http.h2.floods import EMPTIES, RESETS, Floods
from hornbeamd.http.h2.frames import (
    ACK,
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    FRAME_SIZE,
    HEADERS,
    PADDED,
    PUSH_PROMISE,
    WINDOW,
    WINDOW_LIMIT,
    Code,
    ConnectionFault,
    Setting,
    StreamFault,
    check_dependency,
    frame_head,
    unpad,
)
from hornbeamd.http.h2.headers import LIST_SIZE, HeaderReader
from hornbeamd.http.h2.reading import FrameReader
from hornbeamd.http.h2.stream import Listener, Stream, Terms

# Streams that we have reset or left early: what the client sends on them was under way. So many are remembered at
# least, and all that can be under way at once.
_LEFT = 256


class NativeEngine:
    """The server's side of one connection. *now* arguments are seconds of any clock."""

    __slots__ = (
        "_connection_credit",
        "_data_frames",
        "_floods",
        "_headers",
        "_left",
        "_listener",
        "_next_push",
        "_opened",
        "_peer_streams",
        "_peer_window",
        "_reader",
        "_receivable",
        "_table_announced",
        "_terms",
        "closing",
        "last_stream",
        "now",
        "out",
        "push_enabled",
        "sendable",
        "streams",
    )

    def __init__(self, listener: Listener, terms: Terms, now: float) -> None:
        self._listener = listener
        self._terms = terms
        self._floods = Floods(now)
        self._headers = HeaderReader(terms.limits)
        self._peer_window = WINDOW
        self._receivable = terms.connection_window
        self._connection_credit = 0
        self._left: deque[int] = deque(maxlen=max(_LEFT, terms.streams))
        self._opened = self._data_frames = 0
        self._table_announced = False
        self._next_push = 2
        self._peer_streams = WINDOW_LIMIT
        self.now = now
        self.streams: dict[int, Stream] = {}
        self.last_stream = 0
        """The highest stream that a client has opened."""
        self.closing = False
        """New streams are ignored: the client was told so."""
        self.push_enabled = True
        self.sendable = WINDOW
        """Bytes that the client takes on all streams together."""
        self.out: list[bytes] = [
            frames.settings(
                {
                    Setting.MAX_CONCURRENT_STREAMS: terms.streams,
                    Setting.INITIAL_WINDOW_SIZE: terms.stream_window,
                    Setting.MAX_HEADER_LIST_SIZE: LIST_SIZE,
                    Setting.ENABLE_CONNECT_PROTOCOL: 1,
                }
            ),
            frames.window_update(0, terms.connection_window - WINDOW),
        ]
        """What is to be sent, in this order; the owner empties it."""
        self._reader = FrameReader(self)

    # --- reading ---------------------------------------------------------------------------------------------------

    def feed(self, data: bytes, now: float) -> None:
        """Read *data*. Raises :class:`ConnectionFault`; the engine is of no use for reading afterwards."""
        self.now = now
        self._reader.feed(data)

    def on_headers(self, flags: int, number: int, block: bytes) -> None:
        """A whole header block, in however many frames it came."""
        ended = bool(flags & END_STREAM)
        stream = self.streams.get(number)
        if stream is not None:
            self._trailers(stream, block, ended)
            return
        if number <= self.last_stream or not number & 1:
            self._headers.decode(block)
            if number in self._left:
                self._floods.spend(RESETS, self.now)
                return
            code = Code.STREAM_CLOSED if number & 1 else Code.PROTOCOL_ERROR
            raise ConnectionFault(code, "HEADERS on a stream that is not the client's to open")
        if self.closing:
            self._headers.decode(block)
            return
        self.last_stream = number
        self._opened += 1
        if len(self.streams) >= self._terms.streams:
            self._headers.decode(block)
            self._refuse(number, Code.REFUSED_STREAM)
            return
        stream = Stream(number, self._peer_window, self._terms.stream_window, ended)
        try:
            request = self._headers.request(block, ended)
        except StreamFault as fault:
            self._refuse(number, fault.code)
            return
        except ProtocolError as error:
            self.streams[number] = stream
            self._listener.request_refused(stream, error)
            return
        self.streams[number] = stream
        self._listener.request_came(stream, request, ended)

    def _refuse(self, number: int, code: Code) -> None:
        self.out.append(frames.rst_stream(number, code))
        self._left.append(number)
        self._floods.spend(RESETS, self.now)

    def _trailers(self, stream: Stream, block: bytes, ended: bool) -> None:
        if stream.remote_done:
            raise ConnectionFault(Code.STREAM_CLOSED, "HEADERS behind the end of a stream")
        try:
            if not ended:
                self._headers.decode(block)
                raise StreamFault(Code.PROTOCOL_ERROR, "trailers without the end of the stream")
            self._headers.trailers(block)
        except StreamFault as fault:
            self._fault(stream, fault.code)
            return
        self._take(stream, b"", True)

    def _fault(self, stream: Stream, code: Code) -> None:
        """Reset *stream*, and tell the listener: before the budget, which may end the connection."""
        self.reset(stream, code)
        self._listener.stream_reset(stream)
        self._floods.spend(RESETS, self.now)

    def blame(self) -> None:
        """Count a stream that ends before its time because of the client. Raises :class:`ConnectionFault`."""
        self._floods.spend(RESETS, self.now)

    def on_data(self, flags: int, number: int, payload: bytes) -> None:
        size = len(payload)
        if flags & PADDED:
            payload = unpad(flags, payload)
        self._receivable -= size
        if self._receivable < 0:
            raise ConnectionFault(Code.FLOW_CONTROL_ERROR, "more data than the window of the connection")
        if not payload and not flags & END_STREAM:
            self._floods.spend(EMPTIES, self.now)
        stream = self.streams.get(number)
        if stream is None:
            self._data_on_closed(number, size)
            return
        if stream.remote_done:
            raise ConnectionFault(Code.STREAM_CLOSED, "DATA behind the end of a stream")
        stream.receivable -= size
        if stream.receivable < 0:
            raise ConnectionFault(Code.FLOW_CONTROL_ERROR, "more data than the window of the stream")
        if size > len(payload):
            self.consumed(stream, size - len(payload))
        ended = bool(flags & END_STREAM)
        if payload or ended:
            self._take(stream, payload, ended)

    def _take(self, stream: Stream, data: bytes, ended: bool) -> None:
        stream.remote_done = ended
        stream.received += len(data)
        try:
            self._listener.data_came(stream, data, ended)
        except StreamFault as fault:
            self._fault(stream, fault.code)

    def _data_on_closed(self, number: int, size: int) -> None:
        if number not in self._left:
            code = Code.STREAM_CLOSED if 0 < number <= self.last_stream else Code.PROTOCOL_ERROR
            if not (self.closing and number > self.last_stream):
                raise ConnectionFault(code, "DATA on a stream that is not open")
        self._give_back(size)

    def on_reset(self, flags: int, number: int, payload: bytes) -> None:
        if len(payload) != 4:
            raise ConnectionFault(Code.FRAME_SIZE_ERROR, "RST_STREAM of a wrong size")
        if not number or self._idle(number):
            raise ConnectionFault(Code.PROTOCOL_ERROR, "RST_STREAM on an idle stream")
        self._floods.spend(RESETS, self.now)
        stream = self.streams.pop(number, None)
        if stream is not None:
            self._left.append(number)
            self._listener.stream_reset(stream)

    def on_settings(self, flags: int, number: int, payload: bytes) -> None:
        if number:
            raise ConnectionFault(Code.PROTOCOL_ERROR, "SETTINGS on a stream")
        if len(payload) % 6 or (flags & ACK and payload):
            raise ConnectionFault(Code.FRAME_SIZE_ERROR, "SETTINGS of a wrong size")
        self._control()
        if flags & ACK:
            return
        window = self._peer_window
        for key, value in frames.read_settings(payload):
            if key == Setting.INITIAL_WINDOW_SIZE:
                if value > WINDOW_LIMIT:
                    raise ConnectionFault(Code.FLOW_CONTROL_ERROR, "INITIAL_WINDOW_SIZE is too large")
                window = value  # the last holds: all streams are gone through once for a frame
            elif key == Setting.ENABLE_PUSH:
                if value > 1:
                    raise ConnectionFault(Code.PROTOCOL_ERROR, "ENABLE_PUSH is neither 0 nor 1")
                self.push_enabled = bool(value)
            elif key == Setting.MAX_FRAME_SIZE and not FRAME_SIZE <= value < 2**24:
                raise ConnectionFault(Code.PROTOCOL_ERROR, "MAX_FRAME_SIZE out of range")
            elif key == Setting.MAX_CONCURRENT_STREAMS:
                self._peer_streams = value
        if window != self._peer_window:
            self._change_windows(window)
        self.out.append(frames.SETTINGS_ACK)

    def _change_windows(self, size: int) -> None:
        """Change the windows of all streams (section 6.9.2)."""
        more = size - self._peer_window
        self._peer_window = size
        for stream in self.streams.values():
            stream.sendable += more
            if stream.sendable > WINDOW_LIMIT:
                raise ConnectionFault(Code.FLOW_CONTROL_ERROR, "a window beyond its limit")
        if more > 0:
            self._listener.room_made(None)

    def on_ping(self, flags: int, number: int, payload: bytes) -> None:
        if number:
            raise ConnectionFault(Code.PROTOCOL_ERROR, "PING on a stream")
        if len(payload) != 8:
            raise ConnectionFault(Code.FRAME_SIZE_ERROR, "PING of a wrong size")
        self._control()
        if not flags & ACK:
            self.out.append(frames.ping_ack(payload))

    def on_goaway(self, flags: int, number: int, payload: bytes) -> None:
        if number or len(payload) < 8:
            code = Code.PROTOCOL_ERROR if number else Code.FRAME_SIZE_ERROR
            raise ConnectionFault(code, "GOAWAY that is none")
        self._control()  # the client will close when it has its answers; until then all goes on

    def on_window_update(self, flags: int, number: int, payload: bytes) -> None:
        if len(payload) != 4:
            raise ConnectionFault(Code.FRAME_SIZE_ERROR, "WINDOW_UPDATE of a wrong size")
        increment = int.from_bytes(payload, "big") & WINDOW_LIMIT
        if not increment:
            raise ConnectionFault(Code.PROTOCOL_ERROR, "WINDOW_UPDATE by nothing")
        self._floods.update(self._data_frames, self.now)
        if not number:
            self.sendable += increment
            if self.sendable > WINDOW_LIMIT:
                raise ConnectionFault(Code.FLOW_CONTROL_ERROR, "a window beyond its limit")
            self._listener.room_made(None)
            return
        stream = self.streams.get(number)
        if stream is None:
            if self._idle(number):
                raise ConnectionFault(Code.PROTOCOL_ERROR, "WINDOW_UPDATE on an idle stream")
            return
        stream.sendable += increment
        if stream.sendable > WINDOW_LIMIT:
            raise ConnectionFault(Code.FLOW_CONTROL_ERROR, "a window beyond its limit")
        self._listener.room_made(stream)

    def on_priority(self, flags: int, number: int, payload: bytes) -> None:
        """Priorities of this kind are deprecated (section 5.3.2): checked, then ignored."""
        if not number:
            raise ConnectionFault(Code.PROTOCOL_ERROR, "PRIORITY on stream 0")
        if len(payload) != 5:
            raise ConnectionFault(Code.FRAME_SIZE_ERROR, "PRIORITY of a wrong size")
        check_dependency(number, payload)
        self._control()

    def on_push(self, flags: int, number: int, payload: bytes) -> None:
        raise ConnectionFault(Code.PROTOCOL_ERROR, "PUSH_PROMISE from a client")

    def _idle(self, number: int) -> bool:
        """Nobody has opened this stream yet. Of streams that we ignore while we close, nothing is known."""
        return number >= self._next_push if not number & 1 else number > self.last_stream and not self.closing

    def on_empty(self) -> None:
        """A frame of a header block that holds nothing."""
        self._floods.spend(EMPTIES, self.now)

    def on_unknown(self) -> None:
        """Frames of unknown types are ignored (section 4.1), but for being counted."""
        self._control()

    def _control(self) -> None:
        self._floods.control(self._opened, self.now)

    def let_go(self) -> None:
        """Read no more, and hold neither the listener nor the reader: no cycle is left for the collector."""
        del self._listener, self._reader

    # --- windows of the client ---------------------------------------------------------------------------------------

    def consumed(self, stream: Stream, size: int) -> None:
        """*size* bytes of a request body have been taken, or thrown away: the client may send as many more."""
        if not stream.remote_done and stream.id in self.streams:
            stream.credit += size
            if 2 * stream.credit >= self._terms.stream_window:
                self.out.append(frames.window_update(stream.id, stream.credit))
                stream.receivable += stream.credit
                stream.credit = 0
        self._give_back(size)

    def _give_back(self, size: int) -> None:
        self._connection_credit += size
        if 2 * self._connection_credit >= self._terms.connection_window:
            self.out.append(frames.window_update(0, self._connection_credit))
            self._receivable += self._connection_credit
            self._connection_credit = 0

    # --- writing -----------------------------------------------------------------------------------------------------

    def room(self, stream: Stream) -> int:
        """Bytes of data that may be sent on *stream* now; not positive when it has to wait."""
        return min(stream.sendable, self.sendable)

    def headers(self, stream: Stream, block: bytes, end: bool) -> None:
        """Send *block*, made of literals (``fields.literal``): a response, early hints or trailers."""
        block = self._announced(block)
        size = len(block)
        if size <= FRAME_SIZE:
            flags = END_HEADERS | END_STREAM if end else END_HEADERS
            self.out.append(frame_head(size, HEADERS, flags, stream.id) + block)
        else:
            self._long_headers(stream.id, block, end)
        if end:
            self._sent_end(stream)

    def _announced(self, block: bytes) -> bytes:
        if self._table_announced:
            return block
        # Our blocks never use the dynamic table: a first size of 0 holds for whatever the client sets.
        self._table_announced = True
        return b"\x20" + block

    def push(self, parent: Stream, block: bytes) -> Stream | None:
        """Promise on *parent* the response to the request in *block* (section 8.4); None where that cannot be now."""
        pushed = sum(1 for number in self.streams if not number & 1)
        full = pushed >= self._peer_streams or len(self.streams) >= self._terms.streams
        number = self._next_push
        if full or not self.push_enabled or self.closing or number > WINDOW_LIMIT or parent.id not in self.streams:
            return None
        if len(block) >= FRAME_SIZE - 4:
            return None
        self._next_push = number + 2
        payload = number.to_bytes(4, "big") + self._announced(block)
        self.out.append(frame_head(len(payload), PUSH_PROMISE, END_HEADERS, parent.id) + payload)
        stream = self.streams[number] = Stream(number, self._peer_window, 0, True)
        return stream

    def _long_headers(self, number: int, block: bytes, end: bool) -> None:
        kind, flags = HEADERS, END_STREAM if end else 0
        for start in range(0, len(block), FRAME_SIZE):
            part = block[start : start + FRAME_SIZE]
            if start + FRAME_SIZE >= len(block):
                flags |= END_HEADERS
            self.out.append(frame_head(len(part), kind, flags, number) + part)
            kind, flags = CONTINUATION, 0

    def data(self, stream: Stream, data: bytes, end: bool) -> None:
        """Send *data*, which is no longer than :meth:`room` says."""
        size = len(data)
        self.sendable -= size
        stream.sendable -= size
        out = self.out
        if size <= FRAME_SIZE:
            self._data_frames += 1
            out.append(frame_head(size, DATA, END_STREAM if end else 0, stream.id))
            if size:
                out.append(data)
        else:
            view = memoryview(data)
            for start in range(0, size, FRAME_SIZE):
                part = view[start : start + FRAME_SIZE]
                last = end and start + FRAME_SIZE >= size
                self._data_frames += 1
                out.append(frame_head(len(part), DATA, END_STREAM if last else 0, stream.id))
                out.append(part)  # type: ignore[arg-type]
        if end:
            self._sent_end(stream)

    def _sent_end(self, stream: Stream) -> None:
        if self.streams.pop(stream.id, None) is not None and not stream.remote_done:
            # The answer needed no more of the request (section 8.1).
            self.out.append(frames.rst_stream(stream.id, Code.NO_ERROR))
            self._left.append(stream.id)

    def reset(self, stream: Stream, code: Code) -> None:
        """Give up *stream*."""
        if self.streams.pop(stream.id, None) is not None:
            self.out.append(frames.rst_stream(stream.id, code))
            self._left.append(stream.id)

    def goaway(self, code: Code, reason: str = "", final: bool = True) -> None:
        """Say that the connection ends; if not *final*, streams that are under way are still taken (section 6.8)."""
        self.out.append(frames.goaway(self.last_stream if final else WINDOW_LIMIT, code, reason))
        self.closing = self.closing or final
