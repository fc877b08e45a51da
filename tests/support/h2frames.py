"""HTTP/2 frames made by hand, and a client of an engine without a socket: it sends what no library would."""

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from hornbeamd.errors import ProtocolError
from hornbeamd.http.exchange import Request
from hornbeamd.http.h1.reader import Limits
from hornbeamd.http.h2.frames import (
    ACK,
    DATA,
    END_HEADERS,
    END_STREAM,
    GOAWAY,
    HEADERS,
    PREFACE,
    RST_STREAM,
    SETTINGS,
    WINDOW_UPDATE,
    Code,
    ConnectionFault,
)
from hornbeamd.http.h2.stream import Stream, Terms

LIMITS = Limits(request_line=4094, header=8190, headers=100, body=1 << 40)

Pair = tuple[bytes, bytes]
EngineFactory = Callable[[Any, Terms, float], Any]


class Frame(NamedTuple):
    """A frame as it came."""

    kind: int
    flags: int
    stream: int
    payload: bytes


def word(value: int) -> bytes:
    return value.to_bytes(4, "big")


def frame(kind: int, flags: int = 0, stream: int = 0, payload: bytes = b"", length: int | None = None) -> bytes:
    """One frame; *length* where the frame is to lie about it."""
    size = len(payload) if length is None else length
    return size.to_bytes(3, "big") + bytes((kind, flags)) + word(stream) + payload


def read_frames(data: bytes) -> list[Frame]:
    """The frames in *data*, which must end with the last."""
    found = []
    while data:
        end = 9 + int.from_bytes(data[:3], "big")
        assert len(data) >= end, f"a frame is not whole: {data!r}"
        found.append(Frame(data[3], data[4], int.from_bytes(data[5:9], "big"), data[9:end]))
        data = data[end:]
    return found


def string(text: bytes) -> bytes:
    """A string literal, not Huffman-coded (RFC 7541, section 5.2)."""
    if len(text) < 127:
        return bytes((len(text),)) + text
    more, coded = len(text) - 127, bytearray((127,))
    while more >= 128:
        coded.append(more & 127 | 128)
        more >>= 7
    coded.append(more)
    return bytes(coded) + text


def block(fields: Iterable[Pair]) -> bytes:
    """A header block of literals that need no table (RFC 7541, section 6.2.2): any order of sending is right."""
    return b"".join(b"\0" + string(name) + string(value) for name, value in fields)


GET = ((b":method", b"GET"), (b":scheme", b"http"), (b":authority", b"a"), (b":path", b"/"))
POST = ((b":method", b"POST"), *GET[1:])


def headers(stream: int, *fields: Pair, end: bool = True, whole: bool = True, flags: int = 0) -> bytes:
    """HEADERS with *fields*, or those of a GET where there are none."""
    flags |= (END_STREAM if end else 0) | (END_HEADERS if whole else 0)
    return frame(HEADERS, flags, stream, block(fields or GET))


def post(stream: int, *fields: Pair) -> bytes:
    """The head of a POST, whose body is to follow."""
    return headers(stream, *POST, *fields, end=False)


def data(stream: int, content: bytes = b"", end: bool = False, flags: int = 0) -> bytes:
    return frame(DATA, flags | (END_STREAM if end else 0), stream, content)


def padded(content: bytes, length: int) -> bytes:
    """A payload with its padding (section 6.1)."""
    return bytes((length,)) + content + bytes(length)


def setting(*pairs: tuple[int, int], flags: int = 0, stream: int = 0) -> bytes:
    payload = b"".join(key.to_bytes(2, "big") + word(value) for key, value in pairs)
    return frame(SETTINGS, flags, stream, payload)


def reset(stream: int, code: int = Code.CANCEL) -> bytes:
    return frame(RST_STREAM, 0, stream, word(code))


def window(stream: int, increment: int) -> bytes:
    return frame(WINDOW_UPDATE, 0, stream, word(increment))


OPENING = PREFACE + setting()


class Client:
    """Talks to one engine, and is its listener. Frames are given to it one at a time.

    Everything that the engine tells its owner is in :attr:`calls`; a fault ends the connection.
    """

    def __init__(
        self,
        engine: EngineFactory,
        opening: bytes = OPENING,
        *,
        streams: int = 100,
        stream_window: int = 65535,
        connection_window: int = 1 << 20,
        limits: Limits = LIMITS,
    ) -> None:
        self.calls: list[tuple[Any, ...]] = []
        self.streams: dict[int, Stream] = {}
        self.requests: dict[int, Request] = {}
        self.bodies: dict[int, bytes] = {}
        self.fault: Code | None = None
        self.now = 0.0
        self.frames: list[Frame] = []
        """All that came from the engine so far."""
        self.engine = engine(self, Terms(streams, stream_window, connection_window, limits), 0.0)
        if opening:
            self.send(opening)
            assert self.fault is None

    # --- sending ---

    def send(self, *pieces: bytes) -> "Client":
        """Send *pieces*, each in a read of its own, until one of them ends the connection."""
        for piece in pieces:
            if self.fault is not None:
                break
            try:
                self.engine.feed(piece, self.now)
            except ConnectionFault as fault:
                self.fault = fault.code
        self.frames += read_frames(b"".join(bytes(part) for part in self.engine.out))
        self.engine.out.clear()
        return self

    def answer(self, number: int, body: bytes = b"", end: bool = True) -> None:
        """Answer 200 on stream *number*."""
        stream = self.streams[number]
        self.engine.headers(stream, b"\x88", end and not body)
        if body:
            self.engine.data(stream, body, end)
        self.send()

    # --- what came ---

    @property
    def kinds(self) -> list[str]:
        """What the engine told its owner, in short."""
        return [call[0] for call in self.calls]

    def of(self, kind: int, stream: int | None = None) -> list[Frame]:
        """The frames of *kind* that came, of *stream* or of all."""
        return [each for each in self.frames if each.kind == kind and stream in (None, each.stream)]

    def reset_code(self, stream: int) -> int | None:
        """The code with which the engine has first reset *stream*, if it has."""
        found = self.of(RST_STREAM, stream)
        return int.from_bytes(found[0].payload, "big") if found else None

    def refuses(self, stream: int, *codes: Code) -> bool:
        """Tell whether the connection, or *stream*, was ended with one of *codes*."""
        return (self.reset_code(stream) if self.fault is None else self.fault) in codes

    def credit(self, stream: int) -> int:
        """What all WINDOW_UPDATE frames for *stream* come to."""
        return sum(int.from_bytes(each.payload, "big") for each in self.of(WINDOW_UPDATE, stream))

    def acks(self, kind: int) -> int:
        return sum(1 for each in self.of(kind) if each.flags & ACK)

    def alive(self) -> bool:
        """Tell whether a request on a new stream still arrives."""
        if self.fault is not None or self.of(GOAWAY):
            return False
        number = self.engine.last_stream + 2 | 1
        self.send(headers(number))
        return number in self.requests

    # --- the listener ---

    def request_came(self, stream: Stream, request: Request, ended: bool) -> None:
        self.calls.append(("request", stream.id, request.method, request.target, request.headers, ended))
        self.streams[stream.id] = stream
        self.requests[stream.id] = request
        self.bodies[stream.id] = b""

    def request_refused(self, stream: Stream, error: ProtocolError) -> None:
        self.calls.append(("refused", stream.id, error.status))
        self.streams[stream.id] = stream

    def data_came(self, stream: Stream, data: bytes, ended: bool) -> None:
        self.calls.append(("data", stream.id, bytes(data), ended))
        self.bodies[stream.id] = self.bodies.get(stream.id, b"") + data

    def stream_reset(self, stream: Stream) -> None:
        self.calls.append(("reset", stream.id))

    def room_made(self, stream: Stream | None) -> None:
        self.calls.append(("room", stream and stream.id))
