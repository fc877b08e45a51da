"""permessage-deflate (RFC 7692): what is agreed upon, and that nothing inflates beyond the limit."""

from __future__ import annotations

import tracemalloc
import zlib

import pytest
from wsproto.extensions import PerMessageDeflate
from wsproto.frame_protocol import FrameProtocol, ParseFailed

from hornbeamd.http.websocket.deflate import agree
from hornbeamd.http.websocket.frames import Frames
from tests.support.websocket import BINARY, CONTINUATION, PING, TEXT, frame

LIMIT = 1 << 20


def answer_to(*offers: str) -> str | None:
    agreed = agree(offers, LIMIT)
    return None if agreed is None else agreed[1]


def deflated(data: bytes, bits: int = -15, flush: int = zlib.Z_SYNC_FLUSH) -> bytes:
    """One message of a client, without what stands at the end of each (RFC 7692, section 7.2.1)."""
    compress = zlib.compressobj(9, zlib.DEFLATED, bits)
    return (compress.compress(data) + compress.flush(flush)).removesuffix(b"\x00\x00\xff\xff")


def frames(terms: str = "permessage-deflate") -> Frames:
    agreed = agree((terms,), LIMIT)
    assert agreed is not None
    return Frames(LIMIT, agreed[0])


def read(reader: Frames, data: bytes) -> list[str | bytes]:
    """The messages in *data*. Raises ParseFailed."""
    reader.feed(data)
    return [event for event in iter(reader.next, None) if isinstance(event, (str, bytes))]


def refused(data: bytes) -> int:
    with pytest.raises(ParseFailed) as caught:
        read(frames(), data)
    return int(caught.value.code)


# --- 7.1: negotiation ---


@pytest.mark.parametrize(
    ("offer", "answer"),
    [
        ("permessage-deflate", "permessage-deflate"),
        ("Permessage-Deflate; client_max_window_bits", "permessage-deflate"),
        ("permessage-deflate; client_max_window_bits=8", "permessage-deflate"),
        ('permessage-deflate; server_max_window_bits="10"', "permessage-deflate; server_max_window_bits=10"),
        ("permessage-deflate;server_no_context_takeover", "permessage-deflate; server_no_context_takeover"),
        ("permessage-deflate; client_no_context_takeover", "permessage-deflate; client_no_context_takeover"),
    ],
)
def test_what_is_agreed_upon(offer: str, answer: str):
    assert answer_to(offer) == answer


@pytest.mark.parametrize(
    "offer",
    [
        "x-webkit-deflate-frame",
        "permessage-deflate; unknown",
        "permessage-deflate; server_max_window_bits",
        "permessage-deflate; server_max_window_bits=8",
        "permessage-deflate; server_max_window_bits=16",
        "permessage-deflate; server_max_window_bits=010",
        "permessage-deflate; client_max_window_bits=x",
        "permessage-deflate; client_max_window_bits=",
        "permessage-deflate; server_no_context_takeover=1",
        "permessage-deflate; server_no_context_takeover; server_no_context_takeover",
    ],
)
def test_offers_that_are_declined(offer: str):
    """Sections 7.1 and 7.1.2; zlib cannot deflate with a window of 8 bits."""
    assert answer_to(offer) is None
    assert answer_to(offer, "permessage-deflate") == "permessage-deflate"


# --- 6 and 7.2: messages ---


@pytest.mark.parametrize(
    "terms",
    [
        "permessage-deflate",
        "permessage-deflate; server_no_context_takeover; client_no_context_takeover",
        "permessage-deflate; server_max_window_bits=9",
    ],
)
def test_both_ways_with_a_client(terms: str):
    """wsproto's client takes our answer, and each understands the other, message after message."""
    agreed = agree((terms,), LIMIT)
    assert agreed is not None
    extension = PerMessageDeflate()
    extension.finalize(agreed[1])
    client = FrameProtocol(True, [extension])
    server = Frames(LIMIT, agreed[0])
    for text in ("hello" * 100, "hello" * 100, "", "x" * 100_000):
        assert read(server, bytes(client.send_data(text))) == [text]
        client.receive_bytes(server.message(text))
        assert "".join(str(part.payload) for part in client.received_frames()) == text


def test_a_compressed_message_in_fragments_with_a_ping_between():
    data = deflated(b"hello hello hello")
    parts = (frame(TEXT, data[:4], fin=False, rsv=4), frame(PING, b"x"), frame(CONTINUATION, data[4:]))
    assert read(frames(), b"".join(parts)) == ["hello hello hello"]


def test_a_message_may_be_sent_as_it_is():
    """Section 6: the bit tells."""
    assert read(frames(), frame(TEXT, b"plain") + frame(TEXT, deflated(b"not"), rsv=4)) == ["plain", "not"]


def test_a_final_block():
    """Section 7.2.3.4: the sender adds an empty block behind it."""
    last = deflated(b"bye", flush=zlib.Z_FINISH) + b"\x00"
    assert read(frames(), frame(TEXT, last, rsv=4) + frame(TEXT, deflated(b"again"), rsv=4)) == ["bye", "again"]


@pytest.mark.parametrize(
    "bad",
    [
        frame(CONTINUATION, b"x", rsv=4),
        frame(PING, b"x", rsv=4),
        frame(TEXT, b"x", rsv=2),
        frame(TEXT, deflated(b"a"), fin=False, rsv=4) + frame(CONTINUATION, b"", rsv=4),
    ],
    ids=["continuation", "ping", "another bit", "second fragment"],
)
def test_the_bit_where_it_may_not_be(bad: bytes):
    assert refused(bad) == 1002


@pytest.mark.parametrize(
    "bad",
    [b"\xff\xff\xff", deflated(b"\xff\xfe"), deflated(b"bye", flush=zlib.Z_FINISH) + b"more"],
    ids=["no deflate", "no UTF-8", "data behind the final block"],
)
def test_what_cannot_be_inflated(bad: bytes):
    assert refused(frame(TEXT, bad, rsv=4)) == 1007


# --- bombs ---


def test_a_message_may_inflate_to_the_limit():
    assert read(frames(), frame(BINARY, deflated(bytes(LIMIT)), rsv=4)) == [bytes(LIMIT)]
    assert refused(frame(BINARY, deflated(bytes(LIMIT + 1)), rsv=4)) == 1009


@pytest.mark.parametrize("size", [1 << 20, 1000], ids=["whole", "fragments"])
def test_a_bomb_is_not_inflated(size: int):
    """64 times the limit, in one frame and split."""
    bomb = deflated(bytes(64 * LIMIT))
    parts = [bomb[at : at + size] for at in range(0, len(bomb), size)]
    reader = frames()
    tracemalloc.start()
    try:
        with pytest.raises(ParseFailed) as caught:
            for number, part in enumerate(parts):
                opcode = CONTINUATION if number else BINARY
                read(reader, frame(opcode, part, fin=False, rsv=0 if number else 4))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert int(caught.value.code) == 1009
    assert peak < 8 * LIMIT


def test_the_limit_is_for_each_message():
    reader = frames()
    for _ in range(5):
        assert read(reader, frame(BINARY, deflated(bytes(LIMIT)), rsv=4)) == [bytes(LIMIT)]
