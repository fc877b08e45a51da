"""An HTTP/1.1 connection (RFC 9112): the transport on one side, exchanges on the other, one at a time.

Bytes behind a request that is being answered are *held*, unparsed, and reading pauses: a client that pipelines
costs no more than one read, and answers leave in the order of their requests. Nothing reaches the application
before all that one read brought of its request has been parsed: what turns out to be broken there is never seen.

A connection has one deadline, set from values that the server computes once per tick; the server calls
:meth:`H1Connection.expire` when it has passed. There is no timer per request.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from hornbeamd.errors import ProtocolError
from hornbeamd.http import forwarded, sockets
from hornbeamd.http.exchange import CLIENT_GONE, Request
from hornbeamd.http.h1.exchange import H1Exchange
from hornbeamd.http.h1.reader import RequestReader
from hornbeamd.http.pace import too_slow
from hornbeamd.http.rules import CHUNKED, HTTP1_FIELDS, STATUS_LINES

if TYPE_CHECKING:
    from hornbeamd.http.peer import Peer
    from hornbeamd.http.server import Server

log = logging.getLogger("hornbeamd.http")

# Body bytes that wait for the application before reading pauses.
_BODY_HIGH_WATER = 65536
# What is read and thrown away of a body that the application did not want; beyond it the connection is closed.
_DISCARD_BOUND = 65536
# A read that may be one head, known already; a longer one is not worth the hash of it.
_READ_SIZE = 2048
# Bytes that arrive at a closed socket make the kernel reset the connection, which can take the last answer from
# the client. So what it still sends is read for a while (RFC 9112, section 9.6).
_LINGER_SECONDS = 2.0
_LINGER_BYTES = 32 << 20


class H1Connection(asyncio.Protocol):
    """The server's side of one HTTP/1.1 connection."""

    __slots__ = (
        "_answer_by",
        "_body_by",
        "_drained",
        "_pending",
        "_rate_since",
        "_send_by",
        "_window",
        "deadline",
        "eof",
        "exchange",
        "held",
        "incoming",
        "keep_alive",
        "lingered",
        "peer",
        "read_paused",
        "reader",
        "server",
        "transport",
        "write_paused",
    )

    transport: asyncio.Transport

    def __init__(self, server: Server, peer: Peer) -> None:
        self.server = server
        self.peer = peer
        self.reader = RequestReader(server.new_parser, server.limits, server.heads)
        self.exchange: H1Exchange | None = None  # being answered
        self.incoming: H1Exchange | None = None  # its body is being received
        self.held = b""
        self.keep_alive = True
        self.lingered = -1  # bytes thrown away since the last answer; -1 while more is to be answered
        self.eof = False  # the client has closed its side
        self.read_paused = False
        self.write_paused = False
        self._drained: asyncio.Future[None] | None = None
        self._rate_since = 0.0  # since when, and from how many bytes on, the pace of the body is measured
        self._window = 0
        self._pending = 0  # response bytes that waited for the client when we last looked; 0: not looked yet
        self.deadline = self._answer_by = self._body_by = self._send_by = server.header_deadline

    # --- the transport's calls ------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]
        self.server.opened(self)

    def data_received(self, data: bytes) -> None:
        if self.exchange is None and self.incoming is None:
            request = self.server.heads.known.get(data) if len(data) <= _READ_SIZE else None
            if request is not None and not request.body_length and self.lingered < 0 and not self.reader.in_head:
                exchange = self._begin(request)
                exchange.body_complete = True
                self.server.admit(exchange)
                return
            self._read(data)
        elif self.incoming is not None:
            self._read(data)
        else:
            self.held += data
            self._pause_reading()

    def eof_received(self) -> bool:
        """The client sends nothing more but may still read: what it asked for is answered before closing.

        Not so with TLS: there the loops close the connection.
        """
        if self.peer.tls is not None:
            return False
        exchange = self.exchange
        if self.lingered >= 0 or (exchange is None and not self.held):
            return False
        self.eof = True
        if not self.held:
            self.keep_alive = False
        if exchange is not None:
            exchange.gone = True
            if self.incoming is not None and not exchange.sent_head:
                self._break_off(ProtocolError(400, "the request body ended before its announced length"))
            elif exchange.notify is not None:
                exchange.notify()
        return not self.transport.is_closing()

    def connection_lost(self, exc: Exception | None) -> None:
        self.server.closed(self)
        self.held = b""
        self.incoming = None
        self.wake_flush()
        exchange, self.exchange = self.exchange, None
        if exchange is not None:
            self._lose(exchange)

    def _lose(self, exchange: H1Exchange) -> None:
        exchange.gone = exchange.lost = exchange.finished = True
        exchange.status = exchange.status or CLIENT_GONE
        self.server.release(exchange)
        exchange.wake()

    def pause_writing(self) -> None:
        self.stalled()

    def resume_writing(self) -> None:
        self.write_paused = False
        self.wake_flush()
        exchange = self.exchange
        if exchange is None:
            self._next()
        else:
            self._set_deadline()
            exchange.wake()

    # --- reading --------------------------------------------------------------------------------------------

    def _read(self, data: bytes) -> None:
        """Read *data* up to the end of one request; hand over what is new, and hold what is behind it."""
        if self.lingered >= 0:
            self._linger(data)
            return
        reader = self.reader
        try:
            end = reader.feed(data)
        except ProtocolError as error:
            self._break_off(error)
            return
        request = reader.request
        if request is None:
            self._head_unfinished()
            return
        exchange = self.incoming
        fresh = exchange is None
        self._body_by = self.server.body_deadline
        if exchange is None:
            exchange = self.incoming = self._begin(request)
            exchange.websocket = request.websocket
        if reader.chunks:
            exchange.add(reader)
        if reader.complete:
            exchange.body_complete = True
            self.incoming = None
            reader.next()
        if end < len(data):
            self.held = data[end:]
            self._pause_reading()
        if exchange.buffered > _BODY_HIGH_WATER:
            self._pause_reading()
        if fresh:
            self._admit(exchange)
        elif exchange is not self.exchange:
            if exchange.body_complete:
                self._next()  # the end of a body that was thrown away
        elif exchange.notify is not None:
            exchange.notify()

    def _begin(self, request: Request) -> H1Exchange:
        """Make the exchange of *request*, and make it the active one."""
        exchange = H1Exchange(self, request)
        peer = exchange.peer = self.peer
        exchange.client = peer.client
        exchange.server = peer.server
        exchange.scheme = peer.scheme
        if peer.trusted or peer.fresh:
            forwarded.apply(exchange, self.server.trust)
        self.keep_alive = request.keep_alive
        self._pending = 0
        self.exchange = exchange
        self.deadline = self._answer_by = self.server.request_deadline
        return exchange

    def _admit(self, exchange: H1Exchange) -> None:
        if self.incoming is not None:
            exchange.expects_continue = exchange.request.expects_continue
            self._measure_pace()
            self._set_deadline()
        self.server.admit(exchange)

    def _head_unfinished(self) -> None:
        # The first bytes of a head set its deadline: a client that sends a byte now and then gains no time.
        if self.deadline is not self._answer_by:
            self.deadline = self._answer_by = self.server.header_deadline

    # --- the exchange's calls -------------------------------------------------------------------------------

    def body_taken(self) -> None:
        """The application has taken what was buffered: read on."""
        if self.read_paused and not self.held:
            self._measure_pace()
            self._body_by = self.server.body_deadline
            self._resume_reading()

    def response_begun(self) -> None:
        """The head of a response is on its way, and its body will follow."""
        self._set_deadline()

    def exchange_done(self, exchange: H1Exchange) -> None:
        """The response is complete, or was given up: go on with the next request, or close."""
        self.exchange = None
        self.server.release(exchange)
        if exchange.notify is not None:
            exchange.notify()
        if not self.keep_alive:
            self._close(linger=self.incoming is not None or bool(self.held))
        elif self.incoming is not None:
            self._discard(self.incoming)
        else:
            self._next()

    def _discard(self, incoming: H1Exchange) -> None:
        """Read and throw away the rest of a body that nobody wants, or close when that is too much to read."""
        left = self.reader.body_left
        if left == CHUNKED or left > _DISCARD_BOUND:
            self._close(linger=True)
            return
        incoming.chunks.clear()
        incoming.buffered = 0
        self.deadline = self.server.body_deadline  # once: nobody waits for this body
        self._resume_reading()

    def _next(self) -> None:
        """Be ready for the next request: a held one, or one that is still to come."""
        server = self.server
        self.deadline = server.idle_deadline
        if self.held:
            if not self.write_paused:
                # Not from here: a client that pipelines thousands would make us recurse as deep.
                # Nor in the context of the application that has just ended.
                server.loop.call_soon(self._read_held, context=server.context.copy())
        elif self.eof:
            self._close(linger=False)
        elif self.read_paused:
            self._resume_reading()

    def _read_held(self) -> None:
        if self.held and self.exchange is None and not self.transport.is_closing():
            data, self.held = self.held, b""
            self._resume_reading()
            self._read(data)
            if self.eof and self.exchange is None:
                self._close(linger=False)  # what was left is no whole request

    def hand_over(self) -> bytes:
        """Another protocol goes on with the transport; return what the client has sent behind the request in hand."""
        held, self.held = self.held, b""
        self.exchange = None
        return held

    # --- flow control ---------------------------------------------------------------------------------------

    def _pause_reading(self) -> None:
        if not self.read_paused and not self.transport.is_closing():
            self.read_paused = True
            self.transport.pause_reading()

    def _resume_reading(self) -> None:
        if self.read_paused and not self.transport.is_closing():
            self.read_paused = False
            # asyncio calls data_received in the context in which reading was resumed: not an application's.
            self.server.context.copy().run(self.transport.resume_reading)

    def stalled(self) -> None:
        """The client does not take what is written to it; it has ``send_timeout`` to take something."""
        self.write_paused = True
        self._pending = sockets.unsent(self.transport)
        self._send_by = self.server.send_deadline
        self._set_deadline()

    def progressed(self) -> None:
        """The client has taken some of a file."""
        self.write_paused = False
        self._set_deadline()

    async def flushed(self) -> None:
        """Wait until the transport has given all to the kernel, or the connection is lost."""
        transport = self.transport
        transport.set_write_buffer_limits(high=0)
        try:
            while self.write_paused and not transport.is_closing():
                self._drained = self.server.loop.create_future()
                await self._drained
        finally:
            if not transport.is_closing():
                transport.set_write_buffer_limits()

    def await_room(self) -> asyncio.Future[None]:
        """Return a future that is done at :meth:`wake_flush`, or when the connection is lost."""
        self.stalled()
        self._drained = self.server.loop.create_future()
        return self._drained

    def wake_flush(self) -> None:
        """There is room for more, or nobody left to send to."""
        if self._drained is not None and not self._drained.done():
            self._drained.set_result(None)

    # --- deadlines ------------------------------------------------------------------------------------------

    def _set_deadline(self) -> None:
        """Set the deadline to the earliest of those that count while an exchange is active."""
        exchange = self.exchange
        if exchange is None:
            return
        deadline = self.server.never
        if not exchange.sent_head:
            deadline = self._answer_by
        if self.incoming is not None:
            deadline = min(deadline, self._body_by, self.server.pace_deadline)
        if self.write_paused:
            deadline = min(deadline, self._send_by)
        self.deadline = deadline

    def answer_within(self, seconds: float) -> None:
        """Give the active exchange so long, from now on, to begin its answer."""
        self._answer_by = self.server.time() + seconds
        if self.exchange is not None:
            self.exchange.patience = seconds
        self._set_deadline()

    def drain(self) -> None:
        """The server drains: an idle connection is not waited for much longer."""
        if self.exchange is None:
            self.deadline = min(self.deadline, self.server.idle_deadline)

    def expire(self, now: float) -> None:
        """Act on a deadline that has passed (*now* as of ``Server.time()``)."""
        exchange = self.exchange
        if exchange is None:
            self._expire_idle(now)
            return
        if self.write_paused and now >= self._send_by and self._send_expired():
            return
        if self.incoming is not None and not self.read_paused and self._body_too_slow(now):
            return
        if not exchange.sent_head and now >= self._answer_by:
            if self.incoming is None or self.read_paused:
                fields = {"request": exchange.request_id, "method": exchange.method, "path": exchange.path}
                log.warning("request timed out", extra={"fields": fields})
                exchange.answer(504)
                if exchange.on_timeout is not None:
                    exchange.on_timeout()
                return
            # The body is still coming, and fast enough.
            self._answer_by = now + exchange.patience if exchange.patience else self.server.request_deadline
        self._set_deadline()

    def _expire_idle(self, now: float) -> None:
        if now < self._send_by:
            if self.write_paused:
                self.deadline = self._send_by
                return
            if self.transport.is_closing() and sockets.unsent(self.transport):
                self.deadline = min(self._send_by, now + _LINGER_SECONDS)
                return
        if self._send_expired():
            return
        if self._pending:
            self.deadline = self._send_by  # the end of an answer is still on its way
        elif self.lingered >= 0 or self.transport.is_closing():
            self.transport.abort()
        elif self.reader.in_head:
            self._reject(ProtocolError(408, "the request head did not arrive within header_timeout"))
        else:
            self._close(linger=self.incoming is not None)

    def _send_expired(self) -> bool:
        """Abort the connection where the client has taken nothing since we last looked; True if so."""
        pending = sockets.unsent(self.transport)
        if pending and pending >= self._pending > 0:
            fields = {"client": (self.peer.client or ("unix",))[0]}
            log.info("client takes no data, connection aborted", extra={"fields": fields})
            self.transport.abort()
            return True
        self._pending = pending
        self._send_by = self.server.send_deadline
        return False

    def _measure_pace(self) -> None:
        self._rate_since = self.server.now
        self._window = self.reader.received

    def _body_too_slow(self, now: float) -> bool:
        """Answer 408 where the body has paused for ``body_timeout`` or is slower than ``body_min_rate``."""
        if now >= self._body_by:
            self._break_off(ProtocolError(408, "the request body paused for longer than body_timeout"))
            return True
        seconds = now - self._rate_since
        received = self.reader.received - self._window
        if too_slow(seconds, received, self.server.options.body_min_rate):
            self._break_off(ProtocolError(408, "the request body came more slowly than body_min_rate"))
            return True
        return False

    # --- the end --------------------------------------------------------------------------------------------

    def _break_off(self, error: ProtocolError) -> None:
        """Answer *error* in place of the exchange it hit; an answer that is under way is cut off."""
        exchange, self.exchange = self.exchange, None
        self.incoming = None
        if exchange is not None:
            exchange.status = exchange.status or error.status
            self._lose(exchange)
            if exchange.sent_head:
                sockets.reset(self.transport)
                return
        self._reject(error, in_head=exchange is None)

    def _reject(self, error: ProtocolError, *, in_head: bool = True) -> None:
        """Answer a request that never became an exchange, then close (RFC 9112, section 2.2)."""
        self.server.rejected(self.peer, error, in_head)
        body = error.text
        own = [HTTP1_FIELDS.render(name, value) for name, value in error.headers]
        head = b"content-type: text/plain\r\ncontent-length: %d\r\nconnection: %b\r\n" % (
            len(body),
            b"close, upgrade" if error.status == 426 else b"close",  # RFC 9110, section 7.8
        )
        self.transport.write(
            b"".join((STATUS_LINES[error.status], *own, head, self.server.stamp.whole, b"\r\n", body)),
        )
        self._close(linger=True)

    def _close(self, *, linger: bool) -> None:
        """Close behind what was written. With *linger*, read a little longer what the client still sends."""
        self.keep_alive = False
        self.held = b""
        if linger and not self.transport.is_closing():
            self.deadline = self.server.now + _LINGER_SECONDS
            self.lingered = 0
            self.incoming = None
            self._resume_reading()
            sockets.end_writing(self.transport)
        else:
            self._pending = sockets.unsent(self.transport)
            self._send_by = self.server.send_deadline
            # At the next tick: whether more was taken, or whether TLS still waits for the client's goodbye.
            self.deadline = self.server.now
            self.transport.close()

    def _linger(self, data: bytes) -> None:
        self.lingered += len(data)
        self.deadline = self.server.now + _LINGER_SECONDS
        if self.lingered > _LINGER_BYTES:
            self.transport.abort()
