"""Where the data of a chunked body is, and where it ends (http/h1/chunked.py; RFC 9112, section 7.1)."""

import pytest

from hornbeamd.errors import ProtocolError
from hornbeamd.http.h1.chunked import ChunkedBody


def follow(wire: bytes, size: int = 1 << 20) -> tuple[list[bytes], int, bool]:
    """Feed *wire* in pieces of *size*: the slices of data, how far was read, and whether the end was there."""
    chunked = ChunkedBody(max_trailers=3)
    body: list[bytes] = []
    read = 0
    for start in range(0, len(wire), size):
        piece = wire[start : start + size]
        end = chunked.feed(piece, 0, body)
        read += end
        if end < len(piece):
            break
    return body, read, chunked.complete


@pytest.mark.parametrize("size", [1, 2, 3, 5, 1000])
def test_data_and_end(size: int):
    wire = b"5\r\nhello\r\n00B;a=b;c\r\n, big world\r\n1\r\n!\r\n0\r\nX-Sum: 1\r\n\r\n"
    body, read, complete = follow(wire + b"GET / HTTP/1.1\r\n", size)
    assert (b"".join(body), read, complete) == (b"hello, big world!", len(wire), True)


def test_data_is_not_looked_at():
    """Line ends in it are no framing: one slice for each chunk, however many there are."""
    data = b"\r\n\r\n0\r\n\r\n" * 1000
    body, _, complete = follow(b"%x\r\n%b\r\n%x\r\n%b\r\n0\r\n\r\n" % (len(data), data, len(data), data))
    assert body == [data, data]
    assert complete


def test_reading_begins_and_ends_in_the_middle():
    chunked = ChunkedBody(max_trailers=3)
    body: list[bytes] = []
    assert chunked.feed(b"head\r\n3\r\nab", 6, body) == 11
    assert (body, chunked.complete) == ([b"ab"], False)
    assert chunked.feed(b"c\r\n0\r\n\r\nnext", 0, body) == 8
    assert (body, chunked.complete) == ([b"ab", b"c"], True)


@pytest.mark.parametrize("size", [1, 1000])
@pytest.mark.parametrize(
    "line", [b"", b" 5", b"5 ", b"+5", b"0x5", b"5_0", b"g", b"5;", b"5; a", b"5;a=", b'5;a="', b"5;a\rb", b"5" * 17]
)
def test_a_size_is_hexadecimal_digits_and_extensions(line: bytes, size: int):
    """At the first chunk and at a later one alike."""
    for before in (b"", b"3\r\nabc\r\n"):
        with pytest.raises(ProtocolError) as caught:
            follow(before + line + b"\r\nhello\r\n0\r\n\r\n", size)
        assert caught.value.status == 400


@pytest.mark.parametrize("size", [1, 1000])
@pytest.mark.parametrize(
    "behind", [b"0\r\n\r\n", b"\n0\r\n\r\n", b"\r0\r\n\r\n", b"x\r\n0\r\n\r\n", b"\r\r\n0\r\n\r\n"]
)
def test_behind_the_data_stands_a_line_end(behind: bytes, size: int):
    with pytest.raises(ProtocolError) as caught:
        follow(b"5\r\nhello" + behind, size)
    assert caught.value.status == 400


@pytest.mark.parametrize("size", [1, 1000])
@pytest.mark.parametrize("trailer", [b"x", b"x y: z", b" x: y", b"x : y", b": y", b"x: \x00", b"Host: a", b"COOKIE:b"])
def test_trailers_are_fields_that_frame_nothing(trailer: bytes, size: int):
    """RFC 9110, section 6.5.1."""
    with pytest.raises(ProtocolError) as caught:
        follow(b"0\r\n" + trailer + b"\r\n\r\n", size)
    assert caught.value.status == 400


def test_the_number_of_trailers_is_bounded():
    assert follow(b"0\r\n" + b"A: b\r\n" * 3 + b"\r\n")[2]
    with pytest.raises(ProtocolError) as caught:
        follow(b"0\r\n" + b"A: b\r\n" * 4 + b"\r\n")
    assert caught.value.status == 431


@pytest.mark.parametrize("size", [1, 1000, 1 << 20])
@pytest.mark.parametrize("before", [b"", b"1\r\nx\r\n"])
@pytest.mark.parametrize("line", [b"5;%b\r\nhello\r\n", b"0\r\nX: %b\r\n"])
def test_what_holds_no_data_is_bounded(line: bytes, before: bytes, size: int):
    assert not follow(before + line % (b"a" * 16_000), size)[2]
    with pytest.raises(ProtocolError) as caught:
        follow(before + line % (b"a" * 16_400), size)
    assert caught.value.status == 431


def test_extensions_between_data_may_be_many():
    """The bound is for bytes in a row: a client that names each of its chunks is served."""
    body, _, complete = follow(b"1;name=value\r\nx\r\n" * 5000 + b"0\r\n\r\n", 7000)
    assert (b"".join(body), complete) == (b"x" * 5000, True)
