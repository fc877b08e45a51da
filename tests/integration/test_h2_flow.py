"""Flow control over HTTP/2 both ways (RFC 9113, section 5.2), and what clients that go away leave behind."""

import asyncio
import threading

import pytest

from tests.support.applications import answer, asgi, begin, part, read_body, wsgi
from tests.support.h2client import H2Client
from tests.support.waiting import wait_until

BIG = bytes(range(250)) * 4000


@pytest.fixture(params=["native", "h2"])
def engine(request):
    return request.param


def upload(client: H2Client, stream: int, data: bytes) -> None:
    """Send *data* as the windows allow, and the end."""
    for start in range(0, len(data), 16384):
        piece = data[start : start + 16384]
        while client.h2.local_flow_control_window(stream) < len(piece):
            assert client.read()
        client.h2.send_data(stream, piece)
        client.flush()
    client.h2.end_stream(stream)
    client.flush()


def fill(client: H2Client, stream: int) -> int:
    """Send as much as the windows allow, and give back how much that was."""
    sent = 0
    while room := min(client.h2.local_flow_control_window(stream), 16384):
        client.h2.send_data(stream, bytes(room))
        client.flush()
        sent += room
    return sent


def hold_back(client: H2Client) -> None:
    """Let *client* give nothing back of its windows."""
    client.h2.acknowledge_received_data = lambda *_: None


# --- requests ---


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
@pytest.mark.parametrize("serve", [asgi, wsgi])
def test_a_body_larger_than_the_windows(engine, serve, loop):
    async def app(scope, receive, send):
        await answer(send, await read_body(receive))

    def wsgi_app(environ, start_response):
        body = b"".join(iter(lambda: environ["wsgi.input"].read(1000), b""))
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [body]

    with (
        serve(app if serve is asgi else wsgi_app, loop, http2_engine=engine) as served,
        H2Client(served.running.address) as client,
    ):
        streams = [client.start(method=b"POST", end=False) for _ in range(2)]
        for stream in streams:
            upload(client, stream, BIG * 2)
        client.finish(*streams)
        assert [client.bodies[stream] == BIG * 2 for stream in streams] == [True, True]


@pytest.mark.parametrize("serve", [asgi, wsgi])
def test_an_application_that_does_not_read_stops_the_client_and_nobody_else(engine, serve):
    go_on = threading.Event()
    read = []

    async def app(scope, receive, send):
        if scope["method"] == "POST":
            await asyncio.to_thread(go_on.wait, 10)
            read.append(len(await read_body(receive)))
        await answer(send, b"answer")

    def wsgi_app(environ, start_response):
        if environ["REQUEST_METHOD"] == "POST":
            go_on.wait(10)
            read.append(len(environ["wsgi.input"].read(-1)))
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b"answer"]

    options = {"http2_engine": engine, "body_timeout": 0.1}
    with (
        serve(app if serve is asgi else wsgi_app, **options) as served,
        H2Client(served.running.address) as client,
    ):
        assert client.get() == (200, b"answer")
        stream = client.start(method=b"POST", end=False)
        sent = fill(client, stream)
        assert 65535 <= sent <= 300_000, "the window of one stream"
        assert client.get() == (200, b"answer")
        now = served.running.server.now
        wait_until(lambda: served.running.server.now > now + 0.4)
        assert client.get() == (200, b"answer")
        assert stream not in client.heads, "the client was blamed for what the application does not take"
        go_on.set()
        upload(client, stream, b"x" * 500_000)
        client.finish(stream)
        assert client.bodies[stream] == b"answer"
        assert read == [sent + 500_000]


def test_streams_that_may_not_send_because_others_are_not_read_are_not_blamed(engine):
    """The window of the connection is shared: who waits for it is not slow."""
    go_on = asyncio.Event()

    async def app(scope, receive, send):
        if scope["path"] == "/late":
            await go_on.wait()
        await answer(send, b"%d" % len(await read_body(receive)))

    with (
        asgi(app, http2_engine=engine, body_timeout=0.1) as served,
        H2Client(served.running.address) as client,
    ):
        assert client.get() == (200, b"0")
        late = [client.start(b"/late", method=b"POST", end=False) for _ in range(5)]
        sent = [fill(client, stream) for stream in late]
        assert client.h2.outbound_flow_control_window == 0
        reading = client.start(b"/now", method=b"POST", end=False)
        now = served.running.server.now
        wait_until(lambda: served.running.server.now > now + 0.4)
        assert served.running.server.in_flight == 6
        served.running.loop.call_soon_threadsafe(go_on.set)
        for stream in (*late, reading):
            upload(client, stream, b"x" * 300_000)
        client.finish(*late, reading)
        assert [int(client.bodies[stream]) for stream in late] == [size + 300_000 for size in sent]
        assert client.bodies[reading] == b"300000"


def test_an_asgi_application_is_through_when_it_has_given_all(engine):
    """Nobody takes anything of the answer, and there is nothing left to wait for."""
    through = []

    async def app(scope, receive, send):
        await answer(send, BIG)
        through.append(scope["path"])

    with asgi(app, http2_engine=engine) as served:
        with H2Client(served.running.address, initial_window_size=0) as client:
            client.start(b"/1")
            client.start(b"/2")
            wait_until(lambda: sorted(through) == ["/1", "/2"])
        wait_until(lambda: not served.running.server.connections)
        with H2Client(served.running.address) as client:
            assert client.get(b"/3") == (200, BIG)
            wait_until(lambda: "/3" in through)


@pytest.mark.parametrize("serve", [asgi, wsgi])
def test_bodies_that_nobody_reads_leave_the_connection_its_window(engine, serve):
    """What comes for an answer that is given already is thrown away, and counts no more."""

    async def app(scope, receive, send):
        await answer(send, b"early")

    def wsgi_app(environ, start_response):
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b"early"]

    with (
        serve(app if serve is asgi else wsgi_app, http2_engine=engine) as served,
        H2Client(served.running.address) as client,
    ):
        assert client.get() == (200, b"early")
        for _ in range(12):
            stream = client.start(method=b"POST", end=False)
            left = 200_000
            while left and stream not in client.resets:
                size = min(left, client.h2.local_flow_control_window(stream), 16384)
                assert size, "the window of the connection was used up"
                client.h2.send_data(stream, bytes(size))
                client.flush()
                left -= size
            client.finish(stream)
            while stream not in client.resets:
                assert client.read()
            assert client.bodies[stream] == b"early"


@pytest.mark.parametrize("serve", [asgi, wsgi])
def test_a_body_that_is_broken_off(engine, serve):
    """The application sees the client gone, and not the end of the body; other streams go on."""
    begun, outcome = threading.Event(), []

    async def app(scope, receive, send):
        if scope["method"] == "GET":
            await answer(send, b"other")
            return
        begun.set()
        try:
            outcome.append(await read_body(receive))
        except ConnectionError:
            outcome.append("gone")

    def wsgi_app(environ, start_response):
        if environ["REQUEST_METHOD"] == "POST":
            begun.set()
            try:
                outcome.append(environ["wsgi.input"].read(-1))
            except OSError:
                outcome.append("gone")
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b"other"]

    with (
        serve(app if serve is asgi else wsgi_app, http2_engine=engine) as served,
        H2Client(served.running.address) as client,
    ):
        assert client.get() == (200, b"other")
        stream = client.start(method=b"POST", end=False)
        fill(client, stream)
        assert begun.wait(5)
        client.h2.reset_stream(stream)
        client.flush()
        assert wait_until(lambda: outcome) == ["gone"]
        assert client.get() == (200, b"other")
        wait_until(lambda: not served.running.server.in_flight)


# --- responses ---


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
@pytest.mark.parametrize("serve", [asgi, wsgi])
@pytest.mark.parametrize("window", [1, 1000, 100_000])
def test_a_response_larger_than_the_windows(engine, serve, loop, window):
    body = BIG if window > 1 else b"some bytes"

    async def app(scope, receive, send):
        await begin(send)
        for start in range(0, len(body), 300_000):
            await part(send, body[start : start + 300_000])
        await part(send, b"", more_body=False)

    def wsgi_app(environ, start_response):
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [body[:5], body[5:]]

    with (
        serve(app if serve is asgi else wsgi_app, loop, http2_engine=engine) as served,
        H2Client(served.running.address, initial_window_size=window) as client,
    ):
        streams = [client.start() for _ in range(3)]
        client.finish(*streams)
        assert [client.bodies[stream] == body for stream in streams] == [True] * 3


def test_the_window_of_the_connection_is_shared_fairly(engine):
    """Section 5.2.1: large answers take turns, and small ones are not held up by them."""

    async def app(scope, receive, send):
        await answer(send, BIG if scope["path"] == "/big" else b"small")

    with (
        asgi(app, http2_engine=engine) as served,
        H2Client(served.running.address, initial_window_size=1 << 20) as client,
    ):
        big = [client.start(b"/big") for _ in range(4)]
        while not all(client.bodies[stream] for stream in big):
            assert client.read()
        small = client.start(b"/small")
        client.finish(small)
        assert client.bodies[small] == b"small"
        assert not client.ended.intersection(big)
        while not client.ended.intersection(big):
            assert client.read()
        sizes = [len(client.bodies[stream]) for stream in big]
        assert min(sizes) > 0.8 * len(BIG), sizes
        client.finish(*big)
        assert [client.bodies[stream] == BIG for stream in big] == [True] * 4


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_a_client_that_takes_no_more_of_one_stream(engine, loop):
    """RST_STREAM: http.disconnect, OSError from send; the others do not notice."""
    told = []

    async def app(scope, receive, send):
        if scope["path"] == "/other":
            await answer(send, BIG)
            return
        await receive()
        await begin(send)
        try:
            while True:
                await part(send, bytes(50_000))
        except OSError:
            told.append("OSError")
        told.append((await receive())["type"])

    with (
        asgi(app, loop, http2_engine=engine) as served,
        H2Client(served.running.address, initial_window_size=100_000) as client,
    ):
        stream, other = client.start(), client.start(b"/other")
        while not client.bodies[stream]:
            assert client.read()
        client.h2.reset_stream(stream)
        client.flush()
        wait_until(lambda: len(told) == 2)
        assert told == ["OSError", "http.disconnect"]
        client.finish(other)
        assert client.bodies[other] == BIG
        wait_until(lambda: not served.running.server.in_flight)
        assert not served.logs.named("application raised")


def test_a_wsgi_stream_of_which_the_client_takes_no_more_is_closed(engine):
    """PEP 3333: close() is called, and the thread is free."""
    closed = threading.Event()

    class Endless:
        def __iter__(self):
            return self

        def __next__(self):
            return bytes(10_000)

        def close(self):
            closed.set()

    def app(environ, start_response):
        start_response("200 OK", [("Content-Type", "text/plain")])
        return Endless() if environ["PATH_INFO"] == "/endless" else [b"other"]

    with wsgi(app, threads=1, http2_engine=engine) as served, H2Client(served.running.address) as client:
        stream = client.start(b"/endless")
        while not client.bodies[stream]:
            assert client.read()
        client.h2.reset_stream(stream)
        client.flush()
        assert closed.wait(5)
        assert client.get() == (200, b"other")


def test_the_end_of_the_connection_is_the_end_of_all_its_streams(engine):
    told = []

    async def app(scope, receive, send):
        await receive()
        told.append((await receive())["type"])

    with asgi(app, http2_engine=engine) as served:
        with H2Client(served.running.address) as client:
            for _ in range(3):
                client.start()
            wait_until(lambda: served.running.server.in_flight == 3)
        wait_until(lambda: len(told) == 3)
        assert set(told) == {"http.disconnect"}
        wait_until(lambda: not served.running.server.in_flight)


def test_windows_that_shrink_below_nothing(engine):
    """Section 6.9.2: SETTINGS may take back what was given; nothing is sent until the debt is paid."""

    async def app(scope, receive, send):
        await answer(send, BIG[:100_000])

    with (
        asgi(app, http2_engine=engine) as served,
        H2Client(served.running.address, initial_window_size=30_000) as client,
    ):
        acknowledge = client.h2.acknowledge_received_data
        hold_back(client)
        stream = client.start()
        while len(client.bodies[stream]) < 30_000:
            assert client.read()
        client.h2.update_settings({4: 10_000})
        client.flush()
        assert client.get(b"/", method=b"HEAD") == (200, b"")
        client.h2.increment_flow_control_window(20_000, stream)
        client.flush()
        assert client.get(b"/", method=b"HEAD") == (200, b"")
        assert len(client.bodies[stream]) == 30_000
        client.h2.acknowledge_received_data = acknowledge
        client.h2.increment_flow_control_window(1_000_000, stream)
        client.h2.increment_flow_control_window(1_000_000)
        client.flush()
        client.finish(stream)
        assert client.bodies[stream] == BIG[:100_000]
