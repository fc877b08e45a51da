"""Where a message ends: framing of requests and responses (RFC 9110, section 6.4; RFC 9112, sections 6 and 7)."""

import pytest

from tests.support.applications import (
    PARSERS,
    answer,
    asgi,
    begin,
    head,
    part,
    post,
    read_body,
)
from tests.support.raw import BadResponse

both_parsers = pytest.mark.parametrize("parser", PARSERS)
PROBE = head("/probe")


def probing(inner):
    """Wrap an application so that /probe is answered as such: what the next request on the connection gets."""

    async def app(scope, receive, send):
        if scope["path"] == "/probe":
            await answer(send, b"probe")
        else:
            await inner(scope, receive, send)

    return app


def assert_next_is_right(client) -> None:
    """The next request is answered as itself, or not at all because the connection was closed."""
    client.send(PROBE)
    try:
        response = client.read_response()
    except BadResponse:
        assert client.closed
    else:
        assert (response.status, response.body) == (200, b"probe")


async def echo(scope, receive, send):
    await answer(send, await read_body(receive))


# --- requests ---


@both_parsers
@pytest.mark.parametrize("pieces", [None, 1, 7])
def test_a_chunked_request_body_arrives_decoded(parser: str, pieces: int | None):
    """RFC 9112, section 7.1; trailers are read, and what follows is the next request."""
    chunks = b"5\r\nhello\r\n6;ext=1\r\n world\r\n0\r\nX-Sum: 1\r\n\r\n"
    request = head("/", "Transfer-Encoding: chunked", method="POST") + chunks
    with asgi(probing(echo), http_parser=parser) as served, served.client() as client:
        client.send(request + PROBE, pieces)
        assert client.read_response().body == b"hello world"
        assert client.read_response().body == b"probe"


@both_parsers
@pytest.mark.parametrize("size", [0, 1, 65535, 65536, 65537, 1_000_000])
@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_a_request_body_arrives_whole(parser: str, size: int, loop: str):
    """RFC 9112, section 6.2, with the head and the body in one piece, and behind it the next request."""
    body = bytes(range(256)) * (size // 256 + 1)
    with asgi(probing(echo), loop, http_parser=parser) as served, served.client() as client:
        client.send(post(body[:size]) + PROBE)
        assert client.read_response().body == body[:size]
        assert client.read_response().body == b"probe"


@both_parsers
def test_a_body_that_ends_early_is_never_shown_as_complete(parser: str):
    """RFC 9112, section 8: a server must not take an incomplete request for a complete one."""
    seen = []

    async def app(scope, receive, send):
        while (message := await receive())["type"] == "http.request":
            seen.append((message["body"], message["more_body"]))
            if not message["more_body"]:
                break
        else:
            seen.append("gone")

    with asgi(app, http_parser=parser) as served, served.client() as client:
        client.send(head("/", "Content-Length: 10", method="POST") + b"hello")
        client.half_close()
        assert client.read_response().status == 400
        client.expect_end()
    assert all(item == "gone" or item[1] for item in seen)


# --- responses ---


@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_one_message_needs_no_chunks(version: str):
    """A body that comes in one message is sent with its length."""
    with asgi(echo) as served, served.client() as client:
        response = client.request(head(version=version))
        assert (response.header(b"content-length"), response.header(b"transfer-encoding")) == (b"0", None)


@pytest.mark.parametrize("size", [1, 100, 16384, 16385, 300_000])
def test_a_body_of_unknown_length_is_chunked(size: int):
    """RFC 9112, section 7.1: chunks of every size, and empty messages end nothing."""

    async def app(scope, receive, send):
        await begin(send)
        await part(send, b"")
        await part(send, b"a" * size)
        await part(send, b"")
        await part(send, b"b" * size)
        await part(send, b"c" * size, more_body=False)

    with asgi(probing(app)) as served, served.client() as client:
        response = client.request(head() + PROBE)
        assert response.header(b"transfer-encoding") == b"chunked"
        assert response.header(b"content-length") is None
        assert response.body == b"a" * size + b"b" * size + b"c" * size
        assert client.read_response().body == b"probe"


@pytest.mark.parametrize("coding", [b"chunked", b"identity"])
def test_the_coding_is_the_servers_to_choose(coding: bytes):
    """A Transfer-Encoding by the application (old streaming examples set it) is not sent twice."""

    async def app(scope, receive, send):
        await begin(send, headers=[(b"transfer-encoding", coding)])
        await part(send, b"one")
        await part(send, b"", more_body=False)

    with asgi(app) as served:
        response = served.get()
        assert response.values(b"transfer-encoding") == [b"chunked"]
        assert response.body == b"one"


@pytest.mark.parametrize("size", [0, 3, 20_000])
def test_head_has_the_fields_of_get_and_no_body(size: int):
    """RFC 9110, section 9.3.2."""

    async def app(scope, receive, send):
        await answer(send, b"x" * size, headers=[(b"content-length", b"%d" % size)])

    with asgi(probing(app)) as served, served.client() as client:
        client.send(head(method="HEAD") + PROBE)
        response = client.read_response("HEAD")
        assert (response.status, response.header(b"content-length")) == (200, b"%d" % size)
        assert client.read_response().body == b"probe"


def test_head_of_a_streamed_response_has_no_body():
    """RFC 9110, section 9.3.2; no chunk may follow the head."""

    async def app(scope, receive, send):
        await begin(send)
        await part(send, b"one")
        await part(send, b"two", more_body=False)

    with asgi(probing(app)) as served, served.client() as client:
        client.send(head(method="HEAD") + PROBE)
        assert client.read_response("HEAD").status == 200
        assert client.read_response().body == b"probe"


@pytest.mark.parametrize("status", [204, 304])
@pytest.mark.parametrize("parts", [1, 2])
@pytest.mark.parametrize("length", [None, b"5"])
def test_no_body_with_204_and_304(status: int, parts: int, length: bytes | None):
    """RFC 9110, sections 6.4.1, 8.6 and 15.3.5: no body, and no Content-Length with 204."""

    async def app(scope, receive, send):
        await begin(send, status, [(b"content-length", length)] if length else [])
        for _ in range(parts - 1):
            await part(send, b"he")
        await part(send, b"hello"[2 * (parts - 1) :], more_body=False)

    with asgi(probing(app)) as served, served.client() as client:
        response = client.request(head() + PROBE)
        assert response.status == status
        assert response.header(b"transfer-encoding") is None
        if status == 204:
            assert response.header(b"content-length") is None
        elif length:
            assert response.header(b"content-length") == length
        assert client.read_response().body == b"probe"


def test_trailers_of_the_response():
    """RFC 9112, section 7.1.2; ASGI extension "http.response.trailers"."""

    async def app(scope, receive, send):
        assert "http.response.trailers" in scope["extensions"]
        await begin(send, headers=[(b"trailer", b"x-sum")], trailers=True)
        await part(send, b"body", more_body=False)
        await send({"type": "http.response.trailers", "headers": [(b"x-sum", b"42")]})

    with asgi(probing(app)) as served, served.client() as client:
        response = client.request(head() + PROBE)
        assert (response.body, response.trailers) == (b"body", [(b"x-sum", b"42")])
        assert client.read_response().body == b"probe"


def test_trailers_in_several_messages():
    """ASGI extension "http.response.trailers": more_trailers says that another message of them follows."""

    async def app(scope, receive, send):
        await begin(send, trailers=True)
        await part(send, b"body", more_body=False)
        await send({"type": "http.response.trailers", "headers": [(b"x-a", b"1")], "more_trailers": True})
        await send({"type": "http.response.trailers", "headers": [(b"x-b", b"2")]})

    with asgi(app) as served:
        assert served.get().trailers == [(b"x-a", b"1"), (b"x-b", b"2")]


@pytest.mark.parametrize(
    ("method", "version", "status"), [("HEAD", "1.1", 200), ("GET", "1.0", 200), ("GET", "1.1", 204)]
)
def test_trailers_are_dropped_where_there_is_no_place_for_them(method: str, version: str, status: int):
    async def app(scope, receive, send):
        await begin(send, status, trailers=True)
        await part(send, b"", more_body=False)
        await send({"type": "http.response.trailers", "headers": [(b"x-sum", b"42")]})

    with asgi(probing(app)) as served, served.client() as client:
        response = client.request(head(method=method, version=version), method)
        assert response.status == status
        assert b"42" not in client.buffer
        assert_next_is_right(client)


# --- what the application gets wrong (research: output of a broken application must not reach the next answer) ---

LENGTHS = {
    "shorter by one": [(b"content-length", b"6")],
    "much shorter": [(b"content-length", b"500000")],
    "longer by one": [(b"content-length", b"4")],
    "zero": [(b"content-length", b"0")],
    "negative": [(b"content-length", b"-1")],
    "text": [(b"content-length", b"five")],
    "empty": [(b"content-length", b"")],
    "plus": [(b"content-length", b"+5")],
    "list": [(b"content-length", b"5, 5")],
    "underscore": [(b"content-length", b"0_5")],
    "two, different": [(b"content-length", b"5"), (b"content-length", b"6")],
    "two, equal": [(b"content-length", b"5"), (b"Content-Length", b"5")],
    "two, split case": [(b"CONTENT-LENGTH", b"4"), (b"content-length", b"5")],
    "huge": [(b"content-length", b"9" * 30)],
}


@pytest.mark.parametrize("case", LENGTHS)
@pytest.mark.parametrize("parts", [1, 2, 3])
def test_a_wrong_content_length_never_corrupts_the_next_answer(case: str, parts: int):
    """RFC 9110, section 8.6; a body that is shorter or longer than announced ends the connection."""

    async def app(scope, receive, send):
        await begin(send, headers=LENGTHS[case])
        if parts == 1:
            await part(send, b"hello", more_body=False)
        else:
            await part(send, b"hel")
            await part(send, b"lo", more_body=parts == 3)
        if parts == 3:
            await part(send, b"", more_body=False)

    with asgi(probing(app)) as served, served.client() as client:
        client.send(head() + PROBE)
        try:
            response = client.read_response()
        except BadResponse:
            assert client.closed, "an answer that was given up, and yet the connection stays open"
            assert b"probe" not in client.buffer
        else:
            assert response.status == 500
            assert b"hello" not in response.body
            assert client.read_response().body == b"probe"
        assert served.logs.wait_for("application")


def test_an_application_that_catches_the_refusal_corrupts_nothing_either():
    """The error of the message that was too long is raised in the application, which may go on."""
    refused = []

    async def app(scope, receive, send):
        await begin(send, headers=[(b"content-length", b"5")])
        await part(send, b"hel")
        for data in (b"lo and more", b"lo", b"x"):
            try:
                await part(send, data, more_body=False)
            except Exception as error:
                refused.append(type(error).__name__)

    with asgi(probing(app)) as served, served.client() as client:
        assert client.request(head() + PROBE).body == b"hello"
        assert client.read_response().body == b"probe"
    assert refused == ["ResponseError", "ResponseError"]


def test_a_body_given_up_half_way_is_seen_as_broken():
    """RFC 9112, section 8: a chunked response that cannot be completed must not look complete."""

    async def app(scope, receive, send):
        await begin(send)
        await part(send, b"half")
        raise ValueError("secret")

    with asgi(probing(app)) as served, served.client() as client:
        client.send(head() + PROBE)
        with pytest.raises(BadResponse):
            client.read_response()
        rest = client.read_to_end()
        assert b"0\r\n\r\n" not in rest
        assert b"probe" not in rest
        assert b"secret" not in rest


def test_a_body_given_up_half_way_is_seen_as_broken_by_http_1_0_too():
    """RFC 9112, section 8: where the end of the connection ends the body, only a reset tells."""

    async def app(scope, receive, send):
        await begin(send)
        await part(send, b"half")
        raise ValueError("secret")

    with asgi(app) as served, served.client() as client:
        client.send(head(version="1.0"))
        client.read_to_end()
        assert client.was_reset
