"""An HTTP/1.1 connection (RFC 9112): bytes of the client become exchanges, one at a time and in order.

A *parser* (httptools, or h11 behind the same methods) is fed pieces that never reach beyond the end of one head or
one body, so that at every moment it is known where a message begins. It calls :meth:`on_url`, :meth:`on_header`,
:meth:`on_headers_complete`, :meth:`on_body` and :meth:`on_message_complete`.

Bytes behind a request that is being answered are *held*, unparsed, and reading pauses: a client that pipelines costs
no more than one read, and answers leave in the order of their requests. Nothing reaches the application before all
that one read brought of its request has been parsed: a request that turns out to be broken there is never seen.

A connection has one deadline, set from values that the server computes once per tick; the server calls
:meth:`expire` when it has passed. There is no timer per request.
"""

from __future__ import annotations

import asyncio
import logging
from http import HTTPStatus
from typing import TYPE_CHECKING

from hornbeamd.errors import ProtocolError
from hornbeamd.http import forwarded
from hornbeamd.http.h1.exchange import H1Exchange
from hornbeamd.http.h1.parsers import Parser, Upgrade
from hornbeamd.http.rules import (
    CHUNKED,
    FORBIDDEN_TRAILERS,
    HOSTS,
    NAMES,
    STATUS_LINES,
    TARGETS,
    body_length,
    check_host,
    field_name,
    parse_target,
)

if TYPE_CHECKING:
    from hornbeamd.http.server import Server

log = logging.getLogger("hornbeamd.http")

_METHODS: dict[bytes, str] = {}

# Fields that decide about framing, routing or the connection; all others only pass through.
_SPECIAL = frozenset((b"host", b"content-length", b"transfer-encoding", b"expect", b"connection", b"upgrade"))

# Body bytes that wait for the application before reading pauses.
_BODY_HIGH_WATER = 65536
# What is read and thrown away of a body that the application did not want; beyond it the connection is closed.
_DISCARD_BOUND = 65536
# Bytes of a chunked body in a row that hold no data: chunk extensions and trailers.
_OVERHEAD_BOUND = 16384
# Bytes that arrive at a closed socket make the kernel reset the connection, which can take the last answer from the
# client. So what it still sends is read for a while (RFC 9112, section 9.6).
_LINGER_SECONDS = 2.0
_LINGER_BYTES = 1 << 20


class H1Connection(asyncio.Protocol):
    """The server's side of one HTTP/1.1 connection."""

    __slots__ = (
        "_answer_by",
        "_body_by",
        "_drained",
        "_pending",
        "_received",
        "_send_by",
        "_window",
        "client",
        "deadline",
        "exchange",
        "fresh",
        "headers",
        "held",
        "incoming",
        "keep_alive",
        "lines",
        "lingering",
        "local",
        "parser",
        "read_paused",
        "server",
        "special",
        "tail",
        "transport",
        "trusted",
        "url",
        "write_paused",
    )

    transport: asyncio.Transport
    parser: Parser

    def __init__(self, server: Server) -> None:
        self.server = server
        self.exchange: H1Exchange | None = None  # being answered
        self.fresh = False  # it has not been handed to the application yet
        self.incoming: H1Exchange | None = None  # its body is being received
        self.held = b""
        self.headers: list[tuple[bytes, bytes]] = []
        self.special: list[tuple[bytes, bytes]] = []
        self.url = b""
        self.lines = 0  # of a head that arrives in pieces: lines complete so far
        self.tail = b""  # of a head that arrives in pieces: the unfinished line
        self.keep_alive = True
        self.lingering = False
        self.read_paused = False
        self.write_paused = False
        self._drained: asyncio.Future[None] | None = None
        self._received = 0  # bytes read of the incoming body, framing included; while lingering: thrown away
        self._window = 0  # of which before the present body_timeout window
        self._pending = 0  # response bytes that waited for the client when its send_timeout began
        self.deadline = self._answer_by = self._body_by = self._send_by = server.header_deadline

    # --- the transport's calls ---------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]
        self.client, self.local, self.trusted = self.server.opened(self)
        self.parser = self.server.new_parser(self)

    def data_received(self, data: bytes) -> None:
        if self.exchange is None or self.incoming is not None:
            if not self.lingering:
                self._parse(data)
            else:
                self._linger(data)
        else:
            self.held += data
            self._pause_reading()

    def eof_received(self) -> bool:
        """The client sends nothing more but may still read: what it asked for is answered before closing."""
        exchange = self.exchange
        if self.lingering or exchange is None:
            return False
        self.keep_alive = False
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
        if self._drained is not None and not self._drained.done():
            self._drained.set_result(None)
        exchange, self.exchange = self.exchange, None
        if exchange is not None:
            exchange.gone = exchange.lost = exchange.finished = True
            self.server.release(exchange)
            if exchange.notify is not None:
                exchange.notify()

    def pause_writing(self) -> None:
        self.write_paused = True
        self.stalled()

    def resume_writing(self) -> None:
        self.write_paused = False
        if self._drained is not None and not self._drained.done():
            self._drained.set_result(None)
        exchange = self.exchange
        if exchange is None:
            self._next()
        else:
            self._set_deadline()
            if exchange.notify is not None:
                exchange.notify()

    # --- parsing -----------------------------------------------------------------------------------------------

    def _parse(self, data: bytes) -> None:
        """Feed the parser up to the end of one request; hand that over, and hold what is behind it."""
        size = len(data)
        start = 0
        server = self.server
        try:
            while start < size:
                if self.incoming is None:
                    start = self._feed_head(data, start)
                else:
                    start = self._feed_body(data, start)
                if self.incoming is None and self.exchange is not None:
                    break
        except ProtocolError as error:
            self._break_off(error)
            return
        exchange = self.exchange
        if exchange is None:
            return
        if start < size:
            self.held = data[start:]
            self._pause_reading()
        if self.fresh:
            self.fresh = False
            self.deadline = self._answer_by = server.request_deadline
            if self.incoming is not None:
                self._body_by = server.body_deadline
                self._window = 0
                self._set_deadline()
            server.admit(exchange)
        elif exchange.notify is not None:
            exchange.notify()
        if exchange.buffered > _BODY_HIGH_WATER:
            self._pause_reading()

    def _feed_head(self, data: bytes, start: int) -> int:
        """Feed from *start* the rest of a head, or a line of it; return where to go on."""
        if not self.lines and not self.tail:
            end = data.find(b"\r\n\r\n", start) + 4
            if 3 < end - start <= self.server.max_header_size and b"  " not in data:
                self._feed(data if end - start == len(data) else data[start:end])
                if self.fresh and (b" \r" in data or b"\t\r" in data):
                    self._strip_values()
                return end
            if self.exchange is None:
                self.deadline = self.server.header_deadline
        # A head in pieces, or a long one, or one with two spaces in a row: line by line.
        end = data.find(b"\n", start) + 1 or len(data)
        line = self.tail + data[start:end]
        self._check_line(line)
        self._feed(data[start:end])
        if self.exchange is not None:
            self._strip_values()
        elif line[-1:] != b"\n":
            self.tail = line
        else:
            self.tail = b""
            if self.lines or line != b"\r\n":
                self.lines += 1
        return end

    def _strip_values(self) -> None:
        """Take the white space behind values away, which llhttp leaves there (RFC 9112, section 5.1)."""
        exchange = self.exchange
        assert exchange is not None
        exchange.headers = [(name, value.rstrip(b" \t")) for name, value in exchange.headers]

    def _check_line(self, line: bytes) -> None:
        """Hold a line of a head, perhaps an unfinished one, to the limits."""
        server = self.server
        if not self.lines:
            if len(line) > server.max_request_line + 2:
                raise ProtocolError(414, "the request line is longer than max_request_line_size")
            if b"  " in line:  # llhttp lets this pass
                raise ProtocolError(400, "more than one space in the request line")
        elif len(line) > server.max_header_size + 2:
            raise ProtocolError(431, "a header field is longer than max_header_size")
        elif self.lines > server.max_headers + 1:
            raise ProtocolError(431, "more header fields than max_headers")

    def _feed_body(self, data: bytes, start: int) -> int:
        """Feed from *start* as much as belongs to the body; return where to go on."""
        incoming = self.incoming
        assert incoming is not None
        if incoming.body_length >= 0:
            end = min(len(data), start + incoming.body_length - self._received)
        else:
            # A chunked body ends with CR LF CR LF, of which an earlier piece may have brought the beginning.
            end = data.find(b"\n", start, start + 3) + 1 or data.find(b"\r\n\r\n", start) + 4
            if end < 4 and end <= start:
                end = len(data)
        before = incoming.body_received
        self._received += end - start
        self._feed(memoryview(data)[start:end] if end - start < len(data) else data)
        if incoming.body_length == CHUNKED:
            # Chunk extensions and trailers are read but not wanted: they may not go on for ever.
            incoming.overhead = 0 if incoming.body_received > before else incoming.overhead + end - start
            if incoming.overhead > _OVERHEAD_BOUND:
                raise ProtocolError(431, "chunk extensions or trailers without end")
        return end

    def _feed(self, data: bytes | memoryview) -> None:
        try:
            self.parser.feed_data(data)
        except Upgrade:
            self._stay_with_http1()
        except ProtocolError:
            raise
        except Exception as error:
            # httptools wraps what a callback raised.
            if isinstance(error.__context__, ProtocolError):
                raise error.__context__ from None
            raise ProtocolError(400, str(error) or "the request is malformed") from None

    def _stay_with_http1(self) -> None:
        """Go on behind the head of a request that asked for an upgrade, which is not taken.

        llhttp takes such a request to end with its head, whatever its framing says (RFC 9110, section 7.8, has the
        server free to ignore the field). Its body is read by a parser that is told the framing only.
        """
        exchange = self.exchange
        assert exchange is not None
        length = exchange.body_length
        self.parser = self.server.new_parser(self, None if length == 0 else length)
        if length:
            exchange.body_complete = False
            self.incoming = exchange

    # --- the parser's calls ------------------------------------------------------------------------------------

    def on_url(self, url: bytes) -> None:
        self.url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        lower = NAMES.get(name) or field_name(name)
        if self.incoming is not None:
            self._trailer(lower)
            return
        self.headers.append((lower, value))
        if lower in _SPECIAL:
            self.special.append((lower, value))

    def on_headers_complete(self) -> None:
        parser = self.parser
        name = parser.get_method()
        method = _METHODS.get(name) or self._method(name)
        url = self.url
        exchange = H1Exchange(self, self.headers)
        exchange.method = method
        exchange.target = url
        exchange.raw_path, exchange.query, exchange.path, authority = TARGETS.get(url) or parse_target(
            url, method
        )
        exchange.client = self.client
        exchange.server = self.local
        exchange.scheme = "http"
        self.keep_alive = keep_alive = parser.should_keep_alive()
        special = self.special
        if len(special) == 1 and keep_alive and special[0][1] in HOSTS and special[0][0] == b"host":
            pass
        else:
            self._judge(exchange, special, authority)
        server = self.server
        if len(self.headers) > server.max_headers:
            raise ProtocolError(431, "more header fields than max_headers")
        if len(name) + len(url) + 10 > server.max_request_line:
            raise ProtocolError(414, "the request line is longer than max_request_line_size")
        if self.trusted:
            forwarded.apply(exchange, server.trust)
        self.url = self.tail = b""
        self.lines = self._received = 0
        self.headers = []
        self.special = []
        self.exchange = self.incoming = exchange
        self.fresh = True

    @staticmethod
    def _method(name: bytes) -> str:
        if name == b"CONNECT":
            raise ProtocolError(501, "this server is no proxy")
        method = name.decode("ascii")
        if len(_METHODS) < 64:
            _METHODS[name] = method
        return method

    def _judge(self, exchange: H1Exchange, special: list[tuple[bytes, bytes]], authority: bytes) -> None:
        """Decide about Host, framing and expectations (RFC 9112, sections 3.2, 6 and 9)."""
        version = self.parser.get_http_version()
        if version != "1.1":
            if version != "1.0":
                raise ProtocolError(
                    505 if version >= "2" else 400, "only HTTP/1.1 and HTTP/1.0 are spoken here"
                )
            exchange.http_version = version
        values: dict[bytes, list[bytes]] = {name: [] for name in _SPECIAL}
        for name, value in special:
            values[name].append(value.strip(b" \t"))
        hosts = values[b"host"]
        if len(hosts) > 1 or (not hosts and version == "1.1"):
            raise ProtocolError(400, "a request needs exactly one Host")
        for host in hosts:
            if host not in HOSTS:
                check_host(host)
        if authority and authority not in HOSTS:
            check_host(authority)
        length = body_length(values[b"content-length"], values[b"transfer-encoding"], version == "1.0")
        if length > self.server.max_body_size:
            raise ProtocolError(413, "the request body is longer than max_body_size")
        exchange.body_length = length
        expectations = values[b"expect"]
        if expectations and version == "1.1":
            if [value.lower() for value in expectations] != [b"100-continue"]:
                raise ProtocolError(417, "the only expectation known is 100-continue")
            exchange.expects_continue = length != 0

    def _trailer(self, name: bytes) -> None:
        """Trailers are checked and then dropped: neither ASGI nor WSGI has a place for them."""
        if name in FORBIDDEN_TRAILERS:
            raise ProtocolError(400, "a field that may not come after the body")
        self.lines += 1
        if self.lines > self.server.max_headers:
            raise ProtocolError(431, "more trailers than max_headers")

    def on_body(self, data: bytes) -> None:
        incoming = self.incoming
        assert incoming is not None
        incoming.body_received += len(data)
        if incoming.finished:
            return  # thrown away; exchange_done has seen to it that this is not for ever
        incoming.chunks.append(data)
        incoming.buffered += len(data)
        if incoming.body_received > self.server.max_body_size:
            raise ProtocolError(413, "the request body is longer than max_body_size")

    def on_message_complete(self) -> None:
        incoming = self.incoming
        if incoming is not None:
            incoming.body_complete = True
            self.incoming = None
            self.lines = 0
            if incoming is not self.exchange:
                self._next()  # the end of a body that was thrown away

    # --- the exchange's calls ----------------------------------------------------------------------------------

    def body_taken(self) -> None:
        """The application has taken what was buffered: read on."""
        if self.read_paused and not self.held:
            self._resume_reading()

    def response_begun(self) -> None:
        """The head of a response is on its way, and its body will follow."""
        self._set_deadline()

    def exchange_done(self, exchange: H1Exchange) -> None:
        """The response is complete, or was given up: go on with the next request, or close."""
        server = self.server
        self.exchange = None
        server.release(exchange)
        incoming = self.incoming
        if not self.keep_alive:
            self._close(linger=incoming is not None or bool(self.held))
        elif incoming is not None:
            self._discard(incoming)
        else:
            self._next()

    def _discard(self, incoming: H1Exchange) -> None:
        """Read and throw away the rest of a body that nobody wants, or close when that is too much to read."""
        left = incoming.body_length - self._received
        if incoming.body_length == CHUNKED or left > _DISCARD_BOUND:
            self._close(linger=True)
            return
        incoming.chunks.clear()
        self.deadline = self.server.body_deadline
        self._resume_reading()

    def _next(self) -> None:
        """Be ready for the next request: a held one, or one that is still to come."""
        server = self.server
        self.deadline = server.idle_deadline
        if self.held:
            if not self.write_paused:
                # Not from here: a client that pipelines thousands would make us recurse as deep.
                server.loop.call_soon(self._parse_held)
        elif self.read_paused:
            self._resume_reading()

    def _parse_held(self) -> None:
        data, self.held = self.held, b""
        if data and self.exchange is None and not self.transport.is_closing():
            self._resume_reading()
            self._parse(data)

    # --- flow control ------------------------------------------------------------------------------------------

    def _pause_reading(self) -> None:
        if not self.read_paused and not self.transport.is_closing():
            self.read_paused = True
            self.transport.pause_reading()

    def _resume_reading(self) -> None:
        if self.read_paused and not self.transport.is_closing():
            self.read_paused = False
            self.transport.resume_reading()

    def stalled(self) -> None:
        """The client does not take what is written to it; it has ``send_timeout`` to take something."""
        self.write_paused = True
        self._pending = self.transport.get_write_buffer_size()
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
            self._drained = None
            if not transport.is_closing():
                transport.set_write_buffer_limits()

    # --- deadlines ---------------------------------------------------------------------------------------------

    def _set_deadline(self) -> None:
        """Set the deadline to the earliest of those that count while an exchange is active."""
        exchange = self.exchange
        if exchange is None:
            return
        deadline = self.server.never
        if not exchange.sent_head:
            deadline = self._answer_by
        if self.incoming is not None:
            deadline = min(deadline, self._body_by)
        if self.write_paused:
            deadline = min(deadline, self._send_by)
        self.deadline = deadline

    def expire(self, now: float) -> None:
        """Act on a deadline that has passed (*now* as of ``loop.time()``)."""
        exchange = self.exchange
        if exchange is None:
            self._expire_idle()
            return
        if self.write_paused and now >= self._send_by and self._send_expired():
            return
        if self.incoming is not None and now >= self._body_by and self._body_expired():
            return
        if not exchange.sent_head and now >= self._answer_by:
            if self.incoming is None or self.read_paused:
                log.warning("request timed out", extra={"fields": {"request": exchange.request_id}})
                exchange.answer(504)
                if exchange.on_timeout is not None:
                    exchange.on_timeout()
                return
            self._answer_by = self.server.request_deadline  # the body is still coming, and fast enough
        self._set_deadline()

    def _expire_idle(self) -> None:
        if self.lingering or self.transport.is_closing():
            self.transport.abort()
        elif self.lines or self.tail:
            self._reject(ProtocolError(408, "the request head did not arrive within header_timeout"))
        else:
            self._close(linger=self.incoming is not None)

    def _send_expired(self) -> bool:
        pending = self.transport.get_write_buffer_size()
        if pending >= self._pending:
            log.info("client takes no data, connection aborted", extra={"fields": {"client": self.client}})
            self.transport.abort()
            return True
        self._pending = pending
        self._send_by = self.server.send_deadline
        return False

    def _body_expired(self) -> bool:
        server = self.server
        if not self.read_paused and self._received - self._window < server.body_window_bytes:
            self._break_off(ProtocolError(408, "the request body came more slowly than body_min_rate"))
            return True
        self._window = self._received
        self._body_by = server.body_deadline
        return False

    # --- the end -----------------------------------------------------------------------------------------------

    def _break_off(self, error: ProtocolError) -> None:
        """Answer *error* in place of the exchange it hit; where an answer is under way already, cut that off."""
        exchange, self.exchange = self.exchange, None
        self.incoming = None
        if exchange is not None and not self.fresh:
            exchange.gone = exchange.lost = exchange.finished = True
            self.server.release(exchange)
            if exchange.notify is not None:
                exchange.notify()
        self.fresh = False
        if exchange is not None and exchange.sent_head:
            self.transport.abort()
        else:
            self._reject(error)

    def _reject(self, error: ProtocolError) -> None:
        """Answer a request that never became an exchange, then close (RFC 9112, section 2.2)."""
        self.server.rejected(self, error)
        phrase = HTTPStatus(error.status).phrase
        body = f"{phrase}: {error}\n".encode("latin-1", "replace")
        head = (
            b"content-type: text/plain; charset=utf-8\r\ncontent-length: %d\r\nconnection: close\r\n"
            % len(body)
        )
        self.transport.write(
            b"".join((STATUS_LINES[error.status], head, self.server.stamp, b"\r\n", body)),
        )
        self.held = b""
        self._close(linger=True)

    def _close(self, *, linger: bool) -> None:
        """Close behind what was written. With *linger*, read a little longer what the client still sends."""
        self.keep_alive = False
        self.held = b""
        if linger and self.transport.can_write_eof() and not self.transport.is_closing():
            self.lingering = True
            self.incoming = None
            self._received = 0
            self.deadline = self.server.now + _LINGER_SECONDS
            self._resume_reading()
            self.transport.write_eof()
        else:
            self.transport.close()
            self.deadline = self.server.send_deadline

    def _linger(self, data: bytes) -> None:
        self._received += len(data)
        if self._received > _LINGER_BYTES:
            self.transport.abort()
