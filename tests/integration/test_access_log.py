"""The access log of real exchanges: every request gets one line, with what was sent for it."""

import json

import pytest

from hornbeamd.apps.asgi import AsgiHandler
from hornbeamd.config.log import LogOptions
from hornbeamd.config.options import Options
from hornbeamd.observe.access import AccessLog
from tests.support.echo import Echo
from tests.support.inprocess import serving
from tests.support.raw import RawClient
from tests.support.waiting import wait_until
from tests.support.websocket import RawWebSocket


@pytest.fixture
def lines(tmp_path):
    """Serve with an access log, send requests on one connection each, and return the log's lines."""

    def run(format, *requests, **options):
        path = tmp_path / "access.log"
        access = AccessLog(LogOptions(access=str(path), access_format=format))
        with serving(Echo(), Options(**options), access=access) as running:
            for request in requests:
                with RawClient(running.address) as client:
                    client.send(request)
                    client.read_response(request.split()[0].decode("latin-1"))
        access.close()
        return path.read_text().splitlines()

    return run


def test_one_line_for_each_request(lines):
    first, second, third = lines(
        '%h "%r" %s %{host}i %{content-type}o %B',
        b"GET /a?b=c HTTP/1.1\r\nHost: here\r\n\r\n",
        b"HEAD /head HTTP/1.1\r\nHost: here\r\n\r\n",
        b"POST /%22%0a HTTP/1.0\r\nContent-Length: 2\r\n\r\nhi",
    )
    assert first.startswith('127.0.0.1 "GET /a?b=c HTTP/1.1" 200 here application/json ')
    assert int(first.split()[-1]) > 50
    assert second == '127.0.0.1 "HEAD /head HTTP/1.1" 200 here application/json 0'
    assert third.startswith('127.0.0.1 "POST /%22%0a HTTP/1.0" 200 - ')


def test_pipelined_requests_are_in_order(lines, tmp_path):
    pipelined = b"".join(b"GET /%d HTTP/1.1\r\nHost: a\r\n\r\n" % number for number in range(20))
    path = tmp_path / "pipelined.log"
    access = AccessLog(LogOptions(access=str(path), access_format="%U"))
    with serving(Echo(), access=access) as running, RawClient(running.address) as client:
        client.send(pipelined)
        for _ in range(20):
            client.read_response()
    access.close()
    assert path.read_text().splitlines() == [f"/{number}" for number in range(20)]


def test_the_duration_is_of_this_request(lines):
    (line,) = lines("json", b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    assert 0 <= json.loads(line)["duration_us"] < 5_000_000


def test_what_is_refused_has_a_line_too(lines):
    bad, crowded = lines(
        '%h "%r" %s',
        b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\n" + b"X: y\r\n" * 30 + b"\r\n",
        max_headers=10,
    )
    assert bad == '127.0.0.1 "-" 400'
    assert crowded == '127.0.0.1 "-" 431'


def test_the_client_is_the_one_that_the_proxy_names(lines):
    (line,) = lines(
        "%h",
        b"GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 203.0.113.9\r\n\r\n",
        forwarded_allow_from=("127.0.0.1",),
    )
    assert line == "203.0.113.9"


def test_a_websocket_gets_its_line_when_it_ends(tmp_path):
    """One line, with the status of the handshake and what was sent."""
    path = tmp_path / "access.log"
    options = Options(worker_class="asgi", lifespan="off", workers=1)
    access = AccessLog(LogOptions(access=str(path), access_format='"%r" %s %B'))
    with serving(AsgiHandler(greet, options), options, access=access) as running:
        with RawWebSocket(running.address) as client:
            client.open("/chat")
            assert client.read_message() == "hello"
            access.flush()
            assert path.read_text() == ""
            assert client.read_close() == (1000, "")
        wait_until(lambda: running.server.requests == 1)
    access.close()
    assert path.read_text() == '"GET /chat HTTP/1.1" 101 11\n'


async def greet(scope, receive, send):
    await receive()
    await send({"type": "websocket.accept"})
    await send({"type": "websocket.send", "text": "hello"})
