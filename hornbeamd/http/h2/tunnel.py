"""A WebSocket on a stream of HTTP/2 (RFC 8441): the wire of a session whose connection carries other streams, too."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from hornbeamd.errors import ClientGone
from hornbeamd.http.exchange import Headers
from hornbeamd.http.h2.frames import Code
from hornbeamd.http.websocket import handshake
from hornbeamd.http.websocket.deflate import Deflate
from hornbeamd.http.websocket.session import Session

if TYPE_CHECKING:
    from hornbeamd.http.h2.exchange import H2Exchange

# A session moves its deadline as it likes: so often, in seconds, it is looked at, or four times in its timeout.
_LOOK = 1.0


def accept(exchange: H2Exchange, subprotocol: str | None, headers: Headers) -> Session:
    """Answer 200 and let a session go on with the stream.

    Raises what :meth:`~hornbeamd.http.exchange.Exchange.accept` raises.
    """
    if exchange.lost or exchange.body_complete:
        exchange.abort()
        raise ClientGone("the client has closed the stream")
    deflate = handshake.accept(exchange, subprotocol, headers, exchange.connection.server.options)
    tunnel = exchange.tunnel = Tunnel(exchange, deflate)
    exchange.connection.server.upgraded(exchange)
    exchange.begin_tunnel()
    tunnel.begin()
    return tunnel.session


class Tunnel:
    """The wire of a session. Its exchange is in hand until the end."""

    __slots__ = ("_credit", "_ended", "_paused", "exchange", "session")

    def __init__(self, exchange: H2Exchange, deflate: Deflate | None) -> None:
        self.exchange = exchange
        self._paused = False
        self._credit = 0  # bytes that the client gets back when reading goes on
        self._ended = False
        server = exchange.connection.server
        self.session = Session(
            self,
            server,
            timeout=server.options.websocket_timeout,
            limit=server.options.websocket_max_frame_size,
            deflate=deflate,
        )

    def begin(self) -> None:
        """Read what came behind the request; a server that drains takes no session for long."""
        connection = self.exchange.connection
        if connection.server.draining:
            self.drain()
        connection.look_at(self.expire(connection.server.now))
        early = self.exchange.take()
        if early:
            self.session.feed(early)

    # --- the connection's calls --------------------------------------------------------------------------------------

    def data_came(self, data: bytes, ended: bool) -> None:
        """Hand on what the client sent. While reading is paused its window bounds what that can be."""
        if self._paused:
            self._credit += len(data)
        else:
            self.exchange.connection.engine.consumed(self.exchange.stream, len(data))
        if data and not self._ended:
            self.session.feed(data)
        if ended:  # behind a close frame it is the orderly end, otherwise the session is lost
            self.end(linger=False)

    def drain(self) -> None:
        """The server drains: the session is closed within the time that idle connections are given."""
        self.session.drain(self.exchange.connection.server.idle_deadline)

    def expire(self, now: float) -> float:
        """Act on the session's deadline where it has passed; return when to look again."""
        if now >= self.session.deadline:
            self.session.expire(now)
        timeout = self.exchange.connection.server.options.websocket_timeout
        return min(self.session.deadline, now + min(_LOOK, timeout / 4))

    # --- the session's calls (websocket.session.Wire) ----------------------------------------------------------------

    @property
    def blocked(self) -> bool:
        """The client's windows, or the transport, take nothing more."""
        return self.exchange.clogged

    def write(self, data: bytes) -> None:
        """Send *data*."""
        exchange = self.exchange
        if not exchange.lost and not self._ended:
            exchange.bytes_sent += len(data)
            exchange.connection.send(exchange.stream, data, False)
            exchange.connection.flush_soon()

    def end(self, *, linger: bool) -> None:
        """End the stream behind what was written; what the client still sends on it is ignored."""
        exchange = self.exchange
        if not exchange.lost and not self._ended:
            self._ended = True
            exchange.connection.send(exchange.stream, b"", True)
            exchange.connection.tunnel_done(exchange)

    def abort(self) -> None:
        """Reset the stream."""
        exchange = self.exchange
        if not exchange.lost:
            self._ended = True
            exchange.connection.engine.reset(exchange.stream, Code.CANCEL)
            exchange.connection.stream_reset(exchange.stream)

    def pause(self) -> None:
        """Give the client no more room."""
        self._paused = True

    def resume(self) -> None:
        """Give the client the room that was held back."""
        self._paused = False
        if self._credit:
            credit, self._credit = self._credit, 0
            connection = self.exchange.connection
            connection.engine.consumed(self.exchange.stream, credit)
            connection.flush_soon()

    def soon(self, callback: Callable[[], None]) -> None:
        """Call back in the next turn of the event loop, and in the server's context."""
        server = self.exchange.connection.server
        server.loop.call_soon(callback, context=server.context.copy())
