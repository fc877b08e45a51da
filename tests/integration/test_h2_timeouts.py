"""Time-outs over HTTP/2: of the preface, of bodies, answers and readers, each of its own stream where it can be."""

import asyncio
import socket
import threading
import time

import h2.errors
import pytest

from hornbeamd.http import pace, server
from hornbeamd.http.h2 import connection
from tests.support.applications import answer, asgi, begin, part, read_body, wsgi
from tests.support.h2client import H2Client
from tests.support.raw import DEADLINE
from tests.support.waiting import wait_until

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
BIG = bytes(16_000_000)


@pytest.fixture(params=["native", "h2"])
def engine(request):
    return request.param


async def echo(scope, receive, send):
    await answer(send, await read_body(receive))


async def slow(scope, receive, send):
    """Wait for ever, but for /probe."""
    if scope["path"] != "/probe":
        await asyncio.sleep(60)
    await answer(send, b"probe")


async def endless(scope, receive, send):
    if scope["path"] == "/probe":
        await answer(send, b"probe")
        return
    await begin(send)
    while True:
        await part(send, bytes(65536))


# --- the preface ---


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
@pytest.mark.parametrize("sent", [PREFACE[:1], PREFACE[:16], PREFACE[:-1], PREFACE, PREFACE + b"\0\0\6"])
def test_an_unfinished_preface(loop, sent):
    """header_timeout, long before keepalive."""
    with asgi(echo, loop, header_timeout=0.1, keepalive=30) as served, served.client() as client:
        client.send(sent)
        client.read_to_end()
        wait_until(lambda: not served.running.server.connections)


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_an_idle_connection_is_told_that_it_ends(engine, loop):
    """keepalive, and RFC 9113, section 6.8."""
    with (
        asgi(echo, loop, keepalive=0.2, http2_engine=engine) as served,
        H2Client(served.running.address) as client,
    ):
        assert client.get() == (200, b"")
        client.read_to_end()
        assert client.goaways == [(1, 0)]


# --- bodies ---


@pytest.mark.parametrize("serve", [asgi, wsgi])
def test_a_silent_body_gets_408(engine, serve):
    """body_timeout; the other streams, and the connection, go on."""

    def wsgi_echo(environ, start_response):
        body = environ["wsgi.input"].read(-1)
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [body]

    with (
        serve(echo if serve is asgi else wsgi_echo, body_timeout=0.15, http2_engine=engine) as served,
        H2Client(served.running.address) as client,
    ):
        stream = client.start(method=b"POST", end=False)
        client.h2.send_data(stream, b"a part")
        client.flush()
        client.finish(stream)
        assert client.heads[stream][b":status"] == b"408"
        assert client.bodies[stream].endswith(b": the request body paused for longer than body_timeout\n")
        now = served.running.server.now
        wait_until(lambda: served.running.server.now > now + 0.3)
        assert client.get() == (200, b"")
        assert not client.goaways


def test_a_body_below_its_rate_is_cut(engine, monkeypatch):
    """body_min_rate; one that comes faster is not."""
    monkeypatch.setattr(pace, "PACE_SECONDS", 0.3)
    monkeypatch.setattr(server, "PACE_SECONDS", 0.3)
    with (
        asgi(echo, body_min_rate=1000, body_timeout=0.3, http2_engine=engine) as served,
        H2Client(served.running.address) as client,
    ):
        slow, fast = (client.start(method=b"POST", end=False) for _ in range(2))
        client.sock.settimeout(0.02)
        ends_at = time.monotonic() + 5
        while slow not in client.ended:
            assert time.monotonic() < ends_at
            client.h2.send_data(slow, b"x")
            client.h2.send_data(fast, b"x" * 200)
            client.flush()
            try:
                client.read()
            except TimeoutError:
                continue
        assert client.heads[slow][b":status"] == b"408"
        client.sock.settimeout(DEADLINE)
        client.h2.send_data(fast, b"end", end_stream=True)
        client.flush()
        client.finish(fast)
        assert client.heads[fast][b":status"] == b"200"
        assert client.bodies[fast].endswith(b"xend")


# --- answers ---


@pytest.mark.parametrize("serve", [asgi, wsgi])
def test_an_answer_that_does_not_begin_gets_504(engine, serve):
    """timeout; the application is cancelled where it can be, and the other streams go on."""
    go_on = threading.Event()

    def wsgi_slow(environ, start_response):
        if environ["PATH_INFO"] != "/probe":
            go_on.wait(10)
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b"probe"]

    with (
        serve(slow if serve is asgi else wsgi_slow, timeout=0.15, http2_engine=engine) as served,
        H2Client(served.running.address) as client,
    ):
        streams = [client.start() for _ in range(2)]
        client.finish(*streams)
        for stream in streams:
            assert client.heads[stream][b":status"] == b"504"
            assert client.bodies[stream] == b"Gateway Timeout\n"
        go_on.set()
        assert client.get(b"/probe") == (200, b"probe")
        assert served.logs.wait_for("timed out").fields["request"]
        wait_until(lambda: not served.running.server.in_flight)


def test_who_takes_not_even_the_504_does_not_hold_a_stream(engine):
    """send_timeout counts from there."""
    with (
        asgi(slow, timeout=0.1, send_timeout=0.2, keepalive=0.3, http2_engine=engine) as served,
        H2Client(served.running.address, initial_window_size=0) as client,
    ):
        stream = client.start()
        client.finish(stream)
        assert client.heads[stream][b":status"] == b"504"
        assert client.resets[stream] == h2.errors.ErrorCodes.CANCEL
        client.read_to_end()
        assert client.goaways == [(1, 0)]


# --- readers ---


@pytest.mark.parametrize("finished", [False, True])
def test_a_client_that_opens_no_window_loses_the_stream(engine, finished):
    """send_timeout, on one stream; whether the application waits to send more, or has sent all."""

    async def whole(scope, receive, send):
        await answer(send, b"probe" if scope["path"] == "/probe" else bytes(100_000))

    with (
        asgi(whole if finished else endless, send_timeout=0.2, http2_engine=engine) as served,
        H2Client(served.running.address, initial_window_size=1000) as client,
    ):
        acknowledge = client.h2.acknowledge_received_data
        client.h2.acknowledge_received_data = lambda *_: None
        stream = client.start()
        client.finish(stream)
        assert client.resets[stream] == h2.errors.ErrorCodes.CANCEL
        assert len(client.bodies[stream]) == 1000
        client.h2.acknowledge_received_data = acknowledge
        assert client.get(b"/probe") == (200, b"probe")
        wait_until(lambda: not served.running.server.in_flight)
        assert not served.logs.named("application raised")


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
@pytest.mark.parametrize("finished", [False, True])
def test_a_client_that_reads_nothing_loses_the_connection(engine, loop, finished):
    """send_timeout, behind windows that are open; keepalive, which is longer, is not waited for."""

    async def whole(scope, receive, send):
        await answer(send, BIG)

    with (
        asgi(
            whole if finished else endless, loop, send_timeout=0.2, keepalive=30, timeout=30, http2_engine=engine
        ) as served,
        wide_open(served) as client,
    ):
        client.start()
        wait_until(lambda: any(getattr(each, "write_paused", 0) for each in served.running.server.connections))
        began = time.monotonic()
        client.start()  # asking for more is not taking
        wait_until(lambda: not served.running.server.connections)
        assert time.monotonic() - began < 3
        wait_until(lambda: not served.running.server.in_flight)


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_a_slow_reader_that_goes_on_taking_gets_all(engine, loop):
    """send_timeout is for a client that takes no byte, however long what is behind these bytes waits."""

    async def app(scope, receive, send):
        await answer(send, BIG)

    with asgi(app, loop, send_timeout=0.3, keepalive=0.1, http2_engine=engine) as served, wide_open(served) as client:
        stream = client.start()
        pauses = threading.Event()
        ends_at = time.monotonic() + 1.2
        while time.monotonic() < ends_at:
            assert client.read()
            pauses.wait(0.02)
        assert stream not in client.resets
        client.finish(stream)
        assert len(client.bodies[stream]) == len(BIG)


def wide_open(served):
    """A client whose windows are no bound, and whose receive buffer is small."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
    sock.settimeout(DEADLINE)
    sock.connect(served.running.address)
    client = H2Client(served.running.address, sock=sock, initial_window_size=2**31 - 1)
    client.h2.increment_flow_control_window(2**31 - 1 - 65535)
    client.flush()
    return client


def test_time_counts_while_errors_are_lingered_over(monkeypatch):
    """Who broke a rule is read for a while, so that it can read why; a drain meanwhile changes nothing."""
    monkeypatch.setattr(connection, "_LINGER_SECONDS", 0.3)
    for loop in ("asyncio", "uvloop"):
        with asgi(echo, loop) as served, H2Client(served.running.address) as client:
            client.sock.sendall(b"\0\0\0\0\0\0\0\0\0")  # DATA on stream 0
            wait_until(lambda served=served: served.logs.named("connection refused"))
            assert served.running.call(lambda served=served: served.running.server.drain(5.0, 0.1))
            client.read_to_end()
            assert [code for _, code in client.goaways] == [h2.errors.ErrorCodes.PROTOCOL_ERROR]
