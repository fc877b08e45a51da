"""The deadlines of one exchange over HTTP/2, and what becomes of it when one has passed."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from hornbeamd.errors import ProtocolError
from hornbeamd.http.h2.frames import Code
from hornbeamd.http.pace import too_slow

if TYPE_CHECKING:
    from hornbeamd.http.h2.connection import H2Connection
    from hornbeamd.http.h2.exchange import H2Exchange

log = logging.getLogger("hornbeamd.http")


def expire(connection: H2Connection, exchange: H2Exchange, now: float) -> float:
    """Act on what has passed by *now*; return when to look again."""
    server = connection.server
    waits = exchange.stream.outbox is not None and not connection.write_paused
    if waits and now >= exchange.send_by:
        log.info("client takes no data, stream reset", extra={"fields": _facts(exchange)})
        connection.fault(exchange, Code.CANCEL)
        return server.never
    deadline = exchange.send_by if waits else server.never
    if exchange.tunnel is not None:
        return min(deadline, exchange.tunnel.expire(now))
    if exchange.finished:
        return deadline
    coming = _may_come(connection, exchange)
    if coming:
        reason = _too_slow(exchange, now, server.options.body_min_rate)
        if reason:
            connection.refuse(exchange, ProtocolError(408, reason))
            return server.never
    if not exchange.body_complete:
        if not coming:
            connection.expect_body(exchange)
        deadline = min(deadline, exchange.body_by, server.pace_deadline)
    if exchange.sent_head:
        return deadline
    if now >= exchange.answer_by:
        if not coming:
            _time_out(exchange)
            return server.never
        # The body is still coming, and fast enough.
        exchange.answer_by = now + exchange.patience if exchange.patience else server.request_deadline
    return min(deadline, exchange.answer_by)


def _may_come(connection: H2Connection, exchange: H2Exchange) -> bool:
    """Tell whether it is for the client to send more of the body: for nobody else, and the windows are open."""
    if exchange.body_complete or exchange.websocket is not None or not connection.transport.is_reading():
        return False
    terms = connection.server.terms
    if 2 * exchange.buffered >= terms.stream_window:
        return False
    # All streams share one window, which bodies that their applications do not take may fill.
    exchanges = [stream.exchange for stream in connection.engine.streams.values() if stream.exchange is not None]
    held: int = sum(each.buffered for each in exchanges)
    return 2 * held < terms.connection_window


def _too_slow(exchange: H2Exchange, now: float, rate: int) -> str:
    """Say why the body is too slow, if it is."""
    if now >= exchange.body_by:
        return "the request body paused for longer than body_timeout"
    if too_slow(now - exchange.pace_since, exchange.stream.received - exchange.pace_from, rate):
        return "the request body came more slowly than body_min_rate"
    return ""


def _time_out(exchange: H2Exchange) -> None:
    log.warning("request timed out", extra={"fields": _facts(exchange)})
    exchange.answer(504)
    if exchange.on_timeout is not None:
        exchange.on_timeout()


def _facts(exchange: H2Exchange) -> dict[str, object]:
    return {"request": exchange.request_id, "method": exchange.method, "path": exchange.path}
