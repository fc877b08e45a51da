"""The two directions of a channel (worker/channel.py), under anyio."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import suppress

import anyio

from hornbeamd.jsonlines import encode
from hornbeamd.worker.channel import Inbox, Message, Outbox


async def messages(channel: socket.socket) -> AsyncIterator[Message]:
    """Every message that arrives on a non-blocking socket, until the other end is closed or dead."""
    inbox = Inbox()
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
        for message in inbox.feed(data):
            yield message


class Sender:
    """Sends messages on a non-blocking socket, in their order."""

    def __init__(self, channel: socket.socket) -> None:
        self._channel = channel
        self._outbox = Outbox(channel)
        self._unsent = anyio.Event()
        self._turn = anyio.Lock()  # no two tasks may wait for the same socket

    def send(self, message: Mapping[str, object]) -> None:
        """Send, and keep what the socket does not take at once. An end that is gone needs no telling."""
        with suppress(OSError):
            self._outbox.send(message)
        if self._outbox.waiting:
            self._unsent.set()

    async def send_with(self, message: Mapping[str, object], descriptors: Sequence[int]) -> None:
        """Send a short message and *descriptors*; returns when the socket has taken them. Raises OSError."""
        line = encode(message)
        async with self._turn:
            while True:
                await self._send_rest()
                try:
                    socket.send_fds(self._channel, [line], descriptors)
                except BlockingIOError:
                    await anyio.wait_writable(self._channel)
                else:
                    return

    async def sent(self) -> None:
        """Return when the socket has taken all that was kept."""
        async with self._turn:
            await self._send_rest()

    async def run(self) -> None:
        """Send what is kept whenever the socket takes more, until cancelled."""
        while True:
            await self._unsent.wait()
            await self.sent()

    async def _send_rest(self) -> None:
        while self._outbox.waiting:
            await anyio.wait_writable(self._channel)
            with suppress(OSError):
                self._outbox.flush()
        self._unsent = anyio.Event()
