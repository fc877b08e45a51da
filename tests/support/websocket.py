"""WebSocket by hand: frames as bytes, and a raw client that speaks them.

Written from RFC 6455 and not with the library that the server uses, so that a mistake would have to be made twice.
"""

import struct
from collections.abc import Iterator

from tests.support.raw import RawClient, Response

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
KEY = "dGhlIHNhbXBsZSBub25jZQ=="
ACCEPT = b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
"""The answer to KEY; both are the example of RFC 6455, section 1.3."""
MASK = b"\x37\xfa\x21\x3d"


def frame(opcode: int, payload: bytes = b"", *, fin: bool = True, rsv: int = 0, mask: bytes | None = MASK) -> bytes:
    """One frame (RFC 6455, section 5.2), as a client sends it."""
    size = len(payload)
    masked = 0x80 if mask is not None else 0
    if size < 126:
        head = bytes((masked | size,))
    elif size < 65536:
        head = struct.pack("!BH", masked | 126, size)
    else:
        head = struct.pack("!BQ", masked | 127, size)
    if mask is not None:
        head += mask
        payload = bytes(byte ^ mask[at % 4] for at, byte in enumerate(payload))
    return bytes((fin << 7 | rsv << 4 | opcode,)) + head + payload


def close_frame(code: int | None = None, reason: str = "") -> bytes:
    """A client's close frame."""
    return frame(CLOSE, b"" if code is None else struct.pack("!H", code) + reason.encode())


def server_frames(data: bytes) -> Iterator[tuple[int, bytes]]:
    """The frames that a server has sent: opcode and payload; AssertionError for what it may not send."""
    while data:
        opcode, size = data[0], data[1]
        assert opcode & 0x80, "the server does not fragment"
        assert size < 128, "the server does not mask"
        start = 2
        if size == 126:
            (size,) = struct.unpack_from("!H", data, 2)
            start = 4
            assert size > 125
        elif size == 127:
            (size,) = struct.unpack_from("!Q", data, 2)
            start = 10
            assert size > 65535
        assert len(data) >= start + size, "a frame is not whole"
        yield opcode & 0x7F, data[start : start + size]
        data = data[start + size :]


def closing(payload: bytes) -> tuple[int, str]:
    """Code and reason of a close frame's payload."""
    return struct.unpack_from("!H", payload)[0], payload[2:].decode()


def handshake(target: str = "/", *fields: str, key: str | None = KEY, version: str | None = "13") -> bytes:
    """The bytes of an opening handshake."""
    lines = [f"GET {target} HTTP/1.1", "Host: a", "Upgrade: websocket", "Connection: Upgrade", *fields]
    if key is not None:
        lines.append(f"Sec-WebSocket-Key: {key}")
    if version is not None:
        lines.append(f"Sec-WebSocket-Version: {version}")
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


class RawWebSocket(RawClient):
    """A connection that becomes a WebSocket with :meth:`open`."""

    def open(self, target: str = "/", *fields: str, behind: bytes = b"") -> Response:
        """Shake hands; *behind* is sent with the same bytes. Fails where the answer is not 101."""
        self.send(handshake(target, *fields) + behind)
        response = self.read_interim()
        assert response.status == 101, response
        assert response.header(b"sec-websocket-accept") == ACCEPT
        return response

    def read_frame(self) -> tuple[int, bytes]:
        """Opcode (with the reserved bits) and payload of the next frame."""
        head = self.read_exactly(2)
        size = head[1]
        more = 2 if size == 126 else 8 if size == 127 else 0
        if more:
            extended = self.read_exactly(more)
            head += extended
            size = int.from_bytes(extended, "big")
        ((opcode, payload),) = server_frames(head + self.read_exactly(size))
        return opcode, payload

    def read_message(self) -> str | bytes:
        """The next message."""
        opcode, payload = self.read_frame()
        assert opcode in (TEXT, BINARY), (opcode, payload)
        return payload.decode() if opcode == TEXT else payload

    def read_close(self) -> tuple[int, str]:
        """Code and reason of the close frame that comes next. It is answered, and the connection ends."""
        opcode, payload = self.read_frame()
        assert opcode == CLOSE, (opcode, payload)
        self.send(frame(CLOSE, payload[:2]))
        self.expect_end()
        return closing(payload) if payload else (1005, "")
