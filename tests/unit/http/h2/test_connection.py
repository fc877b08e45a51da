"""The owner of an engine, without a socket: what a read costs it."""

import asyncio
from contextlib import asynccontextmanager

import pytest

from hornbeamd.config.options import Options
from hornbeamd.http.h2.connection import H2Connection
from hornbeamd.http.h2.frames import PREFACE, Setting
from hornbeamd.http.peer import Peer
from hornbeamd.http.server import Server
from tests.support.echo import Echo
from tests.support.effort import counted
from tests.support.h2frames import data, headers, post, read_frames, reset, setting, window
from tests.support.memory import MemoryTransport

# Nobody may send anything, so that every answer waits.
CLOSED = PREFACE + setting((Setting.INITIAL_WINDOW_SIZE, 0))


@asynccontextmanager
async def connected(engine: str):
    """A connection of a server, with its transport."""
    server = Server(Options(http2_engine=engine), Echo())
    server.start([])
    transport = MemoryTransport()
    connection = transport.protocol = H2Connection(server, Peer(("127.0.0.1", 1), ("127.0.0.1", 2), trusted=False))
    connection.connection_made(transport)
    try:
        yield connection
    finally:
        transport.abort()
        await asyncio.sleep(0)
        server.abort()


@pytest.fixture(params=["native", "h2"])
def name(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.mark.parametrize(
    "sent",
    [
        window(0, 1) * 1500,
        b"".join(window(number, 1) for number in range(1, 21, 2)) * 150,
        setting(*[(Setting.INITIAL_WINDOW_SIZE, 0), (Setting.INITIAL_WINDOW_SIZE, 1)] * 1300),
        (setting((Setting.INITIAL_WINDOW_SIZE, 0)) + setting((Setting.INITIAL_WINDOW_SIZE, 1))) * 300,
    ],
    ids=["updates", "updates of streams", "one frame of settings", "settings"],
)
def test_the_streams_that_wait_do_not_make_each_frame_dear(name: str, sent: bytes):
    """RFC 9113, section 10.5: a read is full of windows that open by a byte, while a hundred answers wait."""

    def calls(waiting: int) -> int:
        async def run() -> int:
            async with connected(name) as connection:
                connection.data_received(CLOSED + b"".join(headers(1 + 2 * number) for number in range(waiting)))
                assert len(connection.engine.streams) == waiting
                with counted() as effort:
                    connection.data_received(sent)
                assert not connection.transport.is_closing()
                return effort.calls

        return asyncio.run(run())

    assert calls(99) < 2 * calls(10) + 10000


def test_what_a_request_that_is_taken_back_has_brought_is_given_back_to_the_connection(name: str):
    """All in one read: the application sees none of it, and the window of all streams stays as it was."""

    async def run() -> None:
        async with connected(name) as connection:
            connection.data_received(PREFACE + setting())
            for number in range(1, 401, 2):
                connection.data_received(post(number) + data(number, b"x" * 16000) + reset(number))
            given = read_frames(bytes(connection.transport.output))
            credit = sum(int.from_bytes(each.payload, "big") for each in given if (each.kind, each.stream) == (8, 0))
            assert credit > 100 * 16000
            assert connection.server.handler.begun == 0

    asyncio.run(run())


def test_a_client_that_is_not_heard_is_not_blamed_for_its_silence(name: str):
    """Much waits for it, so it is not read; its body is late when it could have come."""

    async def run() -> None:
        async with connected(name) as connection:
            transport, server = connection.transport, connection.server
            connection.pause_writing()
            transport.get_write_buffer_size = lambda: 2 << 20
            connection.data_received(PREFACE + setting() + post(1))
            assert transport.paused
            connection.expire(server.now + server.options.body_timeout / 2)
            server.now += server.options.body_timeout - 1.0
            server.body_deadline = server.now + server.options.body_timeout
            connection.expire(server.now)
            connection.resume_writing()
            assert not transport.paused
            connection.expire(server.now + 2.0)
            assert connection.engine.streams
            connection.expire(server.now + server.options.body_timeout)
            assert not connection.engine.streams

    asyncio.run(run())
