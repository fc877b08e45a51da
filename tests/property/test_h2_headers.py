"""What is remembered of header blocks against a decoder that remembers nothing, in all forms of RFC 7541, section 6."""

from typing import Any

from hpack import Decoder, HPACKDecodingError
from hpack.huffman import HuffmanEncoder
from hpack.huffman_constants import REQUEST_CODES, REQUEST_CODES_LENGTH
from hypothesis import example, given, settings
from hypothesis import strategies as st

from hornbeamd.errors import ProtocolError
from hornbeamd.http.h2 import fields
from hornbeamd.http.h2.frames import Code, ConnectionFault, StreamFault
from hornbeamd.http.h2.headers import LIST_SIZE, HeaderReader
from tests.support.h2frames import LIMITS, string

HUFFMAN = HuffmanEncoder(REQUEST_CODES, REQUEST_CODES_LENGTH)


def integer(value: int, bits: int, first: int) -> bytes:
    """An integer behind the bits of *first* (section 5.1)."""
    most = (1 << bits) - 1
    if value < most:
        return bytes((first | value,))
    coded, value = bytearray((first | most,)), value - most
    while value >= 128:
        coded.append(value & 127 | 128)
        value >>= 7
    coded.append(value)
    return bytes(coded)


def text(value: bytes, huffman: bool) -> bytes:
    """A string (section 5.2)."""
    if not huffman:
        return string(value)
    coded = HUFFMAN.encode(value)
    return integer(len(coded), 7, 0x80) + coded


NAMES = st.sampled_from([b":path", b":method", b":authority", b"x-a", b"x-b", b"cookie", b"Upper", b"te", b"host"])
PATHS = st.sampled_from([b"/", b"/a", b"/b?c=d", b"/" + b"l" * 200, b"", b"bad"])
TEXTS = st.one_of(PATHS, st.sampled_from([b"a", b"1", b"trailers", b"GET", b"", b"a\nb", b"v" * 130]))
# Literals that are added, that are not, and that never are (sections 6.2.1 to 6.2.3): bits of the index, first byte.
FORMS = st.sampled_from([(6, 0x40), *[(4, 0x00)] * 9, (4, 0x10), (4, 0x10)])
# The static table has 61; behind it is what was added, of which the usual fields below leave some.
INDEXES = st.sampled_from([*range(15, 62), *[62, 63, 64] * 8])


@st.composite
def instructions(draw: st.DrawFn) -> bytes:
    kind = draw(st.sampled_from(["indexed", "named", "spelled"]))
    if kind == "indexed":
        return integer(draw(INDEXES), 7, 0x80)
    bits, first = draw(FORMS)
    value = text(draw(TEXTS), draw(st.booleans()))
    if kind == "named":
        return integer(draw(INDEXES), bits, first) + value
    return bytes((first,)) + text(draw(NAMES), draw(st.booleans())) + value


@st.composite
def usual(draw: st.DrawFn) -> bytes:
    """The control data of a request, as clients send it, in some order."""
    path = integer(4, *draw(FORMS)) + text(draw(PATHS), draw(st.booleans()))
    authority = integer(1, *draw(FORMS)) + text(b"a", draw(st.booleans()))
    return b"".join(draw(st.permutations([b"\x82", b"\x86", path, authority])))


# Fields that are added first, so that there is something to name.
ADDED = b"\x41\x01a" + b"\x40\x03x-a\x01b" + b"\x40\x03x-b\x01c"
# What ends a connection is rare, or nothing would come often enough to be remembered.
BROKEN = st.sampled_from([*[b""] * 150, b"\x80", b"\xff\x80\x01", b"\x20", b"\x00\x05ab", b"\x3f\xff\xff\x7f", b"\xfe"])
SIZES = st.sampled_from([*[b""] * 30, b"\x20\x3f\xe1\x1f", b"\x3f\x20", b"\x3f\xe1\x1f", b"\x20"])
REST = st.lists(instructions(), max_size=3).map(b"".join)
BLOCKS = st.tuples(SIZES, usual(), REST, BROKEN).map(b"".join)


@st.composite
def talks(draw: st.DrawFn) -> list[tuple[bytes, bool]]:
    """A few blocks again and again, and a few of which the pseudo fields or the rest have come before."""
    known = draw(st.lists(BLOCKS, min_size=1, max_size=3))
    rests = draw(st.lists(REST, min_size=1, max_size=2))
    parts = st.tuples(usual(), st.sampled_from(rests)).map(b"".join)
    turns = draw(st.lists(st.one_of(st.sampled_from(known), st.sampled_from(known), parts), min_size=12, max_size=30))
    return [(b"\x82\x86\x84" + ADDED, True)] + [(block, draw(st.integers(0, 4)) > 0) for block in turns]


def said(read: Any, block: bytes, ended: bool) -> object:
    """What *read* makes of *block*, or why nothing."""
    try:
        request = read(block, ended)
    except ConnectionFault as fault:
        return fault.code
    except StreamFault as fault:
        return str(fault)
    except ProtocolError as error:
        return error.status, str(error)
    length, expects = request.body_length, request.expects_continue
    return request.method, request.target, request.headers, length, expects, request.http_version, request.websocket


class Forgetful:
    """Reads blocks by the library alone."""

    def __init__(self) -> None:
        self.decoder = Decoder(max_header_list_size=LIST_SIZE)

    def request(self, block: bytes, ended: bool) -> Any:
        try:
            pairs = [(bytes(name), bytes(value)) for name, value in self.decoder.decode(block, raw=True)]
        except HPACKDecodingError:
            raise ConnectionFault(Code.COMPRESSION_ERROR, "") from None
        split = next((place for place, (name, _) in enumerate(pairs) if name[:1] != b":"), len(pairs))
        return fields.request(pairs[:split], fields.judge(pairs[split:], LIMITS), ended, LIMITS)


@settings(max_examples=200, deadline=None)
@given(talk=talks())
@example(talk=[(b"\x82\x86\x84\x41\x01a" + b"\x40\x01x\x01y", True), (b"\x82\x86\x84\xbf\xbe", True)] * 4)
@example(talk=[(b"\x82\x86\x84\x01\x01a\x00\x05:path\x01/", True)] * 4)
@example(talk=[(b"\x20\x82\x86\x84\x01\x01a", True), (b"\x82\x86\x84\x01\x01a", True)] * 4)
def test_what_is_remembered_is_what_a_decoder_says(talk: list[tuple[bytes, bool]]):
    ours, theirs = HeaderReader(LIMITS), Forgetful()
    for block, ended in talk:
        found = said(ours.request, block, ended)
        assert found == said(theirs.request, block, ended)
        if isinstance(found, Code):
            break  # the connection ends


@settings(max_examples=200, deadline=None)
@given(blocks=st.lists(st.one_of(st.binary(max_size=60), BLOCKS), max_size=8))
def test_any_bytes_are_read_or_refused(blocks: list[bytes]):
    reader = HeaderReader(LIMITS)
    for block in blocks:
        try:
            reader.trailers(block)
            reader.request(block, True)
        except ConnectionFault:
            break
        except (StreamFault, ProtocolError):
            continue
