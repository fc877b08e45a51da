"""The first moments of a connection: which protocol it speaks.

On TLS the handshake has decided (ALPN, RFC 7301). On a plain socket HTTP/2 shows by its preface (RFC 9113, section
3.4), of which the first bytes could still begin a request of HTTP/1.1; what has arrived is handed on whole.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from hornbeamd.http.h1.connection import H1Connection
from hornbeamd.http.h2.connection import H2Connection
from hornbeamd.http.tls import described

if TYPE_CHECKING:
    from hornbeamd.http.peer import Peer
    from hornbeamd.http.server import Server

log = logging.getLogger("hornbeamd.http")

# Enough to tell: no method of HTTP/1.1 begins so.
_PREFACE = b"PRI * HTTP/2.0\r\n"
_TLS_BUFFER = 65536


class Opening(asyncio.Protocol):
    """Stands in for the protocol of a connection until it is known."""

    __slots__ = ("deadline", "peer", "received", "server", "transport")

    transport: asyncio.Transport

    def __init__(self, server: Server, peer: Peer) -> None:
        self.server = server
        self.peer = peer
        self.received = b""
        self.deadline = server.header_deadline

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]
        self.server.opened(self)
        tls = transport.get_extra_info("ssl_object")
        if tls is not None:
            self.peer.tls = described(tls)
            # The loops would hold far more for a client that reads slowly, or for an application that does.
            self.transport.set_write_buffer_limits(_TLS_BUFFER)
            self.transport.set_read_buffer_limits(_TLS_BUFFER)  # type: ignore[attr-defined]
            if tls.selected_alpn_protocol() == "h2":
                self._become(H2Connection(self.server, self.peer))
            elif "HTTP/1.1" in self.server.options.http_version:
                self._become(H1Connection(self.server, self.peer))
            else:
                facts = {"client": (self.peer.client or ("unix",))[0]}
                log.info("client does not choose HTTP/2, connection closed", extra={"fields": facts})
                self.transport.abort()

    def data_received(self, data: bytes) -> None:
        received = self.received = self.received + data
        begun = _PREFACE.startswith(received[: len(_PREFACE)])
        if not begun:
            self._become(H1Connection(self.server, self.peer))
        elif len(received) >= len(_PREFACE):
            self._become(H2Connection(self.server, self.peer))

    def _become(self, connection: H1Connection | H2Connection) -> None:
        self.server.replaced(self, connection)
        self.transport.set_protocol(connection)
        connection.connection_made(self.transport)
        if self.received:
            connection.data_received(self.received)

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self.server.closed(self)

    def drain(self) -> None:
        """The server drains: an idle connection is not waited for much longer."""
        self.deadline = min(self.deadline, self.server.idle_deadline)

    def expire(self, now: float) -> None:
        """The deadline has passed."""
        self.transport.abort()
