"""Any frames, in any pieces: the same calls and the same output; nothing but a fault comes out, and nothing grows."""

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hornbeamd.http.h2.engines import engine_factory
from hornbeamd.http.h2.frames import (
    CONTINUATION,
    END_HEADERS,
    END_STREAM,
    FRAME_SIZE,
    HEADERS,
    PING,
    PREFACE,
    PRIORITY,
    Code,
    Setting,
)
from tests.support.h2frames import (
    GET,
    OPENING,
    Client,
    block,
    data,
    frame,
    headers,
    padded,
    post,
    reset,
    setting,
    window,
)

ENGINES = ("native", "h2")
STREAMS = st.sampled_from([0, 1, 1, 1, 3, 3, 5, 7, 9, 2, 11, 2**31 - 1])
BLOCKS = st.sampled_from(
    [
        block(GET),
        block(GET)[:9],
        block(GET)[9:],
        block([*GET, (b"X", b"y")]),
        block([(b"x", b"y")]),
        block(GET) + b"\x40\x01x\x01y",
        block(GET) + b"\xbe",
        b"\x3f\xe1\x1f" + block(GET),
        b"\x82\x84\x86\x01\x01a",
        b"\x80",
        b"",
    ]
)
VALUES = st.sampled_from([0, 1, 2, 100, 16384, 65535, 2**24, 2**31 - 1, 2**31, 2**32 - 1])
ODD = st.one_of(
    st.builds(frame, st.just(HEADERS), st.integers(0, 63), STREAMS, BLOCKS),
    st.builds(frame, st.just(CONTINUATION), st.sampled_from([0, END_HEADERS]), STREAMS, BLOCKS),
    st.builds(frame, st.integers(0, 11), st.integers(0, 255), STREAMS, st.binary(max_size=20)),
    st.builds(
        data,
        STREAMS,
        st.one_of(st.binary(max_size=30), st.builds(padded, st.binary(max_size=9), st.integers(0, 255))),
        st.booleans(),
        st.sampled_from([0, 8]),
    ),
    st.builds(window, STREAMS, VALUES),
    st.builds(reset, STREAMS, VALUES),
    st.lists(st.tuples(st.sampled_from([*Setting, 99]), VALUES), max_size=3).map(lambda pairs: setting(*pairs)),
)
STEPS = st.sampled_from(
    ["get", "get", "post", "post", "split", "malformed", "data", "data", "end", "trailers", "reset"]
)
HARMLESS = st.sampled_from(
    [
        frame(PING, 0, 0, b"12345678"),
        frame(PRIORITY, 0, 1, bytes(5)),
        setting((Setting.INITIAL_WINDOW_SIZE, 2)),
        setting((Setting.INITIAL_WINDOW_SIZE, 70_000)),
        window(0, 1000),
        frame(0xEE, 0xFF, 5, b"unknown"),
    ]
)


def pieces(whole: bytes, cuts: list[int]) -> list[bytes]:
    edges = sorted({min(cut, len(whole)) for cut in cuts} | {0, len(whole)})
    return [whole[start:end] for start, end in itertools.pairwise(edges)]


@st.composite
def talks(draw: st.DrawFn) -> bytes:
    """Frames that keep to the rules, and among them, in every third talk, one that need not."""
    sent: list[bytes] = []
    bodies: list[int] = []
    number = 1
    for step in draw(st.lists(STEPS, max_size=20)):
        match step:
            case "get" | "malformed" | "split" | "post":
                if step == "split":
                    first, *more = pieces(block(GET), draw(st.lists(st.integers(1, 60), min_size=1, max_size=3)))
                    sent.append(frame(HEADERS, END_STREAM, number, first))
                    sent.extend(frame(CONTINUATION, 0, number, each) for each in more)
                    sent.append(frame(CONTINUATION, END_HEADERS, number))
                elif step == "post":
                    sent.append(post(number))
                    bodies.append(number)
                else:
                    sent.append(headers(number, *GET, *[(b"X", b"y")] * (step == "malformed")))
                number += 2
            case _ if bodies:
                stream = draw(st.sampled_from(bodies))
                if step == "data":
                    sent.append(data(stream, draw(st.binary(max_size=300))))
                    continue
                bodies.remove(stream)
                last = {"end": data(stream, b"end", end=True), "reset": reset(stream)}
                sent.append(last.get(step) or headers(stream, (b"x-sum", b"1")))
            case _:
                sent.append(draw(HARMLESS))
    if draw(st.integers(0, 2)) == 0:
        sent.insert(draw(st.integers(0, len(sent))), draw(ODD))
    return b"".join(sent)


TALKS = talks()


class Answering(Client):
    """Answers every request that is whole, and takes all bodies."""

    def request_came(self, stream, request, ended):
        super().request_came(stream, request, ended)
        if ended:
            self._answer_now(stream)

    def request_refused(self, stream, error):
        super().request_refused(stream, error)
        self._answer_now(stream)

    def data_came(self, stream, data, ended):
        super().data_came(stream, data, ended)
        self.engine.consumed(stream, len(data))
        if ended and stream.id in self.requests:
            self._answer_now(stream)

    def _answer_now(self, stream):
        self.engine.headers(stream, b"\x88", self.engine.room(stream) < 4)
        if stream.id in self.engine.streams:
            self.engine.data(stream, b"body", True)


def told(engine: str, reads: list[bytes]) -> tuple[object, ...]:
    client = Answering(engine_factory(engine), b"", streams=3)
    client.send(*reads)
    return client.calls, client.frames, client.fault


@pytest.mark.parametrize("engine", ENGINES)
@settings(max_examples=300, deadline=None)
@given(talk=TALKS, cuts=st.lists(st.integers(0, 1500), max_size=12))
def test_any_pieces_say_the_same(engine: str, talk: bytes, cuts: list[int]):
    whole = OPENING + talk
    assert told(engine, pieces(whole, cuts)) == told(engine, [whole])


@pytest.mark.parametrize("engine", ENGINES)
@settings(max_examples=50, deadline=None)
@given(talk=TALKS)
def test_byte_by_byte_says_the_same(engine: str, talk: bytes):
    whole = OPENING + talk
    assert told(engine, [bytes((byte,)) for byte in whole]) == told(engine, [whole])


def check_bounds(client: Client, sent: int) -> None:
    """What an engine holds and says is in proportion to what it was sent."""
    assert client.fault is None or isinstance(client.fault, Code)
    assert len(client.engine.streams) <= 3
    assert sum(len(body) for body in client.bodies.values()) <= sent
    assert sum(9 + len(each.payload) for each in client.frames) <= 100 + 3 * sent


@pytest.mark.parametrize("engine", ENGINES)
@settings(max_examples=300, deadline=None)
@given(talk=TALKS, place=st.integers(0, 2000), junk=st.binary(max_size=20), taken=st.integers(0, 9))
def test_frames_with_a_defect_in_one_place_do_no_harm(engine: str, talk: bytes, place: int, junk: bytes, taken: int):
    place %= len(talk) + 1
    sent = OPENING + talk[:place] + junk + talk[place + taken :]
    client = Answering(engine_factory(engine), b"", streams=3)
    client.send(sent)
    check_bounds(client, len(sent))


@pytest.mark.parametrize("engine", ENGINES)
@settings(max_examples=300, deadline=None)
@given(opening=st.sampled_from([b"", PREFACE, OPENING, OPENING + post(1)]), junk=st.binary(max_size=400))
def test_any_bytes_do_no_harm(engine: str, opening: bytes, junk: bytes):
    client = Answering(engine_factory(engine), b"", streams=3)
    client.send(opening + junk)
    check_bounds(client, len(opening + junk))


@settings(max_examples=100, deadline=None)
@given(talk=TALKS, last=st.binary(max_size=9), step=st.integers(1, 3000))
def test_what_is_not_whole_is_held_once(talk: bytes, last: bytes, step: int):
    """A frame that never ends is no larger than the largest, a header block than its limit."""
    client = Answering(engine_factory("native"), b"", streams=3)
    client.send(OPENING, talk, last)
    for _ in range(200):
        client.send(bytes(step))
        reader = client.engine._reader
        assert len(reader._rest) < FRAME_SIZE + 9
        assert len(reader._block or b"") <= 2 * 65536
