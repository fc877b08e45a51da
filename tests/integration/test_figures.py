"""What a worker tells of itself on the scoreboard, beside what ``test_http_limits.py`` shows."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import ExitStack

import pytest

from hornbeamd.observe.meter import Meter
from hornbeamd.worker.scoreboard import BUSY, BYTES, CELLS, COUNTS, INVALID, OPENED, REQUESTS, WEBSOCKETS, WIDTH
from tests.support.applications import Served, answer, asgi, head
from tests.support.h2client import H2Client
from tests.support.waiting import wait_until
from tests.support.websocket import RawWebSocket, close_frame


async def app(scope, receive, send):
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        while (await receive())["type"] != "websocket.disconnect":
            pass
    else:
        await answer(send, b"x" * 100)


def open_http1(served: Served, stack: ExitStack) -> Callable[[], None]:
    client = stack.enter_context(RawWebSocket(served.running.address, 5.0))
    client.open()
    return lambda: client.send(close_frame(1000))


def open_http2(served: Served, stack: ExitStack) -> Callable[[], None]:
    client = stack.enter_context(H2Client(served.running.address))
    stream = client.connect(b"/", (b"sec-websocket-version", b"13"))

    def close() -> None:
        client.h2.send_data(stream, close_frame(1000))
        client.flush()

    return close


@pytest.mark.parametrize("open_websocket", [open_http1, open_http2])
def test_websockets_that_are_open_and_were_opened(open_websocket):
    row = [0] * CELLS
    with asgi(app, row=row, meter=Meter(row, lambda: True)) as served, ExitStack() as stack:
        closes = [open_websocket(served, stack) for _ in range(2)]
        wait_until(lambda: row[WEBSOCKETS] == 2)
        closes[0]()
        wait_until(lambda: row[WEBSOCKETS] == 1 and row[REQUESTS] == 1)
    # What was cut is not open either, and none of them is a request that took long.
    assert (row[WEBSOCKETS], row[OPENED], row[REQUESTS], sum(row[COUNTS:])) == (0, 2, 2, 0)
    assert row[BYTES]


def test_requests_that_were_refused_and_why():
    row, go_on = [0] * CELLS, asyncio.Event()

    async def waits(scope, receive, send):
        await go_on.wait()
        await answer(send, b"x")

    with asgi(waits, row=row, max_concurrent=1) as served, served.client() as first, served.client() as second:
        first.send(head())
        wait_until(lambda: row[0] == 1)
        assert second.request(head()).status == 503
        assert (row[BUSY], row[INVALID]) == (1, 0)
        assert second.request(b"no request\r\n\r\n").status == 400
        assert (row[BUSY], row[INVALID]) == (1, 1)
        served.running.call(go_on.set)
        assert first.read_response().status == 200


def test_a_meter_counts_while_it_is_wanted():
    row, wanted = [0] * CELLS, [False]
    with asgi(app, row=row, meter=Meter(row, lambda: wanted[0])) as served, served.client() as client:

        def request_when(recorded: bool) -> None:
            wanted[0] = recorded
            wait_until(lambda: (served.running.server.record is not None) is recorded)
            assert client.request(head()).status == 200

        for recorded in (False, True, False, True):
            request_when(recorded)
        wait_until(lambda: sum(row[COUNTS : COUNTS + WIDTH]) == sum(row[COUNTS:]) == 2)
        assert (row[BYTES], row[REQUESTS]) == (200, 4)
