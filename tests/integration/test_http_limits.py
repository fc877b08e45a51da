"""Limits: what a request may hold, and what is in hand at once (RFC 9110, section 15.5; RFC 6585, section 5)."""

import asyncio
import threading

import pytest

from hornbeamd.worker.scoreboard import CELLS
from tests.support.applications import PARSERS, answer, asgi, head, post, read_body, wsgi
from tests.support.raw import RawClient, Response
from tests.support.waiting import wait_until

both_parsers = pytest.mark.parametrize("parser", PARSERS)


async def echo(scope, receive, send):
    await answer(send, await read_body(receive))


def wsgi_echo(environ, start_response):
    body = environ["wsgi.input"].read(-1)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [body]


def refused(client: RawClient, request: bytes, pieces: int | None = None) -> Response:
    """The answer to *request*, behind which the connection is closed and the probe not answered."""
    client.send(request + head("/probe"), pieces)
    response = client.read_response()
    assert response.header(b"connection") == b"close"
    client.expect_end()
    return response


@both_parsers
@pytest.mark.parametrize("pieces", [None, 13])
def test_the_request_line_is_limited(parser: str, pieces: int | None):
    """max_request_line_size counts the line without its end; RFC 9110, section 15.5.15: 414."""
    with asgi(echo, http_parser=parser, max_request_line_size=100) as served:
        room = 100 - len("GET / HTTP/1.1")
        with served.client() as client:
            client.send(head("/" + "a" * room), pieces)
            assert client.read_response().status == 200
        with served.client() as client:
            assert refused(client, head("/" + "a" * (room + 1)), pieces).status == 414


@both_parsers
@pytest.mark.parametrize("pieces", [None, 13])
def test_a_header_field_is_limited(parser: str, pieces: int | None):
    """max_header_size is for one field; RFC 6585, section 5: 431."""
    with asgi(echo, http_parser=parser, max_header_size=200) as served:
        with served.client() as client:
            client.send(head("/", "X-A: " + "a" * 190, "X-B: " + "b" * 190), pieces)
            assert client.read_response().status == 200
        with served.client() as client:
            assert refused(client, head("/", "X-A: " + "a" * 200), pieces).status == 431


@both_parsers
@pytest.mark.parametrize("pieces", [None, 13])
def test_the_number_of_fields_is_limited(parser: str, pieces: int | None):
    """max_headers counts all fields, Host among them."""
    with asgi(echo, http_parser=parser, max_headers=5) as served:
        with served.client() as client:
            client.send(head("/", *[f"X-{n}: 1" for n in range(4)]), pieces)
            assert client.read_response().status == 200
        with served.client() as client:
            assert refused(client, head("/", *[f"X-{n}: 1" for n in range(5)]), pieces).status == 431


@both_parsers
def test_a_head_that_never_ends_is_refused_early(parser: str):
    """Neither a line without an end nor lines without an end are stored."""
    with asgi(echo, http_parser=parser) as served:
        for endless, status in (
            (b"GET /" + b"a" * 1_000_000, 414),
            (b"GET / HTTP/1.1\r\nX: " + b"a" * 1_000_000, 431),
            (b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 100_000, 431),
        ):
            with served.client() as client:
                client.send(endless)
                assert client.read_response().status == status


@both_parsers
def test_the_body_is_limited_by_its_announced_length(parser: str):
    """max_body_size; RFC 9110, section 15.5.14: 413, before the application hears of it."""
    begun = []

    async def app(scope, receive, send):
        begun.append(1)
        await echo(scope, receive, send)

    with asgi(app, http_parser=parser, max_body_size=1000) as served:
        with served.client() as client:
            assert client.request(post(b"x" * 1000)).body == b"x" * 1000
        with served.client() as client:
            assert refused(client, post(b"x" * 1001)).status == 413
    assert len(begun) == 1


@both_parsers
@pytest.mark.parametrize("kind", ["asgi", "wsgi"])
@pytest.mark.parametrize("pieces", [None, 300])
def test_a_chunked_body_is_limited_as_it_comes(parser: str, kind: str, pieces: int | None):
    """max_body_size holds where no length was announced, too."""

    def chunked(size: int) -> bytes:
        chunk = b"64\r\n" + b"x" * 100 + b"\r\n"
        return head("/", "Transfer-Encoding: chunked", method="POST") + chunk * (size // 100) + b"0\r\n\r\n"

    serve = asgi if kind == "asgi" else wsgi
    app = echo if kind == "asgi" else wsgi_echo
    with serve(app, http_parser=parser, max_body_size=1000) as served:
        with served.client() as client:
            client.send(chunked(1000), pieces)
            assert client.read_response().body == b"x" * 1000
        with served.client() as client:
            assert refused(client, chunked(1100), pieces).status == 413


@pytest.mark.parametrize("kind", ["asgi", "wsgi"])
def test_more_than_max_concurrent_get_503(kind: str):
    """RFC 9110, section 15.6.4: 503 with Retry-After, at once; the connection lives and is served later."""
    go_on = threading.Event()

    async def app(scope, receive, send):
        await asyncio.to_thread(go_on.wait, 5)
        await answer(send, b"served")

    def wsgi_app(environ, start_response):
        go_on.wait(5)
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b"served"]

    serve = asgi(app, max_concurrent=2) if kind == "asgi" else wsgi(wsgi_app, max_concurrent=2)
    with serve as served, served.client() as one, served.client() as two, served.client() as three:
        one.send(head())
        two.send(head())
        wait_until(lambda: served.running.server.in_flight == 2)
        response = three.request(head())
        assert response.status == 503
        assert int(response.header(b"retry-after")) >= 1
        assert response.header(b"connection") is None
        go_on.set()
        assert one.read_response().body == b"served"
        assert two.read_response().body == b"served"
        assert three.request(head()).body == b"served"


def test_max_concurrent_counts_all_workers():
    """max_concurrent is for the whole server: what other workers have in hand counts."""
    others = 2
    with asgi(echo, max_concurrent=2, total=lambda: others + 1) as served, served.client() as client:
        assert client.request(head()).status == 503
        others = 1
        assert client.request(head()).status == 200


@pytest.mark.parametrize("jitter", [0, 3])
def test_max_requests_asks_for_a_successor_once_and_serves_on(jitter: int):
    """max_requests, max_requests_jitter: the worker says when, and goes on until it is drained."""
    asked_at = []
    with (
        asgi(
            echo,
            max_requests=5,
            max_requests_jitter=jitter,
            on_recycle=lambda: asked_at.append(served.running.server.requests),
        ) as served,
        served.client() as client,
    ):
        for _ in range(20):
            assert client.request(head()).status == 200
    assert len(asked_at) == 1
    assert 5 <= asked_at[0] <= 5 + jitter


def test_the_scoreboard_row_tells_what_is_in_hand():
    """Cells of a worker's row: in flight, connections, requests done."""
    go_on = threading.Event()
    row = [0] * CELLS

    async def app(scope, receive, send):
        await asyncio.to_thread(go_on.wait, 5)
        await answer(send, b"x")

    with asgi(app, row=row) as served:
        with served.client() as client:
            client.send(head())
            wait_until(lambda: row[:3] == [1, 1, 0])
            go_on.set()
            client.read_response()
            wait_until(lambda: row[:3] == [0, 1, 1])
        wait_until(lambda: row[:3] == [0, 0, 1])
