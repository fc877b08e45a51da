"""The header that tells whose a proxy's connection is (http/proxy_protocol.py)."""

import struct

import pytest

from hornbeamd.errors import ProtocolError
from hornbeamd.http.proxy_protocol import Header, parse

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
TCP4 = bytes((203, 0, 113, 9, 192, 0, 2, 1)) + struct.pack("!HH", 4711, 443)
TCP6 = (b"\x20\x01\x0d\xb8" + bytes(11) + b"\x09") * 2 + struct.pack("!HH", 4711, 443)
UNIX = b"/client".ljust(108, b"\0") + b"/server".ljust(108, b"\0")
TOLD4 = (("203.0.113.9", 4711), ("192.0.2.1", 443))
TOLD6 = (("2001:db8::9", 4711), ("2001:db8::9", 443))


def v2(kind: int, block: bytes, command: int = 0x21, length: int | None = None) -> bytes:
    return SIGNATURE + struct.pack("!BBH", command, kind, len(block) if length is None else length) + block


def tlv(kind: int, value: bytes) -> bytes:
    return struct.pack("!BH", kind, len(value)) + value


GOOD = [
    (b"PROXY TCP4 203.0.113.9 192.0.2.1 4711 443\r\n", TOLD4),
    (b"PROXY TCP6 2001:db8::9 2001:DB8:0::9 4711 443\r\n", TOLD6),
    (b"PROXY TCP4 203.0.113.9 192.0.2.1 0 65535\r\n", (("203.0.113.9", 0), ("192.0.2.1", 65535))),
    (b"PROXY UNKNOWN\r\n", None),
    (b"PROXY UNKNOWN ffff:f...f:ffff ffff:f...f:ffff 65535 65535\r\n", None),
    (v2(0x11, TCP4), TOLD4),
    (v2(0x21, TCP6), TOLD6),
    (v2(0x31, UNIX), (None, ("/server", None))),
    (v2(0x11, TCP4 + tlv(1, b"h2") + tlv(4, b"") + tlv(0x20, bytes(300))), TOLD4),
    (v2(0x00, b""), None),
    (v2(0x00, b"whatever"), None),
    (v2(0x00, b"", command=0x20), None),
    (v2(0x11, TCP4, command=0x20), None),
    (v2(0x11, TCP4 + tlv(4, bytes(4096 - 15))), TOLD4),
]

BAD = [
    b"GET / HTTP/1.1\r\n",
    b"PUT",
    b"PROXY\r\n",
    b"PROXY  TCP4 1.2.3.4 1.2.3.4 1 2\r\n",
    b"proxy TCP4 1.2.3.4 1.2.3.4 1 2\r\n",
    b"PROXY TCP4 1.2.3.4 x 1 2\r\n",
    b"PROXY TCP4 not-an-ip 1.2.3.4 1 2\r\n",
    b"PROXY TCP4 1.2.3.4 1.2.3 1 2\r\n",
    b"PROXY TCP4 1.2.3.04 1.2.3.4 1 2\r\n",
    b"PROXY TCP4 1.2.3.256 1.2.3.4 1 2\r\n",
    b"PROXY TCP4 1.2.3.4 1.2.3.4 1 65536\r\n",
    b"PROXY TCP4 1.2.3.4 1.2.3.4 -1 2\r\n",
    b"PROXY TCP4 1.2.3.4 1.2.3.4 65iii 2\r\n",
    b"PROXY TCP4 1.2.3.4 1.2.3.4 01 2\r\n",
    b"PROXY TCP4 1.2.3.4 1.2.3.4 +1 2\r\n",
    b"PROXY TCP4 1.2.3.4 1.2.3.4 1\r\n",
    b"PROXY TCP4 1.2.3.4 1.2.3.4 1 2 3\r\n",
    b"PROXY TCP4 1.2.3.4 1.2.3.4 1 2\n",
    b"PROXY TCP4 1.2.3.4 1.2.3.4 1 2 \r\n",
    b"PROXY TCP4 ::1 ::1 1 2\r\n",
    b"PROXY TCP6 1.2.3.4 1.2.3.4 1 2\r\n",
    b"PROXY TCP6 ::1 1.2.3.4 1 2\r\n",
    b"PROXY TCP6 fe80::1%eth0 ::1 1 2\r\n",
    b"PROXY UDP4 1.2.3.4 1.2.3.4 1 2\r\n",
    b"PROXY UNKNOWNX\r\n",
    b"PROXY UNKNOWN a\rb\r\n",
    b"PROXY UNKNOWN " + b"a" * 100 + b"\r\n",
    b"PROXY " + b"a" * 101,
    b"\r\n\r\n\0\r\nQUIX",
    b"\r\nGET / HTTP/1.1\r\n",
    b"\0",
    v2(0x11, TCP4, command=0x11),
    v2(0x11, TCP4, command=0x31),
    v2(0x11, TCP4, command=0x22),
    v2(0x12, TCP4),
    v2(0x41, TCP4),
    v2(0x11, TCP4[:-1]),
    v2(0x21, TCP4),
    v2(0x31, TCP6),
    v2(0x11, b"", length=65535),
    v2(0x11, TCP4, length=4097),
    v2(0x00, b"", length=4097, command=0x20),
    v2(0x11, TCP4 + b"\4\0"),
    v2(0x11, TCP4 + tlv(4, b"abc")[:-1]),
    v2(0x11, TCP4 + tlv(4, b"abc") + b"\4\xff\xff"),
]


def header(size: int, told: tuple | None) -> Header:
    return Header(size, False) if told is None else Header(size, True, *told)


@pytest.mark.parametrize(("data", "told"), GOOD)
def test_a_header(data: bytes, told: tuple | None):
    """Whole only when its last byte is there; what is behind it is not looked at."""
    for end in range(1, len(data)):
        assert parse(data[:end]) is None
    for behind in (b"", b"GET / HTTP/1.1\r\n", data):
        assert parse(data + behind) == header(len(data), told)


@pytest.mark.parametrize("data", BAD)
def test_what_is_no_header_is_refused(data: bytes):
    with pytest.raises(ProtocolError):
        parse(data)


def test_what_can_become_none_is_refused_at_once():
    """A peer that sends something else is not waited for."""
    for data in (b"G", b"PR\n", b"\x16", b"\r\nG", SIGNATURE + b"\x11\x11\0\0", v2(0x11, b"", length=5000)):
        with pytest.raises(ProtocolError):
            parse(data)
