"""What a connection asks of its socket beside the transport."""

from __future__ import annotations

import asyncio
import fcntl
import socket
import struct
import termios
from array import array
from contextlib import suppress

# In Linux's struct tcp_info, and how much of it that takes.
_BYTES_ACKED = 120
_TCP_INFO_SIZE = 128
_MOST = 1 << 63


def unsent(transport: asyncio.Transport) -> int:
    """Bytes that the client has not taken yet: the transport's, and those that the kernel holds for it.

    The kernel lets us write again only when a good part of its buffer is free, which a client may take minutes to
    read. Without what is in there, such a client would look as if it took nothing.

    With TLS some more is hidden inside the transport, and moves up as the client takes what is before it. Then the
    number is no count, but 0 still when all was taken, and smaller as soon as some was.
    """
    sock = transport.get_extra_info("socket")
    held = array("i", [0])
    with suppress(OSError, AttributeError, ValueError):
        fcntl.ioctl(sock.fileno(), termios.TIOCOUTQ, held)
    waiting = transport.get_write_buffer_size() + held[0]
    if waiting and transport.get_extra_info("ssl_object") is not None:
        with suppress(OSError, AttributeError, struct.error):
            info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO_SIZE)
            return _MOST - int(struct.unpack_from("=Q", info, _BYTES_ACKED)[0])
    return int(waiting)


def end_writing(transport: asyncio.Transport) -> None:
    """Tell the client that nothing more comes behind what was written. Not with TLS, which has no half-closed ends."""
    if transport.can_write_eof():
        with suppress(OSError):  # it is gone, which asyncio raises here and uvloop does not
            transport.write_eof()


def reset(transport: asyncio.Transport) -> None:
    """Cut the connection so that the client cannot take it for an orderly end (RST, where there is one)."""
    sock = transport.get_extra_info("socket")
    if sock is not None and sock.family != socket.AF_UNIX:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()
