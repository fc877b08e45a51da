"""A WebSocket on an HTTP/1.1 connection: the transport changes hands at the 101 (RFC 6455, section 4.2.2)."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Callable
from typing import TYPE_CHECKING

from hornbeamd.errors import ClientGone
from hornbeamd.http.exchange import Headers
from hornbeamd.http.sockets import end_writing, unsent
from hornbeamd.http.websocket import handshake
from hornbeamd.http.websocket.deflate import Deflate
from hornbeamd.http.websocket.session import Session

if TYPE_CHECKING:
    from hornbeamd.http.h1.exchange import H1Exchange

log = logging.getLogger("hornbeamd.http")

_SWITCHING = b"HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: Upgrade\r\n"
# As in h1/connection.py: bytes that arrive at a closed socket could take the last frame from the client.
_LINGER_SECONDS = 2.0
_LINGER_BYTES = 32 << 20


def accept(exchange: H1Exchange, subprotocol: str | None, headers: Headers) -> Session:
    """Answer 101 and let a protocol of its own go on with the transport.

    Raises what :meth:`~hornbeamd.http.exchange.Exchange.accept` raises.
    """
    if exchange.gone:
        exchange.abort()
        raise ClientGone("the client has closed the connection")
    server = exchange.connection.server
    deflate = handshake.accept(exchange, subprotocol, headers, server.options)
    exchange.status = 101
    exchange.sent_head = exchange.finished = True
    server.upgraded(exchange)
    stamp = server.stamp.whole
    if exchange.has_date or exchange.has_server:
        stamp = server.stamp.without(exchange.has_date, exchange.has_server)
    connection = H1WebSocket(exchange, deflate)
    connection.begin(b"".join((_SWITCHING, *exchange.fields, stamp, b"\r\n")))
    return connection.session


class H1WebSocket(asyncio.Protocol):
    """The wire of a session, and its connection in the server's set. Its exchange is in hand until the end."""

    __slots__ = (
        "_ended",
        "_full",
        "_lingered",
        "_paused",
        "_pending",
        "_send_by",
        "exchange",
        "server",
        "session",
        "transport",
    )

    def __init__(self, exchange: H1Exchange, deflate: Deflate | None) -> None:
        self.exchange = exchange
        self.server = server = exchange.connection.server
        self.transport = exchange.connection.transport
        self._full = False  # the transport's buffer
        self._paused = False
        self._ended = False
        self._lingered = 0
        self._pending = 0  # bytes that waited for the client when we last looked
        self._send_by = math.inf
        options = server.options
        self.session = Session(
            self,
            server,
            timeout=options.websocket_timeout,
            limit=options.websocket_max_frame_size,
            deflate=deflate,
        )

    def begin(self, head: bytes) -> None:
        """Take the transport over, send the *head* of the answer, and read what came behind the request."""
        connection = self.exchange.connection
        self._paused = connection.read_paused
        held = connection.hand_over()
        self.transport.set_protocol(self)
        self.server.replaced(connection, self)
        self.transport.write(head)
        if connection.write_paused:
            self.pause_writing()
        if self.server.draining:
            self.drain()
        self.resume()
        if held:
            self.session.feed(held)

    # --- the server's calls ----------------------------------------------------------------------------------

    @property
    def deadline(self) -> float:
        """The earliest of the session's and ours."""
        return min(self.session.deadline, self._send_by)

    def expire(self, now: float) -> None:
        """Act on a deadline that has passed."""
        if now >= self._send_by:
            self._send_expired()
        if now >= self.session.deadline:
            self.session.expire(now)

    def drain(self) -> None:
        """The server drains: the session is closed within the time that idle connections are given."""
        self.session.drain(self.server.idle_deadline)

    def _send_expired(self) -> None:
        """Abort where the client has taken nothing since we last looked, or does not close its side either."""
        pending = unsent(self.transport)
        if self._ended and not pending:
            self._send_by = self.server.now + _LINGER_SECONDS
            if self.transport.is_closing():
                self.transport.abort()
            else:
                self.transport.close()
        elif pending >= self._pending:
            fields = {"client": (self.exchange.peer.client or ("unix",))[0]}
            log.info("client takes no data, connection aborted", extra={"fields": fields})
            self.transport.abort()
        else:
            self._pending = pending
            self._send_by = self.server.send_deadline

    # --- the transport's calls -------------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        if self._ended:
            self._lingered += len(data)
            if self._lingered > _LINGER_BYTES:
                self.transport.abort()
        else:
            self.session.feed(data)

    def eof_received(self) -> bool:
        """A client that closes its side without a close frame is gone; it may still take what was written."""
        self.end(linger=False)
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self.server.closed(self)
        exchange = self.exchange
        exchange.gone = exchange.lost = True
        self.server.websocket_over()
        self.server.release(exchange)
        self._send_by = math.inf
        self.session.lost()

    def pause_writing(self) -> None:
        self._full = True
        self._pending = unsent(self.transport)
        self._send_by = self.server.send_deadline

    def resume_writing(self) -> None:
        self._full = False
        if not self._ended:
            self._send_by = math.inf
            self.session.writable()

    # --- the session's calls (websocket.session.Wire) ---------------------------------------------------------

    @property
    def blocked(self) -> bool:
        """The client takes less than is written, or the connection broke a moment ago."""
        return self._full or self.transport.is_closing()

    def write(self, data: bytes) -> None:
        """Send *data*."""
        self.exchange.bytes_sent += len(data)
        self.transport.write(data)

    def end(self, *, linger: bool) -> None:
        """Close behind what was written. With *linger*, read a little longer what the client still sends."""
        if self._ended or self.transport.is_closing():
            return
        self._ended = True
        self._pending = unsent(self.transport) + 1
        self._send_by = self.server.now + _LINGER_SECONDS
        if linger:
            self.resume()
            end_writing(self.transport)
        else:
            self.transport.close()

    def abort(self) -> None:
        """Close at once."""
        self.transport.abort()

    def pause(self) -> None:
        """Read nothing for now."""
        if not self._paused and not self.transport.is_closing():
            self._paused = True
            self.transport.pause_reading()

    def resume(self) -> None:
        """Read again."""
        if self._paused and not self.transport.is_closing():
            self._paused = False
            # asyncio calls data_received in the context in which reading was resumed: not an application's.
            self.server.context.copy().run(self.transport.resume_reading)

    def soon(self, callback: Callable[[], None]) -> None:
        """Call back in the next turn of the event loop, and in the server's context."""
        self.server.loop.call_soon(callback, context=self.server.context.copy())
