"""Any frames, in any chunking: the short path says what wsproto says, and no bytes make a session fail or hang."""

from __future__ import annotations

import itertools
import struct
from collections.abc import Iterable, Iterator

from hypothesis import given, settings
from hypothesis import strategies as st
from wsproto.frame_protocol import FrameProtocol, Opcode, ParseFailed

from hornbeamd.http.websocket.deflate import agree
from hornbeamd.http.websocket.frames import PART, Control, Frames
from hornbeamd.http.websocket.session import Session
from tests.support.websocket import frame, server_frames

LIMIT = 300

masks = st.binary(min_size=4, max_size=4)
texts = st.text(max_size=150).map(str.encode)
payloads = st.one_of(texts, st.binary(max_size=150), st.just(b"x" * LIMIT))
good = st.builds(frame, st.sampled_from([1, 2, 9, 10]), texts, mask=masks)
fragments = st.builds(
    lambda opcode, parts, mask: b"".join(
        frame(0 if at else opcode, part, fin=at == len(parts) - 1, mask=mask) for at, part in enumerate(parts)
    ),
    st.sampled_from([1, 2]),
    st.lists(payloads, min_size=1, max_size=4),
    masks,
)
closes = st.builds(
    lambda code, reason: frame(8, struct.pack("!H", code) + reason[:100]), st.integers(0, 65535), payloads
)
anything = st.builds(
    frame,
    st.integers(0, 15),
    payloads,
    fin=st.booleans(),
    rsv=st.integers(0, 7),
    mask=st.one_of(masks, st.none()),
)
mutated = st.builds(
    lambda data, at, byte: data[: at % len(data)] + bytes((byte,)) + data[at % len(data) + 1 :],
    st.one_of(good, fragments),
    st.integers(0, 400),
    st.integers(0, 255),
)
streams = st.lists(
    st.one_of(good, good, fragments, fragments, closes, anything, mutated, st.binary(max_size=20)), max_size=12
).map(b"".join)
cuts = st.lists(st.integers(0, 2000), max_size=20)


def pieces(data: bytes, at: list[int]) -> Iterator[bytes]:
    edges = sorted({edge % (len(data) + 1) for edge in at} | {0, len(data)})
    for start, end in itertools.pairwise(edges):
        yield data[start:end]


def outcome(limit: int, parts: Iterable[bytes]) -> list[object]:
    """The messages and control frames, and the close code for what is wrong."""
    frames = Frames(limit)
    found: list[object] = []
    for part in parts:
        frames.feed(part)
        try:
            while (event := frames.next()) is not None:
                if event is not PART:
                    found.append(event)
                if isinstance(event, Control) and event.opcode == Opcode.CLOSE:
                    return found
        except ParseFailed as error:
            return [*found, int(error.code)]
    return found


def reference(data: bytes) -> list[object]:
    """The same by wsproto alone, frame by frame; messages above the limit are judged by their sum."""
    protocol = FrameProtocol(False, [])
    protocol.receive_bytes(data)
    found: list[object] = []
    message: list[str | bytes] = []
    try:
        for part in protocol.received_frames():
            if part.opcode.iscontrol():
                found.append(Control(int(part.opcode), part.payload))
                if part.opcode is Opcode.CLOSE:
                    break
                continue
            message.append(part.payload)  # type: ignore[arg-type]
            if part.message_finished:
                found.append("".join(message) if part.opcode is Opcode.TEXT else b"".join(message))  # type: ignore[arg-type]
                message = []
    except ParseFailed as error:
        found.append(int(error.code))
    return found


@settings(max_examples=150, deadline=None)
@given(streams, cuts)
def test_any_chunking_gives_the_same(data: bytes, at: list[int]):
    """But for text of an unfinished frame, where what is no UTF-8 may be found sooner or later."""
    whole, cut, bytewise = (
        [found for found in outcome(LIMIT, parts) if found != 1007]
        for parts in ([data], pieces(data, at), (data[n : n + 1] for n in range(len(data))))
    )
    assert cut == whole
    assert bytewise == whole


@settings(max_examples=150, deadline=None)
@given(streams, st.binary(max_size=200))
def test_the_short_path_says_what_wsproto_says(data: bytes, rest: bytes):
    """Without a limit that would be reached, and with frames that are whole or refused."""
    data += rest + frame(8, b"x")
    found, expected = outcome(1 << 64, [data]), reference(data)
    assert found == expected or (found == expected[:-1] and expected[-1] == 1007)


class Wire:
    """Counts; blocked or not as it is told."""

    def __init__(self, blocked: bool) -> None:
        self.blocked = blocked
        self.sent = b""
        self.ends = 0
        self.callbacks = []

    def write(self, data: bytes) -> None:
        assert not self.ends, "written behind the end"
        self.sent += data

    def end(self, *, linger: bool) -> None:
        self.ends += 1

    def abort(self) -> None:
        self.ends += 1

    def pause(self) -> None: ...

    def resume(self) -> None: ...

    def soon(self, callback) -> None:
        self.callbacks.append(callback)


class Clock:
    now = 0.0


@settings(max_examples=150, deadline=None)
@given(streams, cuts, st.booleans(), st.booleans(), st.integers(0, 20))
def test_no_bytes_make_a_session_fail(data: bytes, at: list[int], compress: bool, blocked: bool, close_at: int):
    """Whatever comes: frames that may be sent, one close frame at most, one end, and one word of how it ended."""
    wire = Wire(blocked)
    agreed = agree(("permessage-deflate",), LIMIT) if compress else None
    session = Session(wire, Clock(), timeout=60.0, limit=LIMIT, deflate=agreed[0] if agreed else None)
    for number, part in enumerate(pieces(data, at)):
        session.feed(part)
        if number == close_at and session.closed is None:
            session.close(4000, "bye")
        while (message := session.receive()) is not None:
            assert len(message.encode() if isinstance(message, str) else message) <= LIMIT
            if session.closed is None:
                session.send(message)
        for _ in range(100):
            callbacks, wire.callbacks = wire.callbacks, []
            for callback in callbacks:
                callback()
    session.writable()
    session.lost()
    assert session.closed is not None
    assert wire.ends <= 1
    sent = [opcode & 0x0F for opcode, _ in server_frames(wire.sent)]
    assert sent.count(8) <= 1
    assert 8 not in sent[:-1]
