"""The PROXY protocol (HAProxy's, versions 1 and 2): a header in front of a connection that tells whose it is.

Only peers named by ``proxy_protocol`` are read so, and from them it must come: who may leave it out can choose to be
the proxy itself. What stands behind it, TLS or HTTP, is left in the socket untouched.
"""

from __future__ import annotations

import asyncio
import re
import socket
import struct
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final, NamedTuple

from hornbeamd.errors import ProtocolError
from hornbeamd.http.peer import ClientAddress, ServerAddress

_V1_PREFIX: Final = b"PROXY "
_V1_BOUND: Final = 107  # bytes with CR LF, by the specification
_V2_SIGNATURE: Final = b"\r\n\r\n\0\r\nQUIT\n"
_V2_FIXED: Final = 16
# Addresses and TLVs of version 2. The length field allows 65535, which nobody needs and anybody could withhold.
_V2_BOUND: Final = 4096

_V1_LINE = re.compile(rb"PROXY (?:UNKNOWN(?: [^\r\n]*)?|(TCP4|TCP6) ([0-9a-fA-F.:]+) ([0-9a-fA-F.:]+) (\d+) (\d+))\r\n")
_V1_VERSIONS: Final = {b"TCP4": 4, b"TCP6": 6}
_PORT = re.compile(rb"0|[1-9][0-9]{0,4}")
_LOCAL, _PROXY = 0x20, 0x21
_UNSPECIFIED, _TCP4, _TCP6, _UNIX = 0x00, 0x11, 0x21, 0x31
_ADDRESS_SIZES: Final = {_TCP4: 12, _TCP6: 36, _UNIX: 216}


class Header(NamedTuple):
    """What a PROXY header says."""

    size: int
    """Bytes of the header itself."""
    tells: bool
    """False where it names nobody (LOCAL, UNKNOWN): the connection is the proxy's own, a health check for one."""
    client: ClientAddress = None
    server: ServerAddress = None


def parse(data: bytes) -> Header | None:
    """Parse the header that *data* begins with; None where it is not complete.

    Raises :class:`~hornbeamd.errors.ProtocolError` as soon as it cannot become one.
    """
    if data[:1] == b"P":
        return _parse_v1(data)
    if not _V2_SIGNATURE.startswith(data[: len(_V2_SIGNATURE)]):
        raise ProtocolError(400, "no PROXY header")
    return _parse_v2(data)


# --- version 1 -------------------------------------------------------------------------------------------------------


def _parse_v1(data: bytes) -> Header | None:
    if not _V1_PREFIX.startswith(data[: len(_V1_PREFIX)]):
        raise ProtocolError(400, "no PROXY header")
    end = data.find(b"\n", 0, _V1_BOUND) + 1
    if not end:
        if len(data) >= _V1_BOUND:
            raise ProtocolError(400, "a PROXY header of more than 107 bytes")
        return None
    match = _V1_LINE.fullmatch(data, 0, end)
    if match is None:
        raise ProtocolError(400, "the PROXY header is malformed")
    family, source, destination, source_port, destination_port = match.groups()
    if family is None:
        return Header(end, tells=False)
    version = _V1_VERSIONS[family]
    client = _v1_address(source, version), _v1_port(source_port)
    return Header(end, True, client, (_v1_address(destination, version), _v1_port(destination_port)))


def _v1_address(text: bytes, version: int) -> str:
    try:
        address = ip_address(text.decode("ascii"))
    except ValueError:
        raise ProtocolError(400, "an address in the PROXY header is none") from None
    if address.version != version:
        raise ProtocolError(400, "an address in the PROXY header is not of the family that it names")
    return str(address)


def _v1_port(text: bytes) -> int:
    if _PORT.fullmatch(text) is None or int(text) > 65535:
        raise ProtocolError(400, "a port in the PROXY header is none")
    return int(text)


# --- version 2 -------------------------------------------------------------------------------------------------------


def _parse_v2(data: bytes) -> Header | None:
    if len(data) < _V2_FIXED:
        return None
    command, kind, length = struct.unpack_from("!BBH", data, 12)
    if command not in (_LOCAL, _PROXY):
        raise ProtocolError(400, "a PROXY header of an unknown version or command")
    if length > _V2_BOUND:
        raise ProtocolError(400, f"a PROXY header of more than {_V2_BOUND} bytes")
    size = _V2_FIXED + length
    if command == _LOCAL or kind == _UNSPECIFIED:  # what follows has a length, and no meaning
        return Header(size, tells=False) if len(data) >= size else None
    needed = _ADDRESS_SIZES.get(kind)
    if needed is None:
        raise ProtocolError(400, "a PROXY header of an unknown family, or for datagrams")
    if length < needed:
        raise ProtocolError(400, "a PROXY header too short for its addresses")
    if len(data) < size:
        return None
    _check_tlvs(data, _V2_FIXED + needed, size)
    return Header(size, True, *_v2_addresses(data[_V2_FIXED : _V2_FIXED + needed], kind))


def _v2_addresses(block: bytes, kind: int) -> tuple[ClientAddress, ServerAddress]:
    if kind == _UNIX:
        path = block[108:].partition(b"\0")[0].decode("utf-8", "replace")
        return None, (path, None)
    width, make = (4, IPv4Address) if kind == _TCP4 else (16, IPv6Address)
    source_port, destination_port = struct.unpack_from("!HH", block, 2 * width)
    return (str(make(block[:width])), source_port), (str(make(block[width : 2 * width])), destination_port)


def _check_tlvs(data: bytes, position: int, end: int) -> None:
    """See that the fields behind the addresses fill the header exactly. What they say is not used."""
    while position < end:
        if end - position < 3:
            raise ProtocolError(400, "a field of the PROXY header is cut off")
        position += 3 + int.from_bytes(data[position + 1 : position + 3])
    if position > end:
        raise ProtocolError(400, "a field of the PROXY header reaches beyond its end")


# --- from a socket ---------------------------------------------------------------------------------------------------


async def receive(loop: asyncio.AbstractEventLoop, connection: socket.socket) -> Header | None:
    """Take the header, and nothing that is behind it, from the non-blocking *connection*.

    None where the peer closed without a byte, as health checks do. Raises
    :class:`~hornbeamd.errors.ProtocolError` for what is no header, OSError where the connection fails.
    """
    received = b""
    while True:
        await _readable(loop, connection)
        try:
            peeked = connection.recv(_V2_FIXED + _V2_BOUND, socket.MSG_PEEK)
        except (BlockingIOError, InterruptedError):
            continue
        if not peeked:
            if received:
                raise ProtocolError(400, "the PROXY header is cut off")
            return None
        header = parse(received + peeked)
        # Taken at once, whole or not: a part that stayed in the socket would keep it readable.
        received += connection.recv(len(peeked) if header is None else header.size - len(received))
        if header is not None and len(received) == header.size:
            return header


async def _readable(loop: asyncio.AbstractEventLoop, connection: socket.socket) -> None:
    future = loop.create_future()
    loop.add_reader(connection, _wake, future)
    try:
        await future
    finally:
        loop.remove_reader(connection)


def _wake(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
