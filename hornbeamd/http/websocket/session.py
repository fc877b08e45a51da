"""One WebSocket as an application sees it: the seam between what carries it and the application.

A *wire* is what carries the bytes: a connection of its own (HTTP/1.1), or a stream of HTTP/2 (RFC 8441). All methods
run on the thread of the event loop.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Offer:
    """What a client's opening handshake offers (RFC 6455, section 4.1)."""

    subprotocols: tuple[str, ...]
    extensions: tuple[str, ...]


class Wire(Protocol):
    """What a session needs of what carries it."""

    @property
    def blocked(self) -> bool:
        """The client takes less than is written; :meth:`Session.writable` is called when there is room."""

    def write(self, data: bytes) -> None:
        """Send *data*."""

    def end(self) -> None:
        """Close in order, behind what was written."""

    def abort(self) -> None:
        """Close at once."""

    def pause(self) -> None:
        """Let the client wait with what it sends."""

    def resume(self) -> None:
        """Let it go on."""


class Session:
    """An open WebSocket."""
