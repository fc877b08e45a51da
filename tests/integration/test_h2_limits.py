"""What a request may hold over HTTP/2: the limits and the words of HTTP/1.1, and the connection lives on."""

import asyncio
import threading

import pytest

from hornbeamd.config.log import LogOptions
from hornbeamd.config.options import Options
from hornbeamd.http.h2.connection import H2Connection
from hornbeamd.observe.access import AccessLog
from tests.support.applications import answer, asgi, head, read_body, wsgi
from tests.support.echo import Echo
from tests.support.h2client import H2Client
from tests.support.inprocess import serving
from tests.support.waiting import wait_until

pytestmark = pytest.mark.parametrize("engine", ["native", "h2"])


async def echo(scope, receive, send):
    await answer(send, await read_body(receive))


def wsgi_echo(environ, start_response):
    body = environ["wsgi.input"].read(-1)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [body]


LIMITS = {"max_request_line_size": 100, "max_header_size": 200, "max_headers": 6, "max_body_size": 1000}


@pytest.mark.parametrize(
    ("path", "fields", "status"),
    [
        ("/" + "a" * 100, [], 414),
        ("/", [("x-a", "a" * 200)], 431),
        ("/", [(f"x-{number}", "1") for number in range(7)], 431),
        ("/", [("content-length", "1001")], 413),
        ("/", [("expect", "the impossible")], 417),
    ],
)
def test_what_is_refused_is_refused_in_the_words_of_http_1(path, fields, status, engine):
    """One code judges both; the connection, which others share, goes on and is not closed early."""
    with (
        asgi(echo, http2_engine=engine, header_timeout=0.2, **LIMITS) as served,
        H2Client(served.running.address) as client,
    ):
        older = served.get(path, *(f"{name}: {value}" for name, value in fields))
        stream = client.start(path.encode(), *((name.encode(), value.encode()) for name, value in fields), end=False)
        client.finish(stream)
        assert client.heads[stream][b":status"] == b"%d" % status == b"%d" % older.status
        assert bytes(client.bodies[stream]) == older.body
        assert client.heads[stream][b"content-type"] == older.header(b"content-type")
        assert b"connection" not in client.heads[stream]
        (connection,) = (each for each in served.running.server.connections if isinstance(each, H2Connection))
        assert connection.deadline > served.running.server.now + 1.0, "it is closed as if nothing had been asked"
        assert client.get() == (200, b"")


@pytest.mark.parametrize("fields", [[], [(b"host", b"a"), (b"host", b"a")], [(b"host", b"a b")]])
def test_a_request_needs_one_host(fields, engine):
    with asgi(echo, http2_engine=engine) as served, H2Client(served.running.address) as client:
        client.h2.config.validate_outbound_headers = False
        stream = client.h2.get_next_available_stream_id()
        pseudo = [(b":method", b"GET"), (b":scheme", b"http"), (b":path", b"/")]
        client.h2.send_headers(stream, [*pseudo, *fields], end_stream=True)
        client.flush()
        client.finish(stream)
        assert client.heads[stream][b":status"] == b"400"
        assert client.get() == (200, b"")


def test_a_proxy_is_not_what_this_is(engine):
    """RFC 9110, section 9.3.6: CONNECT."""
    with asgi(echo, http2_engine=engine) as served, H2Client(served.running.address) as client:
        stream = client.h2.get_next_available_stream_id()
        client.h2.send_headers(stream, [(b":method", b"CONNECT"), (b":authority", b"a:1")], end_stream=True)
        client.flush()
        client.finish(stream)
        assert client.heads[stream][b":status"] == b"501"


def test_head_is_refused_without_a_body(engine):
    """RFC 9110, section 9.3.2."""
    with asgi(echo, http2_engine=engine, **LIMITS) as served, H2Client(served.running.address) as client:
        assert client.get(b"/", (b"x", b"a" * 200), method=b"HEAD") == (431, b"")
        assert client.get() == (200, b"")


@pytest.mark.parametrize("serve", [asgi, wsgi])
@pytest.mark.parametrize("at_once", [True, False])
def test_a_body_is_limited_as_it_comes(serve, at_once, engine):
    """max_body_size holds where no length was announced, too; before and while the application reads."""
    app = echo if serve is asgi else wsgi_echo
    with serve(app, http2_engine=engine, max_body_size=1000) as served, H2Client(served.running.address) as client:
        fits, exceeds = (client.start(method=b"POST", end=False) for _ in range(2))
        client.h2.send_data(fits, b"x" * 500)
        client.h2.send_data(exceeds, b"x" * 501)
        if not at_once:
            client.flush()
            wait_until(lambda: served.running.server.in_flight == 2)
        client.h2.send_data(fits, b"x" * 500, end_stream=True)
        client.h2.send_data(exceeds, b"x" * 500, end_stream=True)
        client.flush()
        client.finish(fits, exceeds)
        assert client.bodies[fits] == b"x" * 1000
        assert client.heads[exceeds][b":status"] == b"413"
        assert client.bodies[exceeds].endswith(b": the request body is longer than max_body_size\n")
        wait_until(lambda: not served.running.server.in_flight)
        assert client.get() == (200, b"")


def test_a_body_that_becomes_too_long_behind_the_beginning_of_its_answer_is_broken_off(engine):
    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"x", "more_body": True})
        await read_body(receive)

    with asgi(app, http2_engine=engine, max_body_size=1000) as served, H2Client(served.running.address) as client:
        stream = client.start(method=b"POST", end=False)
        while not client.bodies[stream]:
            assert client.read()
        client.h2.send_data(stream, b"x" * 1001)
        client.flush()
        client.finish(stream)
        assert stream in client.resets
        wait_until(lambda: not served.running.server.in_flight)


@pytest.mark.parametrize("serve", [asgi, wsgi])
def test_more_than_max_concurrent_get_503(serve, engine):
    """RFC 9110, section 15.6.4: streams count, not connections."""
    go_on = threading.Event()

    async def app(scope, receive, send):
        await asyncio.to_thread(go_on.wait, 5)
        await answer(send, b"served")

    def wsgi_app(environ, start_response):
        go_on.wait(5)
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b"served"]

    with (
        serve(app if serve is asgi else wsgi_app, http2_engine=engine, max_concurrent=2) as served,
        H2Client(served.running.address) as client,
    ):
        first, second, third = (client.start() for _ in range(3))
        client.finish(third)
        assert client.heads[third][b":status"] == b"503"
        assert int(client.heads[third][b"retry-after"]) >= 1
        go_on.set()
        client.finish(first, second)
        assert client.bodies[first] == client.bodies[second] == b"served"
        assert client.get() == (200, b"served")


def test_each_request_has_one_line_in_the_access_log(tmp_path, engine):
    """What was refused in the middle of its body was an exchange already."""
    access = AccessLog(LogOptions(access=str(tmp_path / "log"), access_format='%h "%r" %s %B'))
    with (
        serving(
            Reads(),
            Options(http2_engine=engine, forwarded_allow_from=("127.0.0.1",), workers=1, **LIMITS),
            access=access,
        ) as running,
        H2Client(running.address) as client,
    ):
        assert client.get(b"/a?b")[0] == 200
        assert client.get(b"/h", method=b"HEAD")[0] == 200
        assert client.get(b"/f", (b"x-forwarded-for", b"203.0.113.9"))[0] == 200
        assert client.get(b"/r", (b"x", b"a" * 200))[0] == 431
        stream = client.start(b"/long", method=b"POST", end=False)
        wait_until(lambda: running.server.in_flight)
        client.h2.send_data(stream, bytes(1001))
        client.flush()
        client.finish(stream)
        assert client.heads[stream][b":status"] == b"413"
        gone = client.start(b"/gone", method=b"POST", end=False)
        wait_until(lambda: running.server.in_flight)
        client.h2.reset_stream(gone)
        client.flush()
        wait_until(lambda: not running.server.in_flight)
    access.close()
    lines = (tmp_path / "log").read_text().splitlines()
    assert [line.rsplit(" ", 1)[0] for line in lines] == [
        '127.0.0.1 "GET /a?b HTTP/2" 200',
        '127.0.0.1 "HEAD /h HTTP/2" 200',
        '203.0.113.9 "GET /f HTTP/2" 200',
        '127.0.0.1 "-" 431',
        '127.0.0.1 "POST /long HTTP/2" 413',
        '127.0.0.1 "POST /gone HTTP/2" 499',
    ]
    assert [int(line.rsplit(" ", 1)[1]) > 0 for line in lines[:2]] == [True, False]


class Reads(Echo):
    """Answers requests without a body only."""

    def handle(self, exchange):
        if exchange.body_complete:
            super().handle(exchange)


def test_http_2_can_be_switched_off(engine):
    """http_version: who begins with prior knowledge is answered by HTTP/1.1, and nobody is served."""
    with asgi(echo, http2_engine=engine, http_version=("HTTP/1.1",)) as served:
        with served.client() as client:
            client.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
            assert client.read_response().status in (400, 505)
            client.expect_end()
        with served.client() as client:
            assert client.request(head()).status == 200
