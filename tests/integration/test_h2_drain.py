"""Draining over HTTP/2 (RFC 9113, section 6.8): two GOAWAYs, and between them whoever could not know is served."""

import asyncio
from contextlib import suppress

import pytest

from tests.support.applications import answer, asgi, begin, part
from tests.support.h2client import H2Client
from tests.support.waiting import wait_until

LAST = 2**31 - 1


@pytest.fixture(params=["native", "h2"])
def engine(request):
    return request.param


def drain(served, timeout: float, idle: float):
    """Begin to drain; return the future of its result."""
    return asyncio.run_coroutine_threadsafe(served.running.server.drain(timeout, idle), served.running.loop)


def read_goaway(client: H2Client) -> None:
    while not client.goaways:
        assert client.read()


class Gate:
    """An application that answers, but for /probe, when it is told to."""

    def __init__(self) -> None:
        self.open = asyncio.Event()

    async def __call__(self, scope, receive, send):
        if scope["path"] == "/probe":
            await answer(send, b"probe")
            return
        await begin(send)
        await part(send, b"begun ")
        await self.open.wait()
        await part(send, b"done", more_body=False)


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_streams_in_flight_are_completed(engine, loop):
    gate = Gate()
    with asgi(gate, loop, http2_engine=engine) as served, H2Client(served.running.address) as client:
        streams = [client.start() for _ in range(3)]
        while not all(client.bodies[stream] for stream in streams):
            assert client.read()
        draining = drain(served, 5.0, 0.2)
        read_goaway(client)
        assert client.goaways == [(LAST, 0)]
        while len(client.goaways) < 2:
            assert client.read()
        assert client.goaways[1] == (streams[-1], 0)
        assert not draining.done()
        served.running.loop.call_soon_threadsafe(gate.open.set)
        client.finish(*streams)
        assert [client.bodies[stream] for stream in streams] == [b"begun done"] * 3
        client.read_to_end()
        assert draining.result(5)
        assert len(client.goaways) == 2


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_streams_that_come_before_the_client_knows_are_served(engine, loop):
    """They were on their way when the first GOAWAY was."""
    with asgi(Gate(), loop, http2_engine=engine) as served, H2Client(served.running.address) as client:
        assert client.get(b"/probe") == (200, b"probe")
        draining = drain(served, 5.0, 0.3)
        wait_until(lambda: served.running.server.draining)
        late = [client.start(b"/probe") for _ in range(2)]  # it has not read anything since
        client.finish(*late)
        assert [client.bodies[stream] for stream in late] == [b"probe"] * 2
        client.read_to_end()
        assert [last for last, _ in client.goaways] == [LAST, late[-1]]
        assert draining.result(5)


def test_streams_behind_the_end_are_ignored(engine):
    """The last stream of the final GOAWAY says that they were not processed: the client may repeat them elsewhere."""
    gate = Gate()
    with asgi(gate, http2_engine=engine) as served, H2Client(served.running.address) as client:
        stream = client.start()
        while not client.bodies[stream]:
            assert client.read()
        draining = drain(served, 5.0, 0.05)
        while len(client.goaways) < 2:
            assert client.read()
        late = client.start(b"/probe")
        client.h2.ping(b"12345678")
        client.flush()
        served.running.loop.call_soon_threadsafe(gate.open.set)
        client.finish(stream)
        with suppress(ConnectionResetError):  # what it sent behind the end may be answered so
            client.read_to_end()
        assert late not in client.heads
        assert client.goaways[-1] == (stream, 0)
        assert draining.result(5)


def test_a_client_that_goes_on_asking_does_not_put_off_the_end(engine):
    """What it starts behind the first GOAWAY is served, but the second comes at its time."""
    gate = Gate()
    with asgi(gate, timeout=30, http2_engine=engine) as served, H2Client(served.running.address) as client:
        assert client.get(b"/probe") == (200, b"probe")
        draining = drain(served, 5.0, 0.2)
        read_goaway(client)
        stream = client.start()
        while len(client.goaways) < 2:
            assert client.read()
        assert client.goaways == [(LAST, 0), (stream, 0)]
        served.running.loop.call_soon_threadsafe(gate.open.set)
        client.finish(stream)
        client.read_to_end()
        assert draining.result(5)


def test_a_connection_that_begins_while_the_server_drains_is_told_at_once(engine):
    """It was accepted before; its preface comes late."""
    with asgi(Gate(), http2_engine=engine) as served:
        with served.client() as early:
            wait_until(lambda: served.running.server.connections)
            draining = drain(served, 5.0, 1.0)
            wait_until(lambda: served.running.server.draining)
            with H2Client(None, sock=early.socket) as client:
                assert client.get(b"/probe") == (200, b"probe")
                assert client.goaways == [(LAST, 0)]
                client.read_to_end()
        assert draining.result(5)


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_a_drain_ends_at_its_time(engine, loop):
    """False, and what is left is cut."""
    with asgi(Gate(), loop, http2_engine=engine) as served, H2Client(served.running.address) as client:
        stream = client.start()
        while not client.bodies[stream]:
            assert client.read()
        assert drain(served, 0.3, 0.1).result(5) is False
        with suppress(ConnectionResetError):
            client.read_to_end()
        assert stream not in client.ended
