"""What a connection asks of its socket beside the transport."""

from __future__ import annotations

import asyncio
import fcntl
import socket
import struct
import termios
from array import array
from contextlib import suppress


def unsent(transport: asyncio.Transport) -> int:
    """Bytes that the client has not taken yet: the transport's, and those that the kernel holds for it.

    The kernel lets us write again only when a good part of its buffer is free, which a client may take minutes to
    read. Without what is in there, such a client would look as if it took nothing.
    """
    sock = transport.get_extra_info("socket")
    held = array("i", [0])
    with suppress(OSError, AttributeError, ValueError):
        fcntl.ioctl(sock.fileno(), termios.TIOCOUTQ, held)
    return transport.get_write_buffer_size() + held[0]


def reset(transport: asyncio.Transport) -> None:
    """Cut the connection so that the client cannot take it for an orderly end (RST, where there is one)."""
    sock = transport.get_extra_info("socket")
    if sock is not None and sock.family != socket.AF_UNIX:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()
