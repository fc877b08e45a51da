"""Time-outs: of heads, bodies, answers and readers (docs/applications.md; RFC 9110, sections 15.5.9 and 15.6.5)."""

import asyncio
import socket
import threading
import time
from contextlib import ExitStack

import anyio
import pytest

from hornbeamd.config.options import Options
from hornbeamd.http import pace, server
from hornbeamd.http.exchange import Exchange
from hornbeamd.http.h1 import connection
from tests.support.applications import PARSERS, answer, asgi, begin, head, part, post, read_body, wsgi
from tests.support.inprocess import serving
from tests.support.raw import BadResponse, RawClient
from tests.support.waiting import wait_until

both_parsers = pytest.mark.parametrize("parser", PARSERS)


async def echo(scope, receive, send):
    await answer(send, await read_body(receive))


def dribble(client: RawClient, data: bytes, interval: float) -> None:
    """Send *data* byte by byte until the server answers."""
    client.socket.settimeout(interval)
    for byte in data:
        client.send(bytes([byte]))
        client.socket.settimeout(interval)
        try:
            if client.socket.recv(1, socket.MSG_PEEK) is not None:
                return
        except TimeoutError:
            continue
    raise AssertionError("never cut")


# --- the clock ---


class Slow:
    """A handler that computes, on the event loop and where a request is read, for longer than anybody may be idle."""

    capacity = 0

    def handle(self, exchange: Exchange) -> None:
        if exchange.path == "/slow":
            time.sleep(2.0)
        exchange.answer(200)

    async def startup(self) -> None: ...

    def drain(self, seconds: float) -> None: ...

    async def finished(self) -> None: ...

    async def shutdown(self) -> None: ...

    def stuck(self, now: float) -> str | None:
        return None


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_nobody_is_blamed_for_time_in_which_the_loop_stood_still(loop: str):
    """What idle connections have sent meanwhile is read before they are looked at, and gets its answer."""
    with serving(Slow(), Options(keepalive=0.7, workers=1), loop=loop) as running, ExitStack() as stack:
        clients = [stack.enter_context(RawClient(running.address)) for _ in range(6)]
        for client in clients:
            assert client.request(head()).status == 200
        slow, *others = clients
        slow.send(head("/slow"))
        wait_until(lambda: running.server.in_flight)
        for client in others:
            client.send(head())
        for client in clients:
            assert client.read_response().status == 200
        for client in clients:  # nor are they cut at once, because it is late
            assert client.request(head()).status == 200


# --- heads ---


@both_parsers
@pytest.mark.parametrize("sent", [b"G", b"GET / HTTP/1.1\r\n", b"GET / HTTP/1.1\r\nHost: a\r\n"])
def test_an_unfinished_head_gets_408(parser: str, sent: bytes):
    """header_timeout; RFC 9110, section 15.5.9."""
    with asgi(echo, http_parser=parser, header_timeout=0.1) as served, served.client() as client:
        client.send(sent)
        response = client.read_response()
        assert (response.status, response.header(b"connection")) == (408, b"close")
        client.expect_end()


@both_parsers
def test_a_byte_now_and_then_does_not_prolong_the_time_for_the_head(parser: str):
    """Slowloris: header_timeout is for the whole head."""
    with asgi(echo, http_parser=parser, header_timeout=0.2) as served, served.client() as client:
        began = time.monotonic()
        dribble(client, b"GET / HTTP/1.1\r\nHost: a\r\n" + b"X: y\r\n" * 1000, 0.02)
        assert client.read_response().status == 408
        assert time.monotonic() - began < 2


def test_the_head_of_a_later_request_has_its_own_time():
    """header_timeout counts from the first byte of the head, not from the beginning of the connection."""
    with (
        asgi(echo, header_timeout=0.25, keepalive=5.0) as served,
        served.client() as client,
    ):
        assert client.request(head()).status == 200
        client.deadline = 0.4
        with pytest.raises(BadResponse, match="nothing"):
            client.read_response()  # idle for longer than header_timeout
        client.deadline = 5
        client.send(head()[:10])
        assert client.read_response().status == 408
        client.expect_end()


# --- bodies ---


@both_parsers
@pytest.mark.parametrize("kind", ["asgi", "wsgi"])
@pytest.mark.parametrize("size", [10, 500_000])
def test_a_silent_body_gets_408(parser: str, kind: str, size: int):
    """body_timeout; the application sees the client gone and not the end of the body."""
    outcome = []

    async def app(scope, receive, send):
        try:
            outcome.append(await read_body(receive))
        except ConnectionError as error:
            outcome.append(str(error))

    def wsgi_app(environ, start_response):
        start_response("200 OK", [("Content-Type", "text/plain")])
        try:
            outcome.append(environ["wsgi.input"].read(size))
        except OSError:
            outcome.append("http.disconnect")
        return [b""]

    serve = asgi(app, http_parser=parser, body_timeout=0.15) if kind == "asgi" else None
    serve = serve or wsgi(wsgi_app, http_parser=parser, body_timeout=0.15)
    with serve as served, served.client() as client:
        client.send(head("/", f"Content-Length: {size}", method="POST") + b"x" * (size // 2))
        assert client.read_response().status == 408
        client.expect_end()
        if kind == "asgi" or size > 10:
            assert wait_until(lambda: outcome) == ["http.disconnect"]
    assert not [item for item in outcome if isinstance(item, bytes)]


def test_a_body_that_keeps_coming_is_not_silent():
    """body_timeout is for the longest silence, not for the whole body."""
    with asgi(echo, body_timeout=0.3, body_min_rate=0) as served, served.client() as client:
        client.send(head("/", "Content-Length: 31", method="POST"))
        for _ in range(30):
            client.send(b"x")
            wait_for_nothing(client, 0.03)
        assert client.request(b"x").body == b"x" * 31


def test_a_slow_body_has_five_seconds_before_its_rate_counts():
    """body_min_rate: the mean over the body, from its fifth second on."""
    with asgi(echo, body_timeout=0.3, body_min_rate=10_000) as served, served.client() as client:
        client.send(head("/", "Content-Length: 41", method="POST"))
        for _ in range(40):
            client.send(b"x")
            wait_for_nothing(client, 0.025)
        assert client.request(b"x").body == b"x" * 41


def test_a_body_below_its_rate_is_cut(monkeypatch):
    """body_min_rate; RFC 9110, section 15.5.9: 408."""
    monkeypatch.setattr(pace, "PACE_SECONDS", 0.3)
    monkeypatch.setattr(server, "PACE_SECONDS", 0.3)
    with asgi(echo, body_min_rate=1000, body_timeout=0.2) as served, served.client() as client:
        client.send(head("/", "Content-Length: 100000", method="POST"))
        dribble(client, b"x" * 1000, 0.02)
        assert client.read_response().status == 408
        client.expect_end()


def test_a_body_above_its_rate_is_not_cut(monkeypatch):
    monkeypatch.setattr(pace, "PACE_SECONDS", 0.3)
    monkeypatch.setattr(server, "PACE_SECONDS", 0.3)
    with asgi(echo, body_min_rate=1000, body_timeout=0.2) as served, served.client() as client:
        client.send(head("/", "Content-Length: 4001", method="POST"))
        for _ in range(40):
            client.send(b"x" * 100)
            wait_for_nothing(client, 0.02)
        assert client.request(b"x").body == b"x" * 4001


def test_the_time_the_application_takes_is_not_the_clients():
    """A body that is not read because the application does not ask for it is not slow."""
    go_on = threading.Event()

    async def app(scope, receive, send):
        await asyncio.to_thread(go_on.wait, 5)
        await answer(send, b"%d" % len(await read_body(receive)))

    with asgi(app, body_timeout=0.1, body_min_rate=10_000) as served, served.client() as client:
        sender = threading.Thread(target=client.send, args=(post(b"x" * 3_000_000),))
        sender.start()
        wait_until(lambda: any(getattr(each, "read_paused", False) for each in served.running.server.connections))
        wait_for_nothing(client, 0.4)
        go_on.set()
        sender.join(5)
        assert client.read_response().body == b"3000000"


def wait_for_nothing(client: RawClient, seconds: float) -> None:
    """Let time pass; fails when the server says something meanwhile."""
    client.socket.settimeout(seconds)
    with pytest.raises(TimeoutError):
        client.socket.recv(1, socket.MSG_PEEK)


# --- answers ---


def test_an_answer_that_does_not_begin_gets_504_and_ends_the_application():
    """timeout; RFC 9110, section 15.6.5. The application is cancelled, and the connection lives."""
    ended = []

    async def app(scope, receive, send):
        if scope["path"] == "/probe":
            await answer(send, b"probe")
            return
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            ended.append("cancelled")
            raise

    with asgi(app, timeout=0.15) as served, served.client() as client:
        assert client.request(head()).status == 504
        assert wait_until(lambda: ended) == ["cancelled"]
        assert client.request(head("/probe")).body == b"probe"
        record = served.logs.wait_for("timed out")
        assert record.fields["request"]
        assert not served.logs.named("cancelled itself")


def test_an_application_that_waits_for_more_of_the_client_is_cancelled_too():
    """The same where it waits in receive()."""
    ended = []

    async def app(scope, receive, send):
        try:
            await receive()
            ended.append(await receive())
        except asyncio.CancelledError:
            ended.append("cancelled")
            raise

    with asgi(app, timeout=0.15) as served, served.client() as client:
        assert client.request(head()).status == 504
        assert wait_until(lambda: ended) == ["cancelled"]


def test_an_application_that_goes_on_sending_after_its_504_leaves_the_loop_to_others():
    async def app(scope, receive, send):
        if scope["path"] == "/probe":
            await answer(send, b"probe")
            return
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            while True:
                await part(send, b"more")

    with asgi(app, timeout=0.15) as served, served.client() as client:
        assert client.request(head()).status == 504
        assert client.request(head("/probe")).body == b"probe"


def test_an_application_that_survives_its_cancellation_corrupts_nothing():
    """What it still sends is dropped: the client has its 504, and the next answer is another's."""
    late = threading.Event()

    async def app(scope, receive, send):
        if scope["path"] == "/probe":
            await answer(send, b"probe")
            return
        with anyio.CancelScope(shield=True):
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                await begin(send, headers=[(b"content-length", b"4")])
                await part(send, b"late", more_body=False)
                late.set()

    with asgi(app, timeout=0.15) as served, served.client() as client:
        assert client.request(head()).status == 504
        assert late.wait(5)
        assert client.request(head("/probe")).body == b"probe"


def test_an_application_that_ends_in_time_of_its_own_scope_is_not_cut():
    """timeout is for the beginning of an answer: a stream may take longer."""

    async def app(scope, receive, send):
        await begin(send)
        for _ in range(10):
            await part(send, b"x")
            await asyncio.sleep(0.05)
        await part(send, b"", more_body=False)

    with asgi(app, timeout=0.15) as served:
        assert served.get().body == b"x" * 10


def test_start_alone_does_not_begin_an_answer():
    """ASGI spec "Response Start": nothing is sent before the first body message, so 504 can still be said."""

    async def app(scope, receive, send):
        await begin(send, headers=[(b"content-length", b"5")])
        await asyncio.sleep(60)

    with asgi(app, timeout=0.15) as served, served.client() as client:
        response = client.request(head())
        assert (response.status, response.body) == (504, b"Gateway Timeout\n")


def test_a_wsgi_answer_that_does_not_begin_gets_504():
    """A thread cannot be ended, but the client is answered, and what the thread says later goes nowhere."""
    go_on, ended = threading.Event(), threading.Event()

    def app(environ, start_response):
        if environ["PATH_INFO"] == "/slow":
            go_on.wait(10)
        try:
            start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "5")])
        except OSError:
            ended.set()
            raise
        return [b"probe"]

    with wsgi(app, checked=False, timeout=0.15, threads=2) as served, served.client() as client:
        assert client.request(head("/slow")).status == 504
        go_on.set()
        assert client.request(head("/probe")).body == b"probe"
        assert ended.wait(5)
        assert not served.logs.named("application")


def test_a_wsgi_request_that_waits_for_a_thread_too_long_gets_504_and_is_not_run():
    go_on, ran = threading.Event(), []

    def app(environ, start_response):
        ran.append(environ["PATH_INFO"])
        go_on.wait(10)
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b"x"]

    with wsgi(app, timeout=0.2, threads=1) as served, served.client() as one, served.client() as two:
        one.send(head("/one"))
        wait_until(lambda: ran == ["/one"])
        assert two.request(head("/two")).status == 504
        assert one.read_response().status == 504
        go_on.set()
        assert two.request(head("/three")).body == b"x"
    assert ran == ["/one", "/three"]


# --- readers ---


def many_bytes(count: int):
    async def app(scope, receive, send):
        await answer(send, b"x" * count, headers=[(b"content-length", b"%d" % count)])

    return app


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_a_client_that_takes_nothing_is_cut(loop: str):
    """send_timeout, for a stream."""
    errors = []

    async def app(scope, receive, send):
        await begin(send)
        try:
            while True:
                await part(send, b"x" * 65536)
        except OSError as error:
            errors.append(error)
            raise

    with asgi(app, loop, send_timeout=0.2) as served, served.client() as client:
        client.send(head())
        assert wait_until(lambda: errors)
        wait_until(lambda: not served.running.server.connections)
        assert not served.logs.named("raised")


@pytest.mark.parametrize("request_fields", [(), ("Connection: close",)])
def test_a_client_that_takes_nothing_of_a_whole_answer_is_cut(request_fields: tuple):
    """send_timeout, when the application is long done with its answer."""
    with asgi(many_bytes(20_000_000), send_timeout=0.2, keepalive=0.1) as served, served.client() as client:
        client.send(head("/", *request_fields))
        wait_until(lambda: served.running.server.requests == 1)
        wait_until(lambda: not served.running.server.connections)
        assert len(client.read_to_end()) < 20_000_000


def read_slowly_then_fast(client: RawClient, seconds: float) -> int:
    """Read a little again and again for *seconds*, and then the rest; return how many bytes of body came."""
    pace = threading.Event()
    ends_at = time.monotonic() + seconds
    while time.monotonic() < ends_at:
        client.buffer += client.socket.recv(20_000)
        pace.wait(0.02)
    return len(client.read_response("GET").body)


@pytest.mark.parametrize(
    ("parts", "request_fields", "loop"),
    [(1, (), "uvloop"), (8, (), "asyncio"), (1, ("Connection: close",), "asyncio")],
)
def test_a_slow_reader_that_goes_on_taking_gets_all(parts: int, request_fields: tuple, loop: str):
    """send_timeout is for a client that takes no byte; keepalive and the end of the connection do not shorten it."""
    size = 16_000_000

    async def app(scope, receive, send):
        await begin(send, headers=[(b"content-length", b"%d" % size)])
        for number in range(parts):
            await part(send, b"x" * (size // parts), more_body=number < parts - 1)

    with asgi(app, loop, send_timeout=0.3, keepalive=0.1) as served, served.client() as client:
        client.send(head("/", *request_fields))
        assert read_slowly_then_fast(client, 0.9) == size


def test_a_slow_reader_gets_all_of_the_answer_to_a_request_it_did_not_finish(monkeypatch):
    """Lingering for the rest of an unread body does not cut the answer."""
    monkeypatch.setattr(connection, "_LINGER_SECONDS", 0.2)
    size = 16_000_000
    with asgi(many_bytes(size), send_timeout=0.3) as served, served.client() as client:
        client.send(head("/", "Content-Length: 10000000", method="POST"))
        assert read_slowly_then_fast(client, 0.9) == size


@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_a_slow_reader_of_a_file_gets_all(tmp_path, version: str):
    """The same by sendfile."""
    size = 16_000_000
    path = tmp_path / "file"
    path.write_bytes(b"x" * size)

    async def app(scope, receive, send):
        await begin(send)
        await send({"type": "http.response.pathsend", "path": str(path)})

    with asgi(app, send_timeout=0.3, keepalive=0.1) as served, served.client() as client:
        client.send(head(version=version))
        assert read_slowly_then_fast(client, 0.9) == size


def test_a_client_that_takes_nothing_of_a_file_is_cut(tmp_path):
    """send_timeout; the application gets an OSError."""
    path = tmp_path / "file"
    path.write_bytes(b"x" * 32_000_000)
    errors = []

    async def app(scope, receive, send):
        await begin(send)
        try:
            await send({"type": "http.response.pathsend", "path": str(path)})
        except OSError as error:
            errors.append(error)
            raise

    with asgi(app, send_timeout=0.2) as served, served.client() as client:
        client.send(head())
        wait_until(lambda: errors)
        wait_until(lambda: not served.running.server.connections)


def test_a_wsgi_stream_to_a_client_that_takes_nothing_is_cut():
    """send_timeout frees the thread, and the application's close() is called."""
    closed = threading.Event()

    def app(environ, start_response):
        start_response("200 OK", [("Content-Type", "text/plain")])
        return Endless()

    class Endless:
        def __iter__(self):
            return self

        def __next__(self):
            return b"x" * 65536

        def close(self):
            closed.set()

    with wsgi(app, send_timeout=0.2, threads=1) as served, served.client() as client:
        client.send(head())
        assert closed.wait(5)
        wait_until(lambda: not served.running.server.connections)
