"""Interim responses: 100 (Continue) and 103 (Early Hints) (RFC 9110, sections 10.1.1 and 15.2; RFC 8297)."""

import asyncio
import socket
import threading

import pytest

from tests.support.applications import PARSERS, answer, asgi, begin, head, part, read_body, wsgi
from tests.support.raw import BadResponse

both_parsers = pytest.mark.parametrize("parser", PARSERS)


def expecting(size: int, *fields: str, version: str = "1.1") -> bytes:
    return head("/", f"Content-Length: {size}", "Expect: 100-continue", *fields, method="POST", version=version)


async def echo(scope, receive, send):
    await answer(send, await read_body(receive))


def wsgi_echo(environ, start_response):
    body = environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]


# --- 100 (Continue) ---


@both_parsers
@pytest.mark.parametrize("kind", ["asgi", "wsgi"])
def test_100_is_sent_when_the_application_reads(parser: str, kind: str):
    """RFC 9110, section 10.1.1: the client gets 100 (Continue) because the body is wanted, and once."""
    serve = asgi(echo, http_parser=parser) if kind == "asgi" else wsgi(wsgi_echo, http_parser=parser)
    with serve as served, served.client() as client:
        client.send(expecting(5))
        assert client.socket.recv(100, socket.MSG_PEEK) == b"HTTP/1.1 100 Continue\r\n\r\n"
        client.send(b"hello")
        response = client.read_response()
        assert ([each.status for each in response.interim], response.body) == ([100], b"hello")
        assert client.request(head("/", "Content-Length: 0")).interim == []


def test_100_is_not_sent_before_the_application_reads():
    """PEP 3333, "HTTP 1.1 Expect/Continue"; the body is asked for by the first read and not earlier."""
    read = threading.Event()

    async def app(scope, receive, send):
        await asyncio.to_thread(read.wait, 5)
        await answer(send, await read_body(receive))

    with asgi(app) as served, served.client() as client:
        client.send(expecting(5))
        client.deadline = 0.1
        with pytest.raises(BadResponse, match="nothing"):
            client.read_response()
        client.deadline = 5
        read.set()
        client.send(b"hello")
        assert client.read_response().body == b"hello"


@both_parsers
@pytest.mark.parametrize("kind", ["asgi", "wsgi"])
def test_no_100_when_the_application_answers_without_reading(parser: str, kind: str):
    """RFC 9110, section 10.1.1: a final answer instead; whether the body comes now nobody knows, so it closes."""

    async def app(scope, receive, send):
        await answer(send, b"no", 403)

    def wsgi_app(environ, start_response):
        start_response("403 Forbidden", [("Content-Type", "text/plain")])
        return [b"no"]

    serve = asgi(app, http_parser=parser) if kind == "asgi" else wsgi(wsgi_app, http_parser=parser)
    with serve as served, served.client() as client:
        response = client.request(expecting(5))
        assert (response.status, response.interim) == (403, [])
        assert response.header(b"connection") == b"close"
        client.expect_end()


def test_no_100_after_the_answer_has_begun():
    """An interim response may not come inside of a final one."""

    async def app(scope, receive, send):
        await begin(send)
        await part(send, b"first ")
        await part(send, await read_body(receive), more_body=False)

    with asgi(app) as served, served.client() as client:
        client.send(expecting(5) + b"hello")
        response = client.read_response()
        assert response.body == b"first hello"


@pytest.mark.parametrize("kind", ["asgi", "wsgi"])
def test_no_100_when_the_body_is_there_already(kind: str):
    """RFC 9110, section 10.1.1: the server may leave it out when it has received some of the body."""
    serve = asgi(echo) if kind == "asgi" else wsgi(wsgi_echo)
    with serve as served, served.client() as client:
        response = client.request(expecting(5) + b"hello")
        assert (response.interim, response.body) == ([], b"hello")
        assert client.request(expecting(3) + b"abc").body == b"abc"


@both_parsers
def test_no_100_to_http_1_0(parser: str):
    """RFC 9110, section 10.1.1: an expectation in HTTP/1.0 is ignored."""
    with asgi(echo, http_parser=parser) as served, served.client() as client:
        client.send(expecting(5, version="1.0"))
        client.send(b"hello")
        response = client.read_response()
        assert (response.interim, response.body) == ([], b"hello")


@both_parsers
def test_no_100_without_a_body(parser: str):
    with asgi(echo, http_parser=parser) as served, served.client() as client:
        assert client.request(expecting(0)).interim == []
        assert client.request(expecting(0)).status == 200


@both_parsers
@pytest.mark.parametrize("value", ["x", "200-ok", "100-continue, x", "100-continu"])
def test_other_expectations_are_refused(parser: str, value: str):
    """RFC 9110, section 10.1.1: 417 (Expectation Failed)."""
    with asgi(echo, http_parser=parser) as served, served.client() as client:
        request = head("/", "Content-Length: 5", f"Expect: {value}", method="POST")
        assert client.request(request).status == 417
        client.expect_end()


@both_parsers
def test_the_size_limit_is_told_before_the_body_is_asked_for(parser: str):
    """RFC 9110, section 15.5.14: 413 in place of 100."""
    with asgi(echo, max_body_size=4, http_parser=parser) as served, served.client() as client:
        response = client.request(expecting(5))
        assert (response.status, response.interim) == (413, [])
        client.expect_end()


# --- 103 (Early Hints) ---

LINK = b"</style.css>; rel=preload; as=style"


def test_early_hints_of_asgi():
    """ASGI extension "http.response.early_hint"."""

    async def app(scope, receive, send):
        assert "http.response.early_hint" in scope["extensions"]
        await send({"type": "http.response.early_hint", "links": [LINK, b"</a>"]})
        await send({"type": "http.response.early_hint", "links": [b"</b>"]})
        await answer(send, b"page", headers=[(b"link", LINK)])

    with asgi(app) as served, served.client() as client:
        for _ in range(2):
            response = client.request(head())
            assert response.body == b"page"
            assert [each.status for each in response.interim] == [103, 103]
            assert response.interim[0].headers == [(b"link", LINK), (b"link", b"</a>")]
            assert response.interim[1].headers == [(b"link", b"</b>")]


def test_early_hints_of_wsgi():
    """docs/applications.md: wsgi.early_hints."""

    def app(environ, start_response):
        environ["wsgi.early_hints"]([("Link", LINK.decode())])
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b"page"]

    with wsgi(app) as served, served.client() as client:
        for _ in range(2):
            response = client.request(head())
            assert response.body == b"page"
            assert [each.headers for each in response.interim] == [[(b"link", LINK)]]


def test_no_early_hints_to_http_1_0():
    """RFC 9110, section 15.2: no 1xx to HTTP/1.0."""

    async def app(scope, receive, send):
        await send({"type": "http.response.early_hint", "links": [LINK]})
        await answer(send, b"page")

    with asgi(app) as served, served.client() as client:
        response = client.request(head(version="1.0"))
        assert (response.interim, response.body) == ([], b"page")


def test_early_hints_after_the_head_are_refused():
    async def app(scope, receive, send):
        await begin(send)
        await part(send, b"one")
        try:
            await send({"type": "http.response.early_hint", "links": [LINK]})
        except RuntimeError:
            await part(send, b"refused", more_body=False)

    with asgi(app) as served:
        response = served.get()
        assert (response.interim, response.body) == ([], b"onerefused")


@pytest.mark.parametrize("link", [b"a\r\nX: y", b"a\nb", b"a\0b"])
def test_early_hints_cannot_inject(link: bytes):
    """RFC 9110, section 5.5: CR, LF and NUL are not for field values."""

    async def app(scope, receive, send):
        await send({"type": "http.response.early_hint", "links": [link]})
        await answer(send, b"page")

    with asgi(app) as served:
        response = served.get()
        assert (response.interim, response.status) == ([], 500)


@pytest.mark.parametrize(
    "field", [("Link", "a\r\nX: y"), ("Content-Length", "5"), ("A B", "c"), ("Link", "\u20ac"), ("Link", 5)]
)
def test_bad_early_hints_of_wsgi_are_raised_in_the_application(field: tuple):
    """The application, which made the mistake, is told; no other request waits for it."""
    raised = []

    def app(environ, start_response):
        try:
            environ["wsgi.early_hints"]([field])
        except Exception as error:
            raised.append(type(error).__name__)
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b"page"]

    with wsgi(app) as served:
        response = served.get()
        assert (response.interim, response.body) == ([], b"page")
    assert raised == ["ResponseError"]
