"""What the server needs of a connection, whatever protocol it speaks."""

from __future__ import annotations

import asyncio
from typing import Protocol


class Connection(Protocol):
    """A connection in the server's set: from ``Server.opened`` to ``Server.closed``."""

    transport: asyncio.Transport

    @property
    def deadline(self) -> float:
        """As of ``Server.time()``: when :meth:`expire` is to be called."""

    def expire(self, now: float) -> None:
        """Act on a deadline that has passed, and set the next."""

    def drain(self) -> None:
        """The server drains: end soon, but nothing that is under way is cut."""

    # asyncio.Protocol's own, as far as they are called when protocols follow each other on a transport.
    def connection_made(self, transport: asyncio.BaseTransport) -> None: ...
    def data_received(self, data: bytes) -> None: ...
