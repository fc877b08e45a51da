"""Reading a channel (worker/channel.py) under anyio."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator

import anyio

from hornbeamd.worker.channel import Lines, Message


async def messages(channel: socket.socket) -> AsyncIterator[Message]:
    """Every message that arrives on a non-blocking socket, until the other end is closed or dead."""
    lines = Lines()
    while True:
        await anyio.wait_readable(channel)
        try:
            data = channel.recv(65536)
        except BlockingIOError:
            continue
        except ConnectionError:
            return
        if not data:
            return
        for message in lines.feed(data):
            yield message
