"""The server of one worker: knows its connections, admits exchanges, keeps the clock for both, and drains.

Time: :attr:`Server.now` is renewed once per tick, together with the deadlines that connections copy. A deadline so
may pass up to one tick late, never early.

The clock stands still while the event loop does, held up by an application that computes: nobody is blamed for what he
sent, or took, while nobody looked. It would else close all idle connections whose next request waits in the kernel.
"""

from __future__ import annotations

import asyncio
import logging
import math
import socket
import ssl
import time
from collections.abc import Callable, MutableSequence
from contextvars import Context, copy_context
from random import randint
from typing import TYPE_CHECKING, Protocol

from hornbeamd.config.options import Options
from hornbeamd.errors import ProtocolError
from hornbeamd.http.accepting import Acceptor
from hornbeamd.http.exchange import Exchange, Request
from hornbeamd.http.forwarded import Proxies
from hornbeamd.http.h1.heads import Heads
from hornbeamd.http.h1.parsers import ParserFactory, parser_factory
from hornbeamd.http.h1.reader import Limits
from hornbeamd.http.h2.engines import Engine, engine_factory
from hornbeamd.http.h2.fields import HTTP2_FIELDS
from hornbeamd.http.h2.stream import Listener, Terms
from hornbeamd.http.pace import PACE_SECONDS
from hornbeamd.http.rules import HTTP1_FIELDS, Target
from hornbeamd.http.stamp import Stamp
from hornbeamd.worker.scoreboard import (
    ACCEPTING,
    BUSY,
    CELLS,
    CONNECTIONS,
    IN_FLIGHT,
    INVALID,
    OPENED,
    REQUESTS,
    WEBSOCKETS,
)

if TYPE_CHECKING:
    from hornbeamd.http.connection import Connection
    from hornbeamd.http.exchange import Handler
    from hornbeamd.http.peer import Peer

log = logging.getLogger("hornbeamd.http")

# What HTTP/2 lets a client send before the application takes it: of one request body, and of all on a connection.
_STREAM_WINDOW = 262144
_CONNECTION_WINDOW = 1048576

Record = Callable[[Exchange, float], None]


class AccessLog(Protocol):
    """Where finished exchanges are recorded."""

    def record(self, exchange: Exchange, now: float) -> None: ...
    def flush(self) -> None: ...


class Meter(AccessLog, Protocol):
    """Where they are counted, while somebody wants to know."""

    @property
    def wanted(self) -> bool: ...


class Server:
    """Serves HTTP on listening sockets in the running event loop.

    With *tls* every connection begins with a handshake. *row* is this worker's row of the scoreboard; *total* returns
    the exchanges in hand in all workers; *crowd* returns how many workers accept, and how many connections these have
    together. *access* gets each exchange when it is over, and so does *meter* while it is wanted. *on_recycle* is
    called once when ``max_requests`` is reached, *on_refuse* with each exchange before it is answered 503 without being
    handed to *handler*.
    """

    loop: asyncio.AbstractEventLoop
    limits: Limits
    new_parser: ParserFactory
    in_flight: int
    """Exchanges handed to the application and not over."""
    requests: int
    """Exchanges that are over."""
    never = math.inf
    # Deadlines of what begins now, as of the last tick.
    now: float = 0.0
    header_deadline: float
    request_deadline: float
    body_deadline: float
    send_deadline: float
    pace_deadline: float
    idle_deadline: float
    context: Context
    """The context in which the server was started, or has adopted its handler; what it begins itself begins there."""

    def __init__(
        self,
        options: Options,
        handler: Handler,
        *,
        tls: ssl.SSLContext | None = None,
        row: MutableSequence[int] | None = None,
        total: Callable[[], int] | None = None,
        crowd: Callable[[], tuple[int, int]] | None = None,
        access: AccessLog | None = None,
        meter: Meter | None = None,
        on_recycle: Callable[[], None] | None = None,
        on_refuse: Callable[[Exchange], None] | None = None,
    ) -> None:
        self.options = options
        self.handler = handler
        self.handle = handler.handle
        self.tls = tls
        self.row: MutableSequence[int] = [0] * CELLS if row is None else row
        self.total = total or (lambda: self.in_flight)
        self.access = access
        self.meter = meter
        self.record: Record | None = None if access is None else access.record
        self.on_recycle = on_recycle
        self.on_refuse = on_refuse
        self.trust = Proxies(options.forwarded_allow_from, options.forwarded_headers)
        self.connections: set[Connection] = set()
        self.in_flight = 0
        self.requests = 0
        self.draining = False
        self._over = False
        unlimited = 1 << 63
        self.limits = Limits(
            options.max_request_line_size,
            options.max_header_size,
            options.max_headers,
            unlimited if options.max_body_size is None else options.max_body_size,
        )
        self.terms = Terms(options.http2_max_streams, _STREAM_WINDOW, _CONNECTION_WINDOW, self.limits)
        self.stamp = Stamp(HTTP1_FIELDS, options.server_header)
        self.h2_stamp = Stamp(HTTP2_FIELDS, options.server_header)
        self.crowd = crowd or (lambda: (1, self.row[CONNECTIONS]))
        self._share = _share(options)
        self._recycle_at = self._recycling_point()
        self.new_parser = parser_factory(options.http_parser)
        self._make_engine = engine_factory(options.http2_engine)
        self.heads = Heads(self.new_parser, options.max_request_line_size, options.max_headers)
        self.acceptor = Acceptor(self)
        self._tick_length = self._choose_tick()
        self._ticker: asyncio.TimerHandle | None = None
        self._second = 0
        self._standstill = 0.0
        self._empty: asyncio.Event | None = None

    def _recycling_point(self) -> int:
        options = self.options
        if not options.max_requests:
            return 0
        return options.max_requests + randint(0, options.max_requests_jitter)

    def _choose_tick(self) -> float:
        options = self.options
        shortest = min(
            limit
            for limit in (
                options.timeout,
                options.keepalive,
                options.header_timeout,
                options.body_timeout,
                options.send_timeout,
                options.websocket_timeout,
                *(mount.timeout or 0 for mount in options.mounts),
            )
            if limit > 0
        )
        return min(max(shortest / 4, 0.02), 0.5)

    # --- life ----------------------------------------------------------------------------------------------------

    def start(self, sockets: list[socket.socket]) -> None:
        """Begin to accept from *sockets* in the running loop."""
        self.loop = asyncio.get_running_loop()
        self.now = self.time()
        self.context = copy_context()
        self._tick()
        self.acceptor.start(sockets)
        self.row[ACCEPTING] = 1

    def adopt(
        self, handler: Handler, on_refuse: Callable[[Exchange], None] | None = None, options: Options | None = None
    ) -> None:
        """Have *handler* serve all that comes from now on; what is in hand stays with the one that has it.

        No connection notices. As with :meth:`start`, what begins without a client's doing begins in the context of the
        caller from now on, and so do new connections. *options* may have another number of workers; of what else they
        say nothing is different.
        """
        if options is not None:
            self.options = options
            self._share = _share(options)
        self.context = copy_context()
        self.handler = handler
        self.handle = handler.handle
        self.on_refuse = on_refuse
        self.acceptor.relocate()
        self._tick()

    async def drain(self, timeout: float, idle: float) -> bool:
        """Stop accepting, let exchanges end and connections go; True when all went within *timeout* seconds.

        A connection that waits for its next request is kept *idle* seconds, so that a request that is already on
        its way is answered, with ``Connection: close``.
        """
        self.stop_accepting()
        self.draining = True
        end = self.loop.time() + timeout
        self._tick()
        self.idle_deadline = self.now + min(idle, timeout)
        for connection in list(self.connections):
            connection.drain()
        # Those that show their protocol only now; the others do not wait for them.
        await self.acceptor.settle(min(idle, timeout))
        for connection in list(self.connections):
            connection.drain()
        if self.connections:
            self._empty = asyncio.Event()
            try:
                async with asyncio.timeout_at(end):
                    await self._empty.wait()
            except TimeoutError:
                pass
        drained = not self.connections
        self.abort()
        return drained

    def abort(self) -> None:
        """Stop accepting and cut all connections."""
        self.stop_accepting()
        self._over = True
        for connection in list(self.connections):
            connection.transport.abort()
        if self._ticker is not None:
            self._ticker.cancel()
            self._ticker = None
        self._flush()

    def stop_accepting(self) -> None:
        """Leave new connections to other workers; those that are here go on."""
        self.acceptor.stop()
        self.row[ACCEPTING] = 0

    def new_engine(self, listener: Listener) -> Engine:
        """Make what speaks HTTP/2 for a connection."""
        return self._make_engine(listener, self.terms, self.now)

    # --- connections ---------------------------------------------------------------------------------------------

    @property
    def counted_connections(self) -> int:
        """Our connections as the other workers see them."""
        return self.row[CONNECTIONS]

    def opened(self, connection: Connection) -> None:
        """Take note of *connection*."""
        self.connections.add(connection)
        self.row[CONNECTIONS] = len(self.connections)
        if self._over:  # a handshake that has outlived the server
            connection.transport.abort()

    def replaced(self, connection: Connection, successor: Connection) -> None:
        """Another protocol goes on with the transport of *connection*."""
        self.connections.discard(connection)
        self.connections.add(successor)

    def closed(self, connection: Connection) -> None:
        """Forget *connection*."""
        self.connections.discard(connection)
        self.row[CONNECTIONS] = len(self.connections)
        if self._empty is not None and not self.connections:
            self._empty.set()

    # --- exchanges -----------------------------------------------------------------------------------------------

    def admit(self, exchange: Exchange) -> None:
        """Hand *exchange* to the application, or answer 503 when ``max_concurrent`` are in hand already."""
        if self.record is not None:
            exchange.began = time.monotonic()
        in_flight = self.in_flight
        self.in_flight = self.row[IN_FLIGHT] = in_flight + 1
        if in_flight >= self._share and self.total() > self.options.max_concurrent:
            self.row[BUSY] += 1
            if self.on_refuse is not None:
                self.on_refuse(exchange)
            exchange.answer(503, [(b"retry-after", b"1")])
            return
        self.handle(exchange)

    def release(self, exchange: Exchange) -> None:
        """Take note that *exchange* is over."""
        self.in_flight = self.row[IN_FLIGHT] = self.in_flight - 1
        self.requests = self.row[REQUESTS] = requests = self.requests + 1
        if self.record is not None:
            self.record(exchange, time.monotonic())
        if self.acceptor.stepped_back:
            self.acceptor.reconsider()
        if requests == self._recycle_at and self.on_recycle is not None:
            self.on_recycle()

    def rejected(self, peer: Peer, error: ProtocolError, in_head: bool) -> None:
        """Take note of a request that was refused before it became an exchange, or in its place."""
        self.row[INVALID] += 1
        client = peer.client
        fields = {"status": error.status, "reason": str(error), "client": "unix" if client is None else client[0]}
        log.info("request refused", extra={"fields": fields})
        if self.access is not None and in_head:
            refused = Exchange()
            refused.request = Request("-", b"-", Target(b"-", b"", "-", b""), ())
            refused.peer = peer
            refused.client = client
            refused.status = error.status
            refused.began = now = time.monotonic()
            self.access.record(refused, now)

    def upgraded(self, exchange: Exchange) -> None:
        """Take note that *exchange* goes on as a WebSocket."""
        exchange.upgraded = True
        self.row[WEBSOCKETS] += 1
        self.row[OPENED] += 1

    def websocket_over(self) -> None:
        """Take note that one of them is over."""
        self.row[WEBSOCKETS] -= 1

    # --- the clock -----------------------------------------------------------------------------------------------

    def time(self) -> float:
        """The clock of :attr:`now` and of all deadlines: ``loop.time()``, but for what the loop stood still."""
        return self.loop.time() - self._standstill

    def _tick(self) -> None:
        if self._ticker is not None:
            self._ticker.cancel()
        self._ticker = self.loop.call_later(self._tick_length, self._tick)
        options = self.options
        now = self.time()
        standstill = now - self.now - 2 * self._tick_length
        if standstill > 0:
            self._standstill += standstill
            now -= standstill
        self.now = now
        after = now + self._tick_length
        self.header_deadline = after + options.header_timeout
        self.request_deadline = after + options.timeout
        self.body_deadline = after + options.body_timeout
        self.pace_deadline = after + PACE_SECONDS
        self.send_deadline = after + options.send_timeout
        if not self.draining:
            self.idle_deadline = after + options.keepalive
        second = int(time.time())
        if second != self._second:
            self._second = second
            self.stamp.renew(second)
            self.h2_stamp.renew(second)
        self.acceptor.tick(now)
        self._expire(now)
        self._flush()

    def _flush(self) -> None:
        """Have what was recorded written down, and see who gets what is over from now on: often nobody."""
        takers = [self.access] if self.access is not None else []
        if self.meter is not None and self.meter.wanted:
            takers.append(self.meter)
        for taker in takers:
            taker.flush()
        self.record = _together([taker.record for taker in takers])

    def _expire(self, now: float) -> None:
        for connection in [each for each in self.connections if each.deadline <= now]:
            try:
                connection.expire(now)
            except Exception:  # one connection's trouble must not stop the clock of all
                log.exception("a deadline could not be acted on, connection aborted")
                connection.transport.abort()


def _together(records: list[Record]) -> Record | None:
    """One call for all of *records*; None for none, which is what costs nothing."""
    if len(records) < 2:
        return records[0] if records else None

    def record(exchange: Exchange, now: float) -> None:
        for each in records:
            each(exchange, now)

    return record


def _share(options: Options) -> int:
    """Below this a worker admits without looking at the others, of which scaling may have made eight times as many."""
    return options.max_concurrent // (8 * options.workers)
