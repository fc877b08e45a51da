"""HTTP/2 as bytes: frames that may be as wrong as a test wants them, and an engine whose every call is written down."""

import struct
from dataclasses import dataclass, field
from typing import Any

from hornbeamd.errors import ProtocolError
from hornbeamd.http.exchange import Request
from hornbeamd.http.h1.reader import Limits
from hornbeamd.http.h2.engines import engine_factory
from hornbeamd.http.h2.fields import STATUS_FIELDS
from hornbeamd.http.h2.frames import ACK, END_HEADERS, END_STREAM, PREFACE, Code, ConnectionFault
from hornbeamd.http.h2.stream import Stream, Terms

ENGINES = ("native", "h2")

DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)

LIMITS = Limits(request_line=4094, header=8190, headers=100, body=1 << 40)
TERMS = Terms(streams=8, stream_window=65535, connection_window=131072, limits=LIMITS)

Pair = tuple[bytes, bytes]


def frame(kind: int, flags: int = 0, stream: int = 0, payload: bytes = b"", length: int | None = None) -> bytes:
    """A frame; *length* where it is to lie about its own."""
    size = len(payload) if length is None else length
    return size.to_bytes(3, "big") + bytes((kind, flags)) + stream.to_bytes(4, "big") + payload


def block(*pairs: Pair) -> bytes:
    """Fields as literals, which leave all tables alone."""
    return b"".join(b"\0" + _string(name) + _string(value) for name, value in pairs)


def _string(text: bytes) -> bytes:
    size = len(text)
    if size < 127:
        return bytes((size,)) + text
    coded = bytearray((127,))
    size -= 127
    while size >= 128:
        coded.append(size & 127 | 128)
        size >>= 7
    coded.append(size)
    return bytes(coded) + text


def pseudo(method: bytes = b"GET", path: bytes = b"/", scheme: bytes = b"http", authority: bytes = b"a") -> list[Pair]:
    return [(b":method", method), (b":scheme", scheme), (b":authority", authority), (b":path", path)]


def request(stream: int = 1, *fields: Pair, end: bool = True, method: bytes = b"GET", path: bytes = b"/") -> bytes:
    """A request in one frame."""
    return headers(stream, [*pseudo(method, path), *fields], end=end)


def headers(stream: int, pairs: list[Pair], *, end: bool = True) -> bytes:
    """Any fields in one frame."""
    return frame(HEADERS, END_HEADERS | (END_STREAM if end else 0), stream, block(*pairs))


def data(stream: int, payload: bytes = b"", *, end: bool = False) -> bytes:
    return frame(DATA, END_STREAM if end else 0, stream, payload)


def settings(*pairs: tuple[int, int]) -> bytes:
    return frame(SETTINGS, 0, 0, b"".join(struct.pack("!HI", key, value) for key, value in pairs))


def window_update(stream: int, increment: int) -> bytes:
    return frame(WINDOW_UPDATE, 0, stream, struct.pack("!I", increment))


def reset(stream: int, code: int = Code.CANCEL) -> bytes:
    return frame(RST_STREAM, 0, stream, struct.pack("!I", code))


def ping(payload: bytes = b"12345678", flags: int = 0) -> bytes:
    return frame(PING, flags, 0, payload)


def priority(stream: int, depends_on: int = 0) -> bytes:
    return frame(PRIORITY, 0, stream, struct.pack("!IB", depends_on, 15))


def goaway(last: int = 0, code: int = 0) -> bytes:
    return frame(GOAWAY, 0, 0, struct.pack("!II", last, code))


SETTINGS_ACK = frame(SETTINGS, ACK)
OPENING = PREFACE + settings()
"""What every client sends first."""


@dataclass(frozen=True)
class Frame:
    """One that came."""

    kind: int
    flags: int
    stream: int
    payload: bytes

    @property
    def code(self) -> Code:
        """Of an RST_STREAM or GOAWAY."""
        start = 4 if self.kind == GOAWAY else 0
        return Code(int.from_bytes(self.payload[start : start + 4], "big"))


def parse(sent: bytes) -> list[Frame]:
    """Frames out of bytes, all of them whole."""
    found = []
    while sent:
        end = 9 + int.from_bytes(sent[:3], "big")
        assert len(sent) >= end, "a frame that is not whole"
        number = int.from_bytes(sent[5:9], "big") & 0x7FFFFFFF
        found.append(Frame(sent[3], sent[4], number, sent[9:end]))
        sent = sent[end:]
    return found


@dataclass
class Seen:
    """One request, as its application would see it."""

    stream: Stream
    request: Request
    body: bytearray = field(default_factory=bytearray)
    ended: bool = False
    reset: bool = False


class Talk:
    """A client's talk with an engine. The listener writes down what came, and takes all data at once."""

    def __init__(self, engine: str, terms: Terms = TERMS, *, opening: bool = True, takes: bool = True) -> None:
        self.seen: dict[int, Seen] = {}
        self.refused: dict[int, int] = {}
        """Streams -> the status that they were answered with before any application."""
        self.rooms: list[int] = []
        self.fault: ConnectionFault | None = None
        self.takes = takes
        self.engine: Any = engine_factory(engine)(self, terms, 0.0)
        self.first = self.sent()
        if opening:
            self.feed(OPENING)
            assert [each.kind for each in self.sent()] == [SETTINGS]

    # --- a client's side ---

    def feed(self, *pieces: bytes, now: float = 0.0) -> "Talk":
        """Send bytes, until the connection has ended."""
        for piece in pieces:
            if self.fault is None:
                try:
                    self.engine.feed(piece, now)
                except ConnectionFault as fault:
                    self.fault = fault
        return self

    def sent(self) -> list[Frame]:
        """What the server has sent since the last time."""
        out = b"".join(bytes(part) for part in self.engine.out)
        self.engine.out.clear()
        return parse(out)

    def resets(self) -> dict[int, Code]:
        return {each.stream: each.code for each in self.sent() if each.kind == RST_STREAM}

    def answer(self, stream: int = 1, body: bytes = b"", *, head: bool = True, end: bool = True) -> None:
        """Answer a request with 200."""
        found = self.seen[stream].stream
        if head:
            self.engine.headers(found, STATUS_FIELDS[200], end and not body)
        if body or not head:
            self.engine.data(found, body, end)

    # --- the listener's ---

    def request_came(self, stream: Stream, request: Request, ended: bool) -> None:
        self.seen[stream.id] = Seen(stream, request, ended=ended)

    def request_refused(self, stream: Stream, error: ProtocolError) -> None:
        self.refused[stream.id] = error.status
        self.engine.headers(stream, STATUS_FIELDS[error.status], True)

    def data_came(self, stream: Stream, data: bytes, ended: bool) -> None:
        seen = self.seen.get(stream.id)
        if seen is not None:
            seen.body += data
            seen.ended = ended
        if self.takes:
            self.engine.consumed(stream, len(data))

    def stream_reset(self, stream: Stream) -> None:
        if stream.id in self.seen:
            self.seen[stream.id].reset = True

    def room_made(self, stream: Stream | None) -> None:
        self.rooms.append(stream.id if stream is not None else 0)
