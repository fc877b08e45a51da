"""Sending a file by sendfile(2) under an event loop that has no sendfile of its own (uvloop).

The transport's buffer is emptied first, then the kernel copies straight to the socket. A duplicate of the
descriptor is watched for room, because the event loop watches the original one for the transport.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, BinaryIO

from hornbeamd.errors import ClientGone, ResponseError

if TYPE_CHECKING:
    from hornbeamd.http.h1.exchange import H1Exchange

_BLOCK = 1 << 20


async def send_file(exchange: H1Exchange, file: BinaryIO, offset: int, count: int) -> None:
    """Copy *count* bytes of *file* from *offset* to the client, who may take as long as ``send_timeout`` allows."""
    connection = exchange.connection
    await connection.flushed()
    sock = connection.transport.get_extra_info("socket")
    if exchange.lost or sock is None:
        raise ClientGone("the client has closed the connection")
    out = os.dup(sock.fileno())
    try:
        while count:
            try:
                sent = os.sendfile(out, file.fileno(), offset, min(count, _BLOCK))
            except BlockingIOError:
                await _writable(exchange, out)
                continue
            except OSError as error:
                connection.transport.abort()  # it does not notice by itself where the client had closed its side
                raise ClientGone("the client has closed the connection") from error
            if sent == 0:
                raise ResponseError("the file became shorter while it was sent")
            offset += sent
            count -= sent
            connection.progressed()
    finally:
        os.close(out)


async def _writable(exchange: H1Exchange, out: int) -> None:
    connection = exchange.connection
    loop = connection.server.loop
    ready = connection.await_room()
    loop.add_writer(out, connection.wake_flush)
    try:
        await ready
    finally:
        loop.remove_writer(out)
    if exchange.lost:
        raise ClientGone("the client has closed the connection")
