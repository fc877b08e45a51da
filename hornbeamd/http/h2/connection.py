"""An HTTP/2 connection: the transport on one side, exchanges on the other, many at a time.

The engine knows the frames; here are time, the transport, and what waits for either. Requests reach the application
when all that one read brought has been read: one that is taken back at once (Rapid Reset) costs no application
anything. What is to be sent is gathered and written once per turn of the loop.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from hornbeamd.errors import ProtocolError, ResponseError
from hornbeamd.http import forwarded, sockets
from hornbeamd.http.exchange import CLIENT_GONE, Headers, Request
from hornbeamd.http.h2 import fields, overdue
from hornbeamd.http.h2.exchange import H2Exchange, refusal
from hornbeamd.http.h2.frames import Code, ConnectionFault, StreamFault
from hornbeamd.http.h2.outbox import Outflow

if TYPE_CHECKING:
    from hornbeamd.http.h2.stream import Stream
    from hornbeamd.http.peer import Peer
    from hornbeamd.http.server import Server

log = logging.getLogger("hornbeamd.http")

# After an error what the client still sends is read for a while: a reset could take the reason from it.
_LINGER_SECONDS = 2.0
_LINGER_BYTES = 1 << 20
# What waits for a client that takes nothing: beyond, nothing more is read from it, for even refusals add to it.
_UNTAKEN = 1 << 20


class H2Connection(asyncio.Protocol):
    """The server's side of one HTTP/2 connection."""

    __slots__ = (
        "_fresh",
        "_gathering",
        "_has_room",
        "_leaving",
        "_lingered",
        "_outflow",
        "_pending",
        "_send_by",
        "deadline",
        "engine",
        "peer",
        "server",
        "transport",
        "write_paused",
    )

    transport: asyncio.Transport

    def __init__(self, server: Server, peer: Peer) -> None:
        self.server = server
        self.peer = peer
        self.engine = server.new_engine(self)
        self._outflow = Outflow(self.engine)
        self._fresh: list[H2Exchange] = []  # not shown to the application yet
        self._gathering = False  # a write is on its way, which will take all that is to be sent
        self._has_room = False  # the client takes more than when we last sent what waits
        self._leaving = False  # the client was told that the connection will end
        self._lingered = -1  # bytes thrown away since we gave up; -1 while we have not
        self.write_paused = False
        self._pending = 0  # bytes that waited for the client when we last looked; 0: not looked yet
        self.deadline = self._send_by = server.header_deadline

    # --- the transport's calls ---------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]
        self.server.opened(self)
        if self.server.draining:
            self.drain()
        self._flush()

    def data_received(self, data: bytes) -> None:
        if self._lingered >= 0:
            self._linger(data)
            return
        self._gathering = True
        try:
            self.engine.feed(data, self.server.now)
        except ConnectionFault as fault:
            self._give_up(fault)
            return
        if self._fresh:
            fresh, self._fresh = self._fresh, []
            for exchange in fresh:
                self._admit(exchange)
        if self._has_room and not self.write_paused:
            self._pump()
        self._flush()

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self.server.closed(self)
        self._lose_all()
        self.engine.let_go()

    def pause_writing(self) -> None:
        self.write_paused = True
        self._pending, self._send_by = sockets.unsent(self.transport), self.server.send_deadline
        self.look_at(self._send_by)

    def resume_writing(self) -> None:
        self.write_paused = False
        self._pending = 0
        if not self.transport.is_reading():
            self.transport.resume_reading()
        self._pump()
        self._notify_all()

    # --- the engine's calls ------------------------------------------------------------------------------------------

    def request_came(self, stream: Stream, request: Request, ended: bool) -> None:
        """Make the exchange of a request; it waits for the end of the read."""
        exchange = stream.exchange = H2Exchange(self, stream, request)
        exchange.websocket = request.websocket
        exchange.body_complete = ended
        self._fresh.append(exchange)

    def request_refused(self, stream: Stream, error: ProtocolError, in_head: bool = True) -> None:
        """Answer *error* in the place of an application."""
        self.server.rejected(self.peer, error, in_head)
        head, text = refusal(error, self.server.h2_stamp)
        if self.engine.room(stream) >= len(text):
            self.engine.headers(stream, head, not text)
            if text:
                self.engine.data(stream, text, True)
        else:  # nobody waits for room to say why
            self.engine.reset(stream, Code.PROTOCOL_ERROR)
        self._rest_if_idle()

    def data_came(self, stream: Stream, data: bytes, ended: bool) -> None:
        """A part of a body, for the application or for nobody."""
        exchange: H2Exchange | None = stream.exchange
        if exchange is None or exchange.finished:
            if exchange is not None and exchange.tunnel is not None:
                exchange.tunnel.data_came(data, ended)
            else:
                self.engine.consumed(stream, len(data))
            return
        length = exchange.request.body_length
        if (stream.received != length) if ended and length >= 0 else (0 <= length < stream.received):
            raise StreamFault(Code.PROTOCOL_ERROR, "a body that is not as long as its Content-Length")
        if stream.received > self.server.limits.body and exchange.websocket is None:
            self.engine.blame()
            self.refuse(exchange, ProtocolError(413, "the request body is longer than max_body_size"))
            return
        if data:
            exchange.gather(data)
        exchange.body_complete = ended
        exchange.body_by = self.server.body_deadline
        exchange.wake()

    def stream_reset(self, stream: Stream) -> None:
        """The client has given up a stream, or has made us do so."""
        self._outflow.drop(stream)
        exchange: H2Exchange | None = stream.exchange
        if exchange is None:
            return
        if not self._took_back(exchange):
            self._lose(exchange)
        self._rest_if_idle()

    def _took_back(self, exchange: H2Exchange) -> bool:
        """Take back *exchange*, with its part of the windows, if the application has not seen it; True if so."""
        if exchange not in self._fresh:
            return False
        self._fresh.remove(exchange)
        self.engine.consumed(exchange.stream, exchange.buffered)
        return True

    def room_made(self, stream: Stream | None) -> None:
        """The client takes more, on one stream or on all. It may say so in a thousand frames of one read."""
        self._has_room = True

    # --- exchanges ---------------------------------------------------------------------------------------------------

    def _admit(self, exchange: H2Exchange) -> None:
        server = self.server
        peer = exchange.peer = self.peer
        exchange.client = peer.client
        exchange.server = peer.server
        exchange.scheme = peer.scheme
        if peer.trusted or peer.fresh:
            forwarded.apply(exchange, server.trust)
        if self.engine.push_enabled and exchange.stream.id & 1:
            exchange.pushable = True
        exchange.answer_by = server.request_deadline
        if len(self.engine.streams) == 1 and not (self.write_paused or self._leaving):
            self.deadline = exchange.answer_by
        else:
            self.look_at(exchange.answer_by)
        if not exchange.body_complete:
            exchange.expects_continue = exchange.request.expects_continue
            self.expect_body(exchange)
            self.look_at(min(exchange.body_by, server.pace_deadline))
        server.admit(exchange)

    def push(self, exchange: H2Exchange, path: bytes, headers: Headers) -> None:
        """Promise the response to another request, and have it served (section 8.4)."""
        try:
            request, block = fields.promise(exchange.request, path, headers, self.server.limits)
        except (StreamFault, ProtocolError) as error:
            raise ResponseError(f"a push that no client could ask for: {error}") from None
        scheme = b"\x87" if exchange.scheme == "https" else b"\x86"
        stream = self.engine.push(exchange.stream, b"".join((b"\x82", scheme, *block)))
        if stream is not None:
            pushed = stream.exchange = H2Exchange(self, stream, request)
            pushed.body_complete = True
            # Not in the context of the application that has promised it.
            self.server.context.copy().run(self._admit, pushed)

    def exchange_done(self, exchange: H2Exchange) -> None:
        """The response is complete, or was given up."""
        self._let_go(exchange)
        self._rest_if_idle()

    def tunnel_done(self, exchange: H2Exchange) -> None:
        """The WebSocket on the stream of *exchange* is over."""
        tunnel, exchange.tunnel = exchange.tunnel, None
        if tunnel is not None:
            exchange.gone = exchange.lost = True
            tunnel.resume()  # what was held back makes room for what others send
            self.server.websocket_over()
            self.server.release(exchange)
            tunnel.session.lost()
            self._rest_if_idle()

    def _lose(self, exchange: H2Exchange) -> None:
        """Nobody is left to answer."""
        if exchange.finished:
            self.tunnel_done(exchange)
            return
        exchange.gone = exchange.lost = exchange.finished = True
        exchange.status = exchange.status or CLIENT_GONE
        self._let_go(exchange)

    def _let_go(self, exchange: H2Exchange) -> None:
        if exchange.buffered:  # what the application did not want makes room for what others do
            exchange.chunks.clear()
            self.engine.consumed(exchange.stream, exchange.buffered)
            exchange.buffered = 0
        self.server.release(exchange)
        exchange.wake()

    def _lose_all(self) -> None:
        for exchange in self._fresh:
            exchange.stream.exchange = None
        self._fresh.clear()
        streams = list(self.engine.streams.values())
        self.engine.streams.clear()
        for stream in streams:
            self._outflow.drop(stream)
            if stream.exchange is not None:
                self._lose(stream.exchange)

    def fault(self, exchange: H2Exchange, code: Code) -> None:
        """Reset the stream of *exchange*, which is lost."""
        self.engine.reset(exchange.stream, code)
        self.stream_reset(exchange.stream)

    def refuse(self, exchange: H2Exchange, error: ProtocolError) -> None:
        """Answer *error* to a body that is on its way; where an answer is, too, break it off."""
        if exchange.sent_head:
            self.fault(exchange, Code.CANCEL)
            return
        fresh = self._took_back(exchange)
        if not fresh:
            exchange.status = error.status
            self._lose(exchange)
        exchange.stream.exchange = None
        error.bodiless = exchange.method == "HEAD"
        self.request_refused(exchange.stream, error, fresh)

    def body_taken(self, exchange: H2Exchange, size: int) -> None:
        """The application has taken *size* bytes of a body: the client may send more."""
        self.engine.consumed(exchange.stream, size)
        if not exchange.body_complete:
            if 2 * size >= self.server.terms.stream_window:  # the client had to wait
                self.expect_body(exchange)
            self.look_at(min(exchange.body_by, self.server.pace_deadline))
        self.flush_soon()

    # --- writing -----------------------------------------------------------------------------------------------------

    def send(self, stream: Stream, data: bytes, end: bool) -> None:
        """Send *data* as far as the client takes it; the rest follows when it takes more."""
        if not self._outflow.send(stream, data, end):
            self._must_wait(stream)

    def send_trailers(self, stream: Stream, block: bytes) -> None:
        """Send trailers, and the end, behind all data."""
        if not self._outflow.send_trailers(stream, block):
            self._must_wait(stream)

    def cut(self, stream: Stream) -> None:
        """Break a response off; what waits is not sent."""
        self._outflow.drop(stream)
        self.engine.reset(stream, Code.INTERNAL_ERROR)

    def _must_wait(self, stream: Stream) -> None:
        if stream.exchange is not None:
            stream.exchange.send_by = self.server.send_deadline
            self.look_at(stream.exchange.send_by)

    def _drained(self, stream: Stream) -> None:
        """Some of what waited on *stream* was sent; perhaps all."""
        exchange: H2Exchange | None = stream.exchange
        if exchange is not None:
            exchange.send_by = self.server.send_deadline
            if stream.outbox is None:
                exchange.room_made()
        self._rest_if_idle()

    def flush_soon(self) -> None:
        """Have all that is to be sent written, in this turn of the loop or the next."""
        if not self._gathering:
            self._gathering = True
            self.server.loop.call_soon(self._flush, context=self.server.context)

    def _flush(self) -> None:
        self._gathering = False
        out = self.engine.out
        if out:
            data = b"".join(out)
            out.clear()
            if self._lingered < 0 and not self.transport.is_closing():
                self.transport.write(data)
                if self.write_paused and self.transport.get_write_buffer_size() > _UNTAKEN:
                    self.transport.pause_reading()
        self._outflow.flushed()
        if self._outflow.waiting and not self.write_paused:
            self._pump()
        if self._leaving and self.engine.closing and not (self.engine.streams or out or self.transport.is_closing()):
            self._close()

    def _pump(self) -> None:
        self._has_room = False
        moved = self._outflow.pump()
        if moved:
            for stream in moved:
                self._drained(stream)
            self.flush_soon()

    def _notify_all(self) -> None:
        for stream in list(self.engine.streams.values()):
            if stream.exchange is not None:
                stream.exchange.room_made()

    # --- deadlines ---------------------------------------------------------------------------------------------------

    def look_at(self, deadline: float) -> None:
        """Look at the streams when *deadline* has passed, if not before."""
        if deadline < self.deadline:
            self.deadline = deadline

    def _rest_if_idle(self) -> None:
        if not self.engine.streams:
            idle = self.server.idle_deadline
            self.deadline = min(idle, self._send_by) if self.write_paused else idle

    def expect_body(self, exchange: H2Exchange) -> None:
        """Count the time for a body, and measure its pace, from now on."""
        exchange.body_by = self.server.body_deadline
        exchange.pace_since = self.server.now
        exchange.pace_from = exchange.stream.received

    def expire(self, now: float) -> None:
        """Act on a deadline that has passed (*now* as of ``Server.time()``)."""
        if self._lingered >= 0 or self.transport.is_closing():
            self.transport.abort()
            return
        if self.write_paused and now >= self._send_by and self._send_expired():
            return
        if not self.engine.streams:
            if self.write_paused:
                self.deadline = self._send_by
            else:
                self._leave()
            return
        if self._leaving and not self.engine.closing and now >= self.server.idle_deadline:
            self.engine.goaway(Code.NO_ERROR)
        self.deadline = self._send_by if self.write_paused else self.server.never
        if self._leaving and not self.engine.closing:
            self.look_at(self.server.idle_deadline)
        for stream in list(self.engine.streams.values()):
            if stream.exchange is not None:
                self.look_at(overdue.expire(self, stream.exchange, now))
        self._rest_if_idle()
        self.flush_soon()

    def _send_expired(self) -> bool:
        """Abort the connection where the client has taken nothing since we last looked; True if so."""
        pending = sockets.unsent(self.transport)
        if pending and pending >= self._pending > 0:
            facts = {"client": (self.peer.client or ("unix",))[0]}
            log.info("client takes no data, connection aborted", extra={"fields": facts})
            self.transport.abort()
            return True
        self._pending = pending
        self._send_by = self.server.send_deadline
        return False

    # --- the end -----------------------------------------------------------------------------------------------------

    def drain(self) -> None:
        """Announce the end; what the client has sent before it knows is still served (section 6.8)."""
        if not self._leaving and self._lingered < 0:
            self._leaving = True
            self.engine.goaway(Code.NO_ERROR, final=False)
            self.look_at(self.server.idle_deadline)
            for stream in self.engine.streams.values():
                if stream.exchange is not None and stream.exchange.tunnel is not None:
                    stream.exchange.tunnel.drain()
            self.flush_soon()

    def _leave(self) -> None:
        """Close an idle connection."""
        self._leaving = True
        if not self.engine.closing:
            self.engine.goaway(Code.NO_ERROR)
        self._flush()

    def _close(self) -> None:
        """Close when all is taken: a reset in answer to what the client sends behind that could cut an answer short."""
        if not sockets.unsent(self.transport):
            self.transport.close()
        elif self.server.now >= self._send_by and self._send_expired():
            return
        # At the next tick: whether more was taken, or whether TLS still waits for the client's goodbye.
        self.deadline = self.server.now

    def _give_up(self, fault: ConnectionFault) -> None:
        """The client broke a rule of the connection: tell it, cut everything."""
        facts = {"code": fault.code.name, "reason": str(fault), "client": (self.peer.client or ("unix",))[0]}
        log.info("connection refused", extra={"fields": facts})
        self._lose_all()
        self.engine.goaway(fault.code, str(fault))
        self._leaving = False
        self._flush()
        self._lingered = 0
        self.deadline = self.server.now + _LINGER_SECONDS
        if self.transport.can_write_eof() and not self.transport.is_closing():
            sockets.end_writing(self.transport)
        else:
            self.transport.close()

    def _linger(self, data: bytes) -> None:
        self._lingered += len(data)
        if self._lingered > _LINGER_BYTES:
            self.transport.abort()
