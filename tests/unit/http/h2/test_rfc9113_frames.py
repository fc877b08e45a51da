"""RFC 9113, sections 3.4, 4 and 5.5: how a connection begins, frames, header blocks, what is not known."""

import itertools

import pytest

from hornbeamd.http.h2.frames import (
    ACK,
    CONTINUATION,
    END_HEADERS,
    END_STREAM,
    FRAME_SIZE,
    GOAWAY,
    HEADERS,
    PADDED,
    PING,
    PREFACE,
    PRIORITIZED,
    PRIORITY,
    SETTINGS,
    WINDOW_UPDATE,
    Code,
    Setting,
)
from tests.support.h2frames import (
    GET,
    OPENING,
    Client,
    EngineFactory,
    block,
    data,
    frame,
    headers,
    padded,
    post,
    setting,
    window,
    word,
)

BLOCK = block(GET)


# --- 3.4 HTTP/2 connection preface ---


def test_3_4_the_server_speaks_first_and_begins_with_settings(engine: EngineFactory):
    client = Client(engine, b"")
    client.send()
    assert [each.kind for each in client.frames] == [SETTINGS, WINDOW_UPDATE]
    assert client.frames[0].flags == 0
    assert client.frames[0].stream == 0


@pytest.mark.parametrize("size", [1, 2, 3, 7, 24, 25, 33])
def test_3_4_the_preface_may_come_in_any_pieces(engine: EngineFactory, size: int):
    whole = OPENING + headers(1)
    client = Client(engine, b"")
    client.send(*[whole[start : start + size] for start in range(0, len(whole), size)])
    assert client.kinds == ["request"]
    assert client.acks(SETTINGS) == 1


@pytest.mark.parametrize("place", range(len(PREFACE)))
def test_3_4_a_byte_that_is_not_the_prefaces_ends_the_connection(engine: EngineFactory, place: int):
    wrong = PREFACE[:place] + bytes((PREFACE[place] ^ 1,)) + PREFACE[place + 1 :]
    client = Client(engine, b"").send(wrong + setting() + headers(1))
    assert client.fault == Code.PROTOCOL_ERROR
    assert not client.calls


@pytest.mark.parametrize(
    "junk", [b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", b"\0" * 100, b"\xff" * 24, b"\x16\x03\x01\x02\0"]
)
def test_3_4_junk_ends_the_connection(engine: EngineFactory, junk: bytes):
    client = Client(engine, b"").send(junk)
    assert client.fault == Code.PROTOCOL_ERROR


@pytest.mark.parametrize(
    "first",
    [headers(1), frame(PING, 0, 0, bytes(8)), window(0, 1), frame(GOAWAY, 0, 0, bytes(8)), frame(99, 0, 0, b"x")],
)
def test_3_4_settings_must_come_behind_the_preface(engine: EngineFactory, first: bytes):
    client = Client(engine, b"").send(PREFACE + first + setting() + headers(3))
    assert client.fault == Code.PROTOCOL_ERROR
    assert not client.calls


def test_3_4_requests_need_not_wait_for_the_servers_settings(engine: EngineFactory):
    client = Client(engine, b"").send(OPENING + headers(1) + headers(3))
    assert client.kinds == ["request", "request"]


# --- 4.1 Frame format, 5.5 Extending HTTP/2 ---


@pytest.mark.parametrize("kind", [11, 16, 0x42, 255])
@pytest.mark.parametrize("stream", [0, 1, 7])
def test_4_1_frames_of_unknown_types_are_ignored(client: Client, kind: int, stream: int):
    client.send(post(1), frame(kind, 0xFF, stream, b"whatever"), data(1, b"x", end=True))
    assert client.fault is None
    assert client.bodies == {1: b"x"}
    assert client.alive()


@pytest.mark.parametrize("payload", [b"", b"whatever", b"\0\0"])
def test_4_1_altsvc_is_for_clients(client: Client, payload: bytes):
    """RFC 7838, section 4: ignored. The library looks at its size first."""
    client.send(frame(10, 0, 0, payload), headers(1))
    assert client.kinds == ["request"] if client.fault is None else client.fault == Code.FRAME_SIZE_ERROR


def test_4_1_the_reserved_bit_of_a_stream_is_ignored(client: Client):
    client.send(frame(HEADERS, END_HEADERS | END_STREAM, 1 | 1 << 31, BLOCK))
    assert client.kinds == ["request"]
    assert client.calls[0][1] == 1


@pytest.mark.parametrize("flags", [0xF2, 0x42])
def test_4_1_flags_that_mean_nothing_are_ignored(client: Client, flags: int):
    unused = flags & ~(PADDED | PRIORITIZED)
    client.send(headers(1, flags=unused), frame(PING, flags & ~ACK, 0, b"12345678"))
    assert client.kinds == ["request"]
    assert client.acks(PING) == 1


# --- 4.2 Frame size ---


def test_4_2_a_frame_of_the_largest_size_is_taken(client: Client):
    client.send(post(1), data(1, b"x" * FRAME_SIZE, end=True))
    assert client.bodies[1] == b"x" * FRAME_SIZE


@pytest.mark.parametrize("kind", [0, 1, 4, 6, 9, 200])
@pytest.mark.parametrize("size", [FRAME_SIZE + 1, 2**24 - 1])
def test_4_2_a_larger_one_is_refused_by_its_head(client: Client, kind: int, size: int):
    client.send(post(1), frame(kind, 0, 0 if kind in (4, 6) else 1, b"", length=size))
    assert client.fault == Code.FRAME_SIZE_ERROR
    assert client.kinds == ["request"]


@pytest.mark.parametrize("size", [1, 8, 9, 10, 100])
def test_4_1_a_frame_may_come_in_any_pieces(client: Client, size: int):
    whole = post(1) + data(1, b"a" * 300) + data(1, b"b" * 300, end=True) + headers(3)
    client.send(*[whole[start : start + size] for start in range(0, len(whole), size)])
    assert client.bodies == {1: b"a" * 300 + b"b" * 300, 3: b""}


# --- 4.3 Field section compression and decompression, 6.10 CONTINUATION ---


@pytest.mark.parametrize("cuts", [(1,), (0,), (5, 5, 9), tuple(range(1, len(BLOCK), 3)), (len(BLOCK),)])
def test_4_3_a_header_block_may_come_in_many_frames(client: Client, cuts: tuple[int, ...]):
    edges = [0, *cuts, len(BLOCK)]
    parts = [BLOCK[start:end] for start, end in itertools.pairwise(edges)]
    client.send(frame(HEADERS, END_STREAM, 1, parts[0]))
    client.send(*[frame(CONTINUATION, 0, 1, part) for part in parts[1:-1]])
    assert not client.calls
    client.send(frame(CONTINUATION, END_HEADERS, 1, parts[-1]))
    assert client.kinds == ["request"]
    assert client.calls[0][5], "END_STREAM on HEADERS holds for the whole block (section 6.2)"


@pytest.mark.parametrize(
    "between",
    [
        data(1, b"x"),
        headers(1),
        headers(3),
        frame(PRIORITY, 0, 3, word(0) + b"\x10"),
        setting(),
        setting(flags=ACK),
        frame(PING, 0, 0, bytes(8)),
        frame(GOAWAY, 0, 0, bytes(8)),
        window(0, 1),
        frame(0xFA, 0, 0, b"x"),
        frame(0xFA, 0, 1, b"x"),
        frame(CONTINUATION, END_HEADERS, 3, b""),
        frame(CONTINUATION, END_HEADERS, 0, b""),
    ],
)
def test_4_3_nothing_comes_between_the_frames_of_a_header_block(client: Client, between: bytes):
    client.send(frame(HEADERS, END_STREAM, 1, BLOCK[:9]), between, frame(CONTINUATION, END_HEADERS, 1, BLOCK[9:]))
    assert client.fault == Code.PROTOCOL_ERROR
    assert not client.calls


@pytest.mark.parametrize(
    "wrong",
    [
        b"\x80",  # RFC 7541, section 6.1: index 0
        b"\xbe",  # an index beyond the tables
        b"\xff\xff\xff\xff\xff\x0f",
        b"\xff" * 20,
        b"\x00\x05ab",  # a string that is longer than the block
        b"\x00\x81\xff\x00",  # padding that is no prefix of EOS
        b"\x3f\xff\xff\x7f",  # a table beyond what was offered
        BLOCK + b"\x20",  # section 4.2: a change of its size behind a field
        b"\x40",
    ],
)
@pytest.mark.parametrize("stream", [1, 3])
def test_4_3_a_block_that_cannot_be_decoded_ends_the_connection(client: Client, wrong: bytes, stream: int):
    """Trailers as well as the head of a request."""
    client.send(post(1))
    before = len(client.calls)
    client.send(frame(HEADERS, END_HEADERS | END_STREAM, stream, wrong))
    assert client.fault == Code.COMPRESSION_ERROR
    assert len(client.calls) == before


def test_4_3_the_table_goes_on_over_requests_that_are_refused(engine: EngineFactory):
    """Fields that a refused request has added are there for the next."""
    client = Client(engine, streams=1)
    client.send(headers(1))
    added = b"\x40\x03x-a\x01b"
    client.send(frame(HEADERS, END_HEADERS | END_STREAM, 3, BLOCK + added))
    assert client.reset_code(3) == Code.REFUSED_STREAM
    client.answer(1)
    client.send(frame(HEADERS, END_HEADERS | END_STREAM, 5, BLOCK + b"\xbe"))
    assert client.requests[5].headers == ((b"host", b"a"), (b"x-a", b"b"))


def test_4_3_the_first_block_that_is_sent_sizes_the_table_down(client: Client):
    """Our blocks use no table, whatever the client offers (RFC 7541, section 4.2)."""
    client.send(setting((Setting.HEADER_TABLE_SIZE, 0)), headers(1))
    client.answer(1)
    (answer,) = client.of(HEADERS)
    assert answer.flags == END_HEADERS | END_STREAM
    assert answer.payload in (b"\x20\x88", b"\x88")


def test_4_3_padding_and_priority_are_no_part_of_a_block(client: Client):
    payload = padded(word(0) + b"\x10" + BLOCK, 7)
    client.send(frame(HEADERS, END_HEADERS | END_STREAM | PADDED | PRIORITIZED, 1, payload))
    assert client.kinds == ["request"]
