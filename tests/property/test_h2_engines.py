"""The two engines of HTTP/2 against each other: what one takes of a client the other takes, and says the same of it."""

import struct
from dataclasses import dataclass, field

import pytest
from hpack import Encoder
from hypothesis import given, settings
from hypothesis import strategies as st

from hornbeamd.http.h1.reader import Limits
from hornbeamd.http.h2 import frames
from hornbeamd.http.h2.engine import NativeEngine
from hornbeamd.http.h2.fields import STATUS_FIELDS
from hornbeamd.http.h2.frames import ConnectionFault
from hornbeamd.http.h2.reference import H2Engine
from hornbeamd.http.h2.stream import Terms

TERMS = Terms(
    streams=5, stream_window=65535, connection_window=200000, limits=Limits(4094, 8190, headers=20, body=1 << 40)
)
PSEUDO = [(b":method", b"POST"), (b":scheme", b"http"), (b":authority", b"a"), (b":path", b"/")]


@dataclass
class Seen:
    """A listener that remembers, and answers at once what is complete."""

    engine: object = None
    answers: bool = True
    requests: list = field(default_factory=list)
    bodies: dict = field(default_factory=dict)
    ended: set = field(default_factory=set)
    reset: set = field(default_factory=set)
    refused: list = field(default_factory=list)
    fault: bool = False

    def request_came(self, stream, request, ended):
        self.requests.append((stream.id, request.method, request.target, request.headers, request.body_length))
        self.bodies[stream.id] = b""
        if ended:
            self._end(stream)

    def request_refused(self, stream, error):
        self.refused.append((stream.id, error.status))
        self.engine.headers(stream, STATUS_FIELDS[error.status], True)

    def data_came(self, stream, data, ended):
        if stream.id in self.bodies:
            self.bodies[stream.id] += data
        self.engine.consumed(stream, len(data))
        if ended:
            self._end(stream)

    def stream_reset(self, stream):
        self.reset.add(stream.id)

    def room_made(self, stream):
        pass

    def _end(self, stream):
        self.ended.add(stream.id)
        if self.answers:
            self.engine.headers(stream, STATUS_FIELDS[200], False)
            self.engine.data(stream, b"x"[: max(0, self.engine.room(stream))], True)

    def facts(self):
        return self.requests, self.bodies, self.ended, self.reset, self.refused, self.fault


def converse(factory, reads, answers):
    seen = Seen(answers=answers)
    seen.engine = factory(seen, TERMS, 0.0)
    try:
        for read in reads:
            seen.engine.feed(read, 0.0)
    except ConnectionFault:
        seen.fault = True
    return seen


# --- what a client sends ---

NAMES = st.sampled_from([b"accept", b"x-a", b"x-b", b"cookie", b"content-type", b"te"])
FIELDS = st.lists(st.tuples(NAMES, st.sampled_from([b"1", b"trailers", b"a b", b""])), max_size=4)
# Now and then something that is not allowed, or refused.
ODD = st.sampled_from(
    [
        [(b"Upper", b"1")],
        [(b"connection", b"close")],
        [(b"te", b"gzip")],
        [(b"x", b"a\nb")],
        [(b"host", b"b")],
        [(b"expect", b"x")],
        [(b"x-long", b"y" * 8190)],
        [(b"x-%d" % number, b"1") for number in range(25)],
    ]
)


def frame(kind, flags, stream, payload=b""):
    return frames.frame_head(len(payload), kind, flags, stream) + payload


@st.composite
def conversations(draw, steps=12):
    """The bytes of a client that mostly keeps to the rules."""
    encoder = Encoder()
    sent = bytearray(frames.PREFACE + frames.settings({}))
    open_streams: list[int] = []
    following = 1
    for _ in range(draw(st.integers(1, steps))):
        kind = draw(
            st.sampled_from(["open", "open", "open", "data", "data", "end", "trailers", "reset", "misc", "odd"])
        )
        if kind in ("open", "odd"):
            ended = draw(st.booleans())
            extra = draw(ODD if kind == "odd" else FIELDS)
            path = (b":path", b"/" + draw(st.sampled_from([b"", b"a", b"a?b=c", b"%41"])))
            block = encoder.encode([*PSEUDO[:3], path, *extra], huffman=draw(st.booleans()))
            split = draw(st.integers(0, len(block)))
            flags = 1 if ended else 0
            if draw(st.booleans()):
                sent += frame(1, flags | 4, following, block)
            else:
                sent += frame(1, flags, following, block[:split]) + frame(9, 4, following, block[split:])
            if not ended:
                open_streams.append(following)
            following += 2
        elif kind == "misc":
            sent += draw(
                st.sampled_from(
                    [
                        frame(6, 0, 0, bytes(8)),
                        frame(2, 0, 1, struct.pack(">IB", 0, 7)),
                        frames.window_update(0, 1000),
                        frames.settings({frames.Setting.INITIAL_WINDOW_SIZE: 70000}),
                        frames.settings({frames.Setting.HEADER_TABLE_SIZE: 0}),
                        frame(0xFA, 0xFF, 77, b"unknown"),
                    ]
                )
            )
        elif open_streams:
            stream = draw(st.sampled_from(open_streams))
            if kind == "data":
                data = draw(st.binary(max_size=20))
                padding = draw(st.integers(0, 5))
                sent += (
                    frame(0, 8, stream, bytes((padding,)) + data + bytes(padding))
                    if padding
                    else frame(0, 0, stream, data)
                )
            else:
                open_streams.remove(stream)
                if kind == "end":
                    sent += frame(0, 1, stream, draw(st.binary(max_size=20)))
                elif kind == "trailers":
                    sent += frame(1, 5, stream, encoder.encode([(b"x-sum", b"1")]))
                else:
                    sent += frames.rst_stream(stream, frames.Code.CANCEL)
    return bytes(sent)


@st.composite
def cuts(draw, data):
    """*data* in reads."""
    at = sorted(draw(st.lists(st.integers(0, len(data)), max_size=6)))
    return [data[start:end] for start, end in zip([0, *at], [*at, len(data)], strict=True)]


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_both_say_the_same_of_a_client_in_earnest(data):
    sent = data.draw(conversations())
    reads = data.draw(cuts(sent))
    answers = data.draw(st.booleans())
    ours, theirs = (converse(factory, reads, answers) for factory in (NativeEngine, H2Engine))
    assert ours.facts() == theirs.facts()


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_what_only_one_of_them_takes_has_a_known_reason(data):
    """A byte is changed somewhere. Whatever becomes of it: no other exception, and no request that the other denies."""
    sent = bytearray(data.draw(conversations(steps=6)))
    at = data.draw(st.integers(len(frames.PREFACE), len(sent) - 1))
    sent[at] ^= data.draw(st.integers(1, 255))
    ours, theirs = (converse(factory, [bytes(sent)], True) for factory in (NativeEngine, H2Engine))
    if not ours.fault and not theirs.fault:
        assert ours.requests == theirs.requests
        assert ours.refused == theirs.refused


@pytest.mark.parametrize("factory", [NativeEngine, H2Engine])
def test_a_content_length_that_is_no_number(factory):
    """Ours refuses the request; the library ends the connection."""
    sent = frames.PREFACE + frames.settings({})
    sent += frame(1, 4, 1, Encoder().encode([*PSEUDO, (b"content-length", b"x")]))
    seen = converse(factory, [sent], True)
    assert not seen.requests
    assert (seen.refused, seen.fault) == (([(1, 400)], False) if factory is NativeEngine else ([], True))
