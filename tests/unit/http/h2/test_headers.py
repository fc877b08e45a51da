"""Header blocks: what is remembered is what the decoder would say."""

import random

import pytest
from hpack import Encoder

from hornbeamd.errors import ProtocolError
from hornbeamd.http.h1.reader import Limits
from hornbeamd.http.h2.frames import Code, ConnectionFault, StreamFault
from hornbeamd.http.h2.headers import HeaderReader

LIMITS = Limits(request_line=4094, header=8190, headers=100, body=1 << 40)
PSEUDO = [(b":method", b"GET"), (b":scheme", b"http"), (b":authority", b"a"), (b":path", b"/")]


def without_index(path: bytes) -> bytes:
    """``:path`` as most clients send it: a literal that leaves the table alone."""
    return bytes((0x04, len(path))) + path


def test_a_block_that_changes_nothing_is_asked_about_twice_and_then_remembered():
    reader, encoder = HeaderReader(LIMITS), Encoder()
    fields = [*PSEUDO, (b"accept", b"*/*"), (b"x-a", b"1")]
    first = reader.request(encoder.encode(fields), True)
    block = encoder.encode(fields)
    answers = [reader.request(block, True) for _ in range(3)]
    assert answers[1] is answers[2]
    assert [each.headers for each in answers] == [first.headers] * 3
    assert first.headers == ((b"host", b"a"), (b"accept", b"*/*"), (b"x-a", b"1"))


def test_a_remembered_block_is_valid_for_one_state_of_the_table():
    reader, encoder = HeaderReader(LIMITS), Encoder()
    reader.request(encoder.encode([*PSEUDO, (b"x-a", b"1")]), True)
    block = encoder.encode([*PSEUDO, (b"x-a", b"1")])
    for _ in range(3):
        assert (b"x-a", b"1") in reader.request(block, True).headers
    reader.request(encoder.encode([*PSEUDO, (b"x-b", b"2")]), True)
    # The same bytes now name the new field where the old one was, and the old one where the authority was.
    with pytest.raises(StreamFault):
        reader.request(block, True)


def test_many_paths_with_the_same_fields():
    reader, encoder = HeaderReader(LIMITS), Encoder()
    fields = [(b":method", b"GET"), (b":scheme", b"http"), (b":authority", b"a"), (b"x-a", b"1"), (b"x-b", b"2")]
    reader.request(encoder.encode([*fields[:3], (b":path", b"/"), *fields[3:]]), True)
    known = [encoder.encode([each]) for each in fields]
    for number in range(200):
        path = b"/items/%d" % number
        block = b"".join((*known[:3], without_index(path), *known[3:]))
        request = reader.request(block, True)
        assert request.path == path.decode()
        assert request.headers == ((b"host", b"a"), (b"x-a", b"1"), (b"x-b", b"2"))


def test_what_is_remembered_says_what_a_fresh_decoder_says():
    source = random.Random(9113)
    reader, encoder = HeaderReader(LIMITS), Encoder()
    for _ in range(2000):
        path = b"/%d" % source.randrange(30)
        extra = [(b"x-%d" % source.randrange(4), b"%d" % source.randrange(3)) for _ in range(source.randrange(4))]
        pairs = [*PSEUDO[:3], (b":path", path), *extra]
        if source.random() < 0.01:
            encoder.header_table_size = source.choice((0, 64, 256, 4096))
        request = reader.request(encoder.encode(pairs, huffman=source.random() < 0.5), True)
        assert (request.target, request.headers) == (path, ((b"host", b"a"), *extra))


def test_a_list_that_grows_out_of_a_small_block_ends_the_connection():
    reader, encoder = HeaderReader(LIMITS), Encoder()
    reader.request(encoder.encode([*PSEUDO, (b"x", b"y" * 2000)]), True)
    block = encoder.encode(PSEUDO) + bytes((0x80 | 62,)) * 1000
    with pytest.raises(ConnectionFault) as caught:
        reader.request(block, True)
    assert caught.value.code == Code.ENHANCE_YOUR_CALM


@pytest.mark.parametrize("block", [b"\xff" * 6, b"\xc0", b"\x80", b"\x04\x83" + b"\xff" * 3, b"\x04\x05ab"])
def test_what_cannot_be_decoded_ends_the_connection(block: bytes):
    with pytest.raises(ConnectionFault) as caught:
        HeaderReader(LIMITS).request(block, True)
    assert caught.value.code == Code.COMPRESSION_ERROR


def test_more_fields_than_max_headers_are_answered_and_the_table_goes_on():
    reader, encoder = HeaderReader(LIMITS), Encoder()
    with pytest.raises(ProtocolError) as caught:
        reader.request(encoder.encode([*PSEUDO, *[(b"x-%d" % number, b"1") for number in range(101)]]), True)
    assert caught.value.status == 431
    assert reader.request(encoder.encode([*PSEUDO, (b"x-100", b"1")]), True).headers[1] == (b"x-100", b"1")


def test_a_pseudo_field_that_is_spelled_out_behind_others_is_malformed():
    block = bytes((0x82, 0x86)) + without_index(b"/") + b"\x01\x01a" + b"\x00\x01x\x01y" + b"\x00\x05:path\x02/b"
    reader = HeaderReader(LIMITS)
    for _ in range(3):
        with pytest.raises(StreamFault):
            reader.request(block, True)


def test_what_is_remembered_is_bounded():
    reader, encoder = HeaderReader(LIMITS), Encoder()
    reader.request(encoder.encode([*PSEUDO, (b"x-a", b"1")]), True)
    head, tail = encoder.encode(PSEUDO[:3]), encoder.encode([(b"x-a", b"1")])
    for number in range(3000):
        block = head + without_index(b"/%d" % number) + tail
        reader.request(block, True)
        reader.request(block, True)
    assert sum(map(len, reader._whole)) < 131072
    assert len(reader._whole) < 300


def test_what_is_remembered_counts_as_much_as_it_says():
    """A short block may say much: it names what the table holds."""
    reader, encoder = HeaderReader(LIMITS), Encoder()
    reader.request(encoder.encode([*PSEUDO, (b"x", b"y" * 3000)]), True)
    head, tail = encoder.encode(PSEUDO[:3]), b"\xbe" * 2
    for number in range(200):
        block = head + without_index(b"/%d" % number) + tail
        reader.request(block, True)
        reader.request(block, True)
    kept = sum(len(value) for request in reader._whole.values() for _, value in request.headers)
    assert 0 < kept < 131072
