"""Any bytes in front of a connection (http/proxy_protocol.py)."""

import struct

from hypothesis import given, settings
from hypothesis import strategies as st

from hornbeamd.errors import ProtocolError
from hornbeamd.http.proxy_protocol import parse

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"


def v2(kind: int, block: bytes, command: int) -> bytes:
    return SIGNATURE + struct.pack("!BBH", command, kind, len(block)) + block


@settings(max_examples=200, deadline=None)
@given(
    data=st.one_of(
        st.binary(max_size=40),
        st.binary(max_size=30).map(lambda tail: SIGNATURE + tail),
        st.binary(max_size=120).map(lambda tail: b"PROXY " + tail),
        st.builds(v2, st.sampled_from([0, 0x11, 0x21, 0x31]), st.binary(max_size=300), st.sampled_from([0x20, 0x21])),
    ),
)
def test_any_bytes_are_a_header_or_refused_or_not_complete(data: bytes):
    try:
        found = parse(data) if data else None
    except ProtocolError:
        return
    if found is not None:
        assert parse(data[: found.size]) == found
        assert found.size == len(data) or parse(data[: found.size - 1]) is None
