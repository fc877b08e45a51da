"""Our own reading of the chunked coding against two others, and in any pieces (http/h1/chunked.py)."""

import itertools

import h11
import httptools
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hornbeamd.errors import ProtocolError
from hornbeamd.http.h1.chunked import ChunkedBody

HEAD = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
NEXT = b"GET /next HTTP/1.1\r\nHost: a\r\n\r\n"

Reading = tuple[bytes, int | None] | None
"""The data, and how many bytes the whole body took (None: its end is not there); None where it is refused."""

SIZES = st.sampled_from([b"%x", b"%X", b"0%x", b"%x;a", b"%x;a=b", b'%x;a="b;\\"\r"', b'%x;a="b c"', b"+%x", b"%x "])
DATA = st.lists(st.sampled_from([b"\r\n", b"\r", b"\n", b"0", b"a", b"0\r\n\r\n", b"\r\n0\r\n\r\n"])).map(b"".join)
DEFECTS = st.sampled_from([b"", b"", b"", b"\r\n", b"\n", b"\r", b"0", b"1", b" ", b";", b"\x00", b"\xff", b":"])
ENDS = st.sampled_from(
    [b"0\r\n\r\n", b"000\r\n\r\n", b"0;a\r\nA: b\r\n\r\n", b"0\r\nA: b\r\nC:\r\n\r\n", b"0\r\n", b""]
)


@st.composite
def bodies(draw: st.DrawFn) -> bytes:
    """A body of some chunks, with a next request behind it, and perhaps a defect in one place."""
    chunks = draw(st.lists(DATA.filter(bool), max_size=4))
    wire = b"".join(draw(SIZES) % len(chunk) + b"\r\n" + chunk + b"\r\n" for chunk in chunks) + draw(ENDS)
    place = draw(st.integers(0, len(wire)))
    taken = draw(st.sampled_from([0, 0, 1, 2]))
    return wire[:place] + draw(DEFECTS) + wire[place + taken :] + draw(st.sampled_from([NEXT, b""]))


def ours(wire: bytes, cuts: list[int]) -> Reading:
    chunked = ChunkedBody(max_trailers=100)
    body: list[bytes] = []
    try:
        for start, end in itertools.pairwise([0, *cuts, len(wire)]):
            read = chunked.feed(wire[start:end], 0, body)
            if chunked.complete:
                return b"".join(body), start + read
            assert read == end - start, "bytes were left although the body goes on"
    except ProtocolError:
        return None
    return b"".join(body), None


class Listener:
    def __init__(self) -> None:
        self.body = b""
        self.complete = False

    def on_body(self, data: bytes) -> None:
        self.body += data

    def on_message_complete(self) -> None:
        self.complete = True


def llhttps(wire: bytes) -> Reading:
    listener = Listener()
    parser = httptools.HttpRequestParser(listener)
    parser.feed_data(HEAD)
    for place in range(len(wire)):
        try:
            parser.feed_data(wire[place : place + 1])
        except httptools.HttpParserError:
            return None
        if listener.complete:
            return listener.body, place + 1
    return listener.body, None


def h11s(wire: bytes) -> Reading:
    connection = h11.Connection(h11.SERVER)
    connection.receive_data(HEAD)
    connection.next_event()
    body = b""
    for place in range(len(wire)):
        connection.receive_data(wire[place : place + 1])
        while True:
            try:
                event = connection.next_event()
            except h11.RemoteProtocolError:
                return None
            if isinstance(event, h11.EndOfMessage):
                return body, place + 1
            if not isinstance(event, h11.Data):
                break
            body += bytes(event.data)
    return body, None


@settings(max_examples=300, deadline=None)
@given(wire=bodies(), places=st.sets(st.integers(1, 60), max_size=8))
def test_pieces_change_nothing(wire: bytes, places: set[int]):
    whole = ours(wire, [])
    assert ours(wire, sorted(place for place in places if place < len(wire))) == whole
    assert ours(wire, list(range(1, len(wire)))) == whole


@pytest.mark.parametrize("theirs", [llhttps, h11s])
@settings(max_examples=300, deadline=None)
@given(wire=bodies())
def test_what_is_let_pass_means_the_same_to_others(wire: bytes, theirs):
    """Nobody in front of us who lets the message pass, too, may see its end or its data elsewhere."""
    reading, other = ours(wire, []), theirs(wire)
    if reading is not None and other is not None and reading[1] is not None:
        assert other == reading


@settings(max_examples=300, deadline=None)
@given(chunks=st.lists(DATA.filter(bool), max_size=5), end=ENDS)
def test_a_body_without_defect_is_taken_by_all(chunks: list[bytes], end: bytes):
    wire = b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks) + end
    read = len(wire) if end.endswith(b"\r\n\r\n") else None
    assert ours(wire + NEXT if read else wire, []) == (b"".join(chunks), read)
    assert llhttps(wire) == h11s(wire) == (b"".join(chunks), read)
