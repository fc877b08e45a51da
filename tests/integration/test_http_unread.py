"""Request bodies that the application does not read (RFC 9112, section 9.3)."""

import pytest

from hornbeamd.http.h1 import connection
from tests.support.applications import PARSERS, answer, asgi, head, post, read_body, wsgi
from tests.support.waiting import wait_until

both_parsers = pytest.mark.parametrize("parser", PARSERS)


async def refuse(scope, receive, send):
    if scope["method"] == "GET":
        await answer(send, b"probe")
    else:
        await answer(send, b"unread", 403)


def wsgi_refuse(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"probe" if environ["REQUEST_METHOD"] == "GET" else b"unread"]


@both_parsers
@pytest.mark.parametrize("kind", ["asgi", "wsgi"])
@pytest.mark.parametrize("size", [0, 1, 1000, 60_000])
@pytest.mark.parametrize("pieces", [None, 5000])
def test_behind_a_small_unread_body_the_next_request_is_answered(parser: str, kind: str, size: int, pieces: int | None):
    """RFC 9112, section 9.3: the server reads the body whether the application wants it or not."""
    serve = asgi(refuse, http_parser=parser) if kind == "asgi" else wsgi(wsgi_refuse, http_parser=parser)
    with serve as served, served.client() as client:
        client.send(post(b"x" * size) + head("/probe"), pieces)
        assert client.read_response().body == b"unread"
        assert client.read_response().body == b"probe"


@both_parsers
def test_a_small_unread_body_may_come_behind_the_answer(parser: str):
    """The rest of an unread body that comes later is still the body, and no request."""
    with asgi(refuse, http_parser=parser) as served, served.client() as client:
        body = head("/smuggled")
        assert client.request(head("/", f"Content-Length: {len(body)}", method="POST")).body == b"unread"
        client.send(body[:9])
        client.send(body[9:] + head("/probe"))
        assert client.read_response().body == b"probe"


@both_parsers
@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_a_large_unread_body_ends_the_connection_but_not_the_answer(parser: str, loop: str):
    """RFC 9112, section 9.6: the answer is not lost in a reset because the client was still sending."""
    with asgi(refuse, loop, http_parser=parser) as served, served.client() as client:
        client.send(head("/", "Content-Length: 100000000", method="POST") + b"x" * 500_000)
        assert client.read_response().body == b"unread"
        client.send(b"x" * 300_000)
        client.expect_end()
        assert not client.was_reset


@both_parsers
def test_an_unread_chunked_body_ends_the_connection_but_not_the_answer(parser: str):
    """Nobody knows how long it would still be."""
    with asgi(refuse, http_parser=parser) as served, served.client() as client:
        client.send(head("/", "Transfer-Encoding: chunked", method="POST") + b"5\r\nhello\r\n")
        assert client.read_response().body == b"unread"
        client.send(b"5\r\nhello\r\n0\r\n\r\n" + head("/probe"))
        client.expect_end()
        assert not client.was_reset


def test_a_chunked_body_that_is_all_there_does_not_end_the_connection():
    with asgi(refuse) as served, served.client() as client:
        request = head("/", "Transfer-Encoding: chunked", method="POST") + b"5\r\nhello\r\n0\r\n\r\n"
        assert client.request(request + head("/probe")).body == b"unread"
        assert client.read_response().body == b"probe"


def test_an_application_that_begins_to_read_and_stops():
    """What it has left is read and thrown away."""

    async def app(scope, receive, send):
        if scope["method"] == "GET":
            await answer(send, b"probe")
        else:
            await receive()
            await answer(send, b"enough")

    with asgi(app) as served, served.client() as client:
        client.send(head("/", "Content-Length: 50000", method="POST") + b"x")
        assert client.read_response().body == b"enough"
        client.send(b"x" * 49_999 + head("/probe"))
        assert client.read_response().body == b"probe"


def test_a_lingering_client_is_cut_in_the_end(monkeypatch):
    """A client that goes on sending for ever does not hold its connection for ever."""
    monkeypatch.setattr(connection, "_LINGER_SECONDS", 0.3)
    with asgi(refuse) as served, served.client() as client:
        client.send(head("/", "Content-Length: 1000000000", method="POST"))
        assert client.read_response().body == b"unread"

        def cut() -> bool:
            client.send(b"x" * 100_000)
            return not served.running.server.connections

        wait_until(cut)


def test_the_next_body_is_read_by_its_own_application():
    """What was thrown away of one request does not reach the next."""
    bodies = []

    async def app(scope, receive, send):
        if scope["path"] == "/read":
            bodies.append(await read_body(receive))
        await answer(send, b"x")

    with asgi(app) as served, served.client() as client:
        client.send((post(b"a" * 30_000, target="/skip") + post(b"b" * 30_000, target="/read")) * 5)
        for _ in range(10):
            assert client.read_response().status == 200
    assert bodies == [b"b" * 30_000] * 5
