"""Connections: how long they live, and in what order they answer (RFC 9112, section 9)."""

import asyncio
import threading

import pytest

from tests.support.applications import PARSERS, answer, asgi, begin, head, part, post, read_body
from tests.support.raw import BadResponse
from tests.support.waiting import wait_until

both_parsers = pytest.mark.parametrize("parser", PARSERS)


async def hello(scope, receive, send):
    await answer(send, scope["path"].encode())


async def stream(scope, receive, send):
    await begin(send)
    await part(send, b"one")
    await part(send, b"two", more_body=False)


@both_parsers
def test_http_1_1_connections_persist(parser: str):
    """RFC 9112, section 9.3: without "close" a connection of HTTP/1.1 persists, and the answer need not say so."""
    with asgi(hello, http_parser=parser) as served, served.client() as client:
        for target in ("/a", "/b", "/c"):
            response = client.request(head(target))
            assert response.body == target.encode()
            assert response.header(b"connection") is None


@both_parsers
@pytest.mark.parametrize("value", ["close", "Close", "foo, close", "close, foo", "keep-alive, close"])
def test_close_in_the_request_ends_the_connection(parser: str, value: str):
    """RFC 9112, section 9.6: a request with "close" is the last, and its answer says "close"."""
    with asgi(hello, http_parser=parser) as served, served.client() as client:
        response = client.request(head("/a", f"Connection: {value}") + head("/never"))
        assert response.header(b"connection") == b"close"
        assert response.body == b"/a"
        client.expect_end()


@both_parsers
def test_http_1_0_connections_end(parser: str):
    """RFC 9112, section 9.3: a connection of HTTP/1.0 ends with its answer."""
    with asgi(hello, http_parser=parser) as served, served.client() as client:
        response = client.request(head("/a", version="1.0"))
        assert response.body == b"/a"
        assert response.header(b"content-length") == b"2"
        client.expect_end()


@both_parsers
def test_http_1_0_connections_persist_when_asked_to(parser: str):
    """RFC 9112, section 9.3: HTTP/1.0 persists with "keep-alive", and the client must be told."""
    with asgi(hello, http_parser=parser) as served, served.client() as client:
        for target in ("/a", "/b"):
            response = client.request(head(target, "Connection: keep-alive", version="1.0"))
            assert response.body == target.encode()
            assert response.header(b"connection") == b"keep-alive"


def test_a_body_of_unknown_length_ends_with_the_connection_of_http_1_0():
    """RFC 9112, section 6.1: no chunked coding to HTTP/1.0; section 6.3: the end of the connection ends the body."""
    with asgi(stream) as served, served.client() as client:
        response = client.request(head("/", "Connection: keep-alive", version="1.0"))
        assert response.body == b"onetwo"
        assert response.header(b"transfer-encoding") is None
        assert response.header(b"connection") == b"close"
        client.expect_end()


@pytest.mark.parametrize("value", [b"close", b"Close", b"foo, close"])
def test_the_application_may_close_the_connection(value: bytes):
    """RFC 9112, section 9.6: what the application asks for with "close" is done, and said once."""

    async def app(scope, receive, send):
        await answer(send, b"bye", headers=[(b"connection", value)])

    with asgi(app) as served, served.client() as client:
        response = client.request(head("/a") + head("/b"))
        assert response.header(b"connection") == b"close"
        client.expect_end()


@both_parsers
@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_pipelined_requests_are_answered_in_order(parser: str, loop: str):
    """RFC 9112, section 9.3.2: answers leave in the order of the requests, however long each takes."""

    async def app(scope, receive, send):
        body = await read_body(receive)
        number = int(scope["path"][1:])
        for _ in range(number % 3 * 3):
            await asyncio.sleep(0)
        await answer(send, b"%d:%b" % (number, body))

    requests = [head(f"/{n}") if n % 4 else post(b"x" * n, target=f"/{n}") for n in range(100)]
    with asgi(app, loop, http_parser=parser) as served, served.client() as client:
        client.send(b"".join(requests))
        for number in range(100):
            body = b"" if number % 4 else b"x" * number
            assert client.read_response().body == b"%d:%b" % (number, body)


def test_pipelined_requests_run_one_at_a_time():
    """A client that pipelines costs the server no more than one request at once."""
    running = most = 0

    async def app(scope, receive, send):
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0)
        running -= 1
        await answer(send, b"x")

    with asgi(app) as served, served.client() as client:
        client.send(head() * 500)
        for _ in range(500):
            assert client.read_response().body == b"x"
    assert most == 1


def test_a_half_closed_client_gets_its_answer():
    """RFC 9112, section 9.6: a client may close its side as soon as it has asked."""
    half_closed = threading.Event()

    async def app(scope, receive, send):
        await asyncio.to_thread(half_closed.wait, 5)
        await begin(send)
        await part(send, b"one")
        await part(send, b"two", more_body=False)

    with asgi(app) as served, served.client() as client:
        client.send(head())
        client.half_close()
        server = served.running.server
        wait_until(lambda: served.running.call(lambda: any(c.exchange and c.exchange.gone for c in server.connections)))
        half_closed.set()
        assert client.read_response().body == b"onetwo"
        client.expect_end()


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_a_half_closed_client_gets_all_pipelined_answers(loop: str):
    """All requests that came whole before the end of the client's side are answered."""

    async def app(scope, receive, send):
        for _ in range(5):
            await asyncio.sleep(0)
        await answer(send, scope["path"].encode())

    with asgi(app, loop) as served, served.client() as client:
        client.send(head("/1") + head("/2") + head("/3"))
        client.half_close()
        for target in (b"/1", b"/2", b"/3"):
            assert client.read_response().body == target
        client.expect_end()


def test_an_idle_connection_is_closed_after_keepalive_without_a_word():
    """RFC 9112, section 9.5: a 408 nobody asked for could be taken for the answer to the next request."""
    with asgi(hello, keepalive=0.1) as served, served.client() as client:
        assert client.request(head()).status == 200
        client.expect_end()


def test_a_connection_that_never_asks_is_closed_without_a_word():
    with asgi(hello, header_timeout=0.1) as served, served.client() as client:
        client.expect_end()


def test_a_connection_in_use_outlives_keepalive():
    """keepalive counts between requests and not during them."""

    async def app(scope, receive, send):
        await asyncio.sleep(0.25)
        await answer(send, b"late")

    with asgi(app, keepalive=0.05) as served, served.client() as client:
        assert client.request(head()).body == b"late"


def test_draining_answers_what_runs_and_says_close():
    """A server that ends answers with "close" what it has in hand, and accepts nothing more."""
    go_on = threading.Event()

    async def app(scope, receive, send):
        await asyncio.to_thread(go_on.wait, 5)
        await answer(send, b"done")

    with asgi(app) as served, served.client() as client, served.client() as idle:
        client.send(head())
        server = served.running.server
        wait_until(lambda: server.in_flight == 1 and len(server.connections) == 2)
        drained = asyncio.run_coroutine_threadsafe(server.drain(5.0, 0.0), served.running.loop)
        idle.expect_end()
        go_on.set()
        response = client.read_response()
        assert (response.body, response.header(b"connection")) == (b"done", b"close")
        client.expect_end()
        assert drained.result(5) is True


def test_draining_answers_a_request_that_is_already_on_its_way():
    """Within the idle grace a request on a connection that was kept is answered, and is the last."""
    with asgi(hello) as served, served.client() as client:
        assert client.request(head("/a")).header(b"connection") is None
        server = served.running.server
        drained = asyncio.run_coroutine_threadsafe(server.drain(5.0, 2.0), served.running.loop)
        wait_until(lambda: server.draining)
        response = client.request(head("/b"))
        assert (response.body, response.header(b"connection")) == (b"/b", b"close")
        client.expect_end()
        assert drained.result(5) is True


def test_draining_gives_up_after_its_timeout():
    async def app(scope, receive, send):
        await asyncio.sleep(60)

    with asgi(app) as served, served.client() as client:
        client.send(head())
        server = served.running.server
        wait_until(lambda: server.in_flight == 1)
        drained = asyncio.run_coroutine_threadsafe(server.drain(0.1, 0.0), served.running.loop)
        assert drained.result(5) is False
        with pytest.raises(BadResponse):
            client.read_response()
