"""Streams, and what an engine and its owner tell each other of them."""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol

from hornbeamd.errors import ProtocolError
from hornbeamd.http.exchange import Request
from hornbeamd.http.h1.reader import Limits


class Terms(NamedTuple):
    """What we offer to clients."""

    streams: int
    """Streams at once."""
    stream_window: int
    """Bytes of a request body that a stream may send before the application takes some."""
    connection_window: int
    limits: Limits


class Listener(Protocol):
    """Whom an engine tells what came."""

    def request_came(self, stream: Stream, request: Request, ended: bool) -> None:
        """A request; *ended*: it has no body."""

    def request_refused(self, stream: Stream, error: ProtocolError) -> None:
        """A request that is to be answered with the status of *error*."""

    def data_came(self, stream: Stream, data: bytes, ended: bool) -> None:
        """A part of a body; it counts as ``len(data)`` in :meth:`Engine.consumed`.

        Raises :class:`~hornbeamd.http.h2.frames.StreamFault` where it is not what the head said.
        """

    def stream_reset(self, stream: Stream) -> None:
        """The stream is over, before its end."""

    def room_made(self, stream: Stream | None) -> None:
        """More may be sent on *stream*, or (None) on all."""


class Stream:
    """One stream, from its request to its end."""

    __slots__ = (
        "credit",
        "exchange",
        "id",
        "outbox",
        "receivable",
        "received",
        "remote_done",
        "sendable",
    )

    def __init__(self, number: int, sendable: int, receivable: int, ended: bool) -> None:
        self.id = number
        self.sendable = sendable
        """Bytes that the client takes on this stream; negative after it has lowered its windows."""
        self.receivable = receivable
        self.credit = 0
        """Bytes that were consumed and not given back to the client's window yet."""
        self.received = 0
        self.remote_done = ended
        self.exchange: Any = None
        """The listener's."""
        self.outbox: Any = None
        """What the listener could not send yet."""
