"""What clients do that want to hurt: the worker lives, others are served, and it costs a bounded amount."""

import asyncio
import json
import socket
import struct
from collections.abc import Iterator

import pytest

from hornbeamd.config.options import Options
from hornbeamd.http.server import Server
from tests.support.corpus import PROBE
from tests.support.echo import Echo
from tests.support.effort import counted
from tests.support.inprocess import InProcess, serving
from tests.support.memory import converse
from tests.support.raw import RawClient, parse_all
from tests.support.waiting import wait_until

PARSERS = ("httptools", "h11")


@pytest.fixture(params=PARSERS)
def server(request: pytest.FixtureRequest) -> Iterator[InProcess]:
    with serving(Echo(), Options(http_parser=request.param), loop="uvloop") as running:
        yield running


@pytest.mark.parametrize("parser", PARSERS)
@pytest.mark.parametrize(
    "pieces",
    [
        [b"GET /evil HTTP/1.1\r\nHost: a\r\nX: ", PROBE],
        [b"POST /evil HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % len(PROBE), PROBE],
        [b"\r\n", PROBE[:-2], PROBE[-2:], PROBE],
        [b"GET /evil HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n", PROBE],
        [b"GET http://evil/probe HTTP/1.1\r\nHost: a\r\n\r\n"],
        [b"GET http://evil/probe HTTP/1.1\r\nX: y\r\nHost: a\r\n\r\n"],
        [b"GET /probe HTTP/1.1\r\nX: y\r\nHost: evil\r\n\r\n", b"GET /probe HTTP/1.1\r\nX: y\r\nHost: a\r\n\r\n"],
        [b"GET /probe HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n", PROBE],
        [b"GET /probe HTTP/1.1\r\nHost:a\r\n\r\n", b"GET /probe HTTP/1.1\r\nHost: evil\r\n\r\n"],
    ],
)
def test_no_client_changes_what_the_bytes_of_another_mean(parser: str, pieces: list[bytes]):
    async def run() -> tuple[bytes, int]:
        server = Server(Options(http_parser=parser), Echo())
        server.start([])
        for _ in range(3):
            await converse(server, pieces, fin=True)
        seen = server.handler.seen
        seen.clear()
        transport = await converse(server, [PROBE, PROBE[-1:]], fin=True)
        server.abort()
        return bytes(transport.output), len(seen)

    output, count = asyncio.run(run())
    (response,) = parse_all(output, ["GET"])
    assert count == 1
    assert json.loads(response.body)["target"] == "/probe"
    assert json.loads(response.body)["headers"] == [["host", "a"]]


def test_requests_in_a_row_whose_answers_nobody_reads_wait(server: InProcess):
    echo = server.server.handler
    request = b"GET /%b HTTP/1.1\r\nHost: a\r\n\r\n" % (b"a" * 2000)
    with RawClient(server.address) as client:
        client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        client.socket.setblocking(False)
        sent = 0

        def stuck() -> bool:
            nonlocal sent
            try:
                while True:
                    data = memoryview(request)[sent % len(request) :]
                    sent += client.socket.send(data)
            except BlockingIOError:
                return any(
                    getattr(each, "write_paused", False) and each.read_paused for each in server.server.connections
                )

        wait_until(stuck, deadline=30)
        answered = len(echo.seen)
        assert len(server.server.connections) == 1
        # Others are served meanwhile.
        with RawClient(server.address) as other:
            assert other.request(PROBE).status == 200
        # And the client gets what it asked for as soon as it reads: nothing was lost.
        client.socket.settimeout(client.deadline)
        whole = sent // len(request)
        assert whole >= answered
        for _ in range(whole):
            assert len(json.loads(client.read_response().body)["target"]) == 2001


def test_clients_that_reset_their_connections(server: InProcess):
    hard = struct.pack("ii", 1, 0)  # SO_LINGER of 0 seconds: close() sends RST
    for number in range(300):
        with RawClient(server.address) as client:
            client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, hard)
            if number % 3:
                client.send(PROBE if number % 3 == 1 else PROBE[:20])
    wait_until(lambda: not server.server.connections)
    assert server.server.in_flight == 0
    with RawClient(server.address) as client:
        assert client.request(PROBE).status == 200


@pytest.mark.parametrize("parser", PARSERS)
@pytest.mark.parametrize("content", [b"\n", b"\r\n", b"\r\n\r\n", b"\r\n0\r\n\r"])
def test_what_a_chunked_body_costs_does_not_depend_on_what_is_in_it(parser: str, content: bytes):
    """Where a chunked body ends is told by its line ends; a body may consist of them."""

    def calls(content: bytes) -> int:
        size = 1 << 18
        body = (content * size)[:size]
        stream = b"POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (
            size,
            body,
        )
        chunks = [stream[start : start + 65536] for start in range(0, len(stream), 65536)]

        async def run() -> int:
            server = Server(Options(http_parser=parser), Echo())
            server.start([])
            with counted() as effort:
                await converse(server, chunks, fin=True)
            server.abort()
            assert [each["body"].encode() for each in server.handler.seen] == [body]
            return effort.calls

        return asyncio.run(run())

    assert calls(content) < 2 * calls(b"x")
