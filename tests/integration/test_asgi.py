"""ASGI 3, HTTP connection scope: what the application is given, and what its messages do (ASGI spec 2.5)."""

import asyncio
import json

import pytest

from tests.support.applications import PARSERS, answer, asgi, begin, head, part, post, read_body
from tests.support.raw import BadResponse
from tests.support.waiting import wait_until

both_parsers = pytest.mark.parametrize("parser", PARSERS)


def seen_scope(request: bytes, **options) -> dict:
    """The scope of *request*."""
    scopes = []

    async def app(scope, receive, send):
        scopes.append(scope)
        await answer(send, b"x")

    with asgi(app, **options) as served, served.client() as client:
        assert client.request(request).status == 200
    return scopes[0]


# --- the scope ---


@both_parsers
def test_the_scope_of_a_request(parser: str):
    """ASGI spec "HTTP Connection Scope": every key, with the type that it is to have."""
    request = head("/caf%C3%A9/a%2Fb%20c?x=%41&y=+", "X-Two: 1", "x-two: 2", "Cookie: a=\xe9", method="PATCH")
    scope = seen_scope(request, http_parser=parser)
    assert {key: scope[key] for key in scope if key not in ("client", "server")} == {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.5"},
        "http_version": "1.1",
        "method": "PATCH",
        "scheme": "http",
        "path": "/café/a/b c",
        "raw_path": b"/caf%C3%A9/a%2Fb%20c",
        "query_string": b"x=%41&y=+",
        "root_path": "",
        "headers": [(b"host", b"a"), (b"x-two", b"1"), (b"x-two", b"2"), (b"cookie", b"a=\xe9")],
        "state": {},
        "extensions": {
            "http.response.early_hint": {},
            "http.response.pathsend": {},
            "http.response.trailers": {},
        },
    }


@both_parsers
@pytest.mark.parametrize(
    ("target", "path", "raw_path", "query"),
    [
        ("/", "/", b"/", b""),
        ("/?", "/", b"/", b""),
        ("/a?b?c", "/a", b"/a", b"b?c"),
        ("//evil/../x", "//evil/../x", b"//evil/../x", b""),
        ("/%2e%2e/%00", "/../\0", b"/%2e%2e/%00", b""),
        ("/%ff", "/\ufffd", b"/%ff", b""),
        ("/%zz%4", "/%zz%4", b"/%zz%4", b""),
        ("/a+b;c=d", "/a+b;c=d", b"/a+b;c=d", b""),
        ("http://a/x?y", "/x", b"/x", b"y"),
        ("http://a", "/", b"/", b""),
    ],
)
def test_paths_are_decoded_once(parser: str, target: str, path: str, raw_path: bytes, query: bytes):
    """ASGI spec: path is percent-decoded UTF-8, raw_path is not; RFC 9112, section 3.2 for the forms."""
    scope = seen_scope(head(target), http_parser=parser)
    assert (scope["path"], scope["raw_path"], scope["query_string"]) == (path, raw_path, query)


def test_options_asterisk():
    """RFC 9112, section 3.2.4."""
    assert seen_scope(head("*", method="OPTIONS"))["path"] == "*"


def test_http_1_0_in_the_scope():
    assert seen_scope(head(version="1.0"))["http_version"] == "1.0"


def test_root_path():
    """ASGI spec "HTTP Connection Scope", root_path; path has it in front, as the specification says."""
    scope = seen_scope(head("/x%20y"), root_path="/shop")
    assert (scope["root_path"], scope["path"], scope["raw_path"]) == ("/shop", "/shop/x y", b"/shop/x%20y")


def test_a_scope_is_the_applications_own():
    """ASGI spec "Middleware" has applications change scopes: another request, of the same bytes, sees nothing of it."""
    seen = []

    async def app(scope, receive, send):
        seen.append(json.dumps(scope, default=repr, sort_keys=True))
        scope["path"] = scope["root_path"] = "/changed"
        scope["headers"].append((b"x-changed", b"1"))
        scope["headers"][0] = (b"host", b"changed")
        scope["asgi"]["version"] = "changed"
        scope["extensions"]["changed"] = {}
        scope["state"]["changed"] = 1
        scope["added"] = 1
        await answer(send, b"x")

    with asgi(app) as served, served.client() as client:
        for _ in range(3):
            client.request(head("/a"))
    assert len(set(seen)) == 1
    assert "changed" not in seen[0]


# --- the request's body ---


@both_parsers
def test_a_body_in_parts(parser: str):
    """ASGI spec "Request - receive event": parts as they come, and more_body until the last."""
    messages = []

    async def app(scope, receive, send):
        while not messages or messages[-1]["more_body"]:
            messages.append(await receive())
        await answer(send, b"x")

    with asgi(app, http_parser=parser) as served, served.client() as client:
        client.send(head("/", "Content-Length: 6", method="POST"))
        for number, piece in enumerate((b"ab", b"cd", b"ef"), 1):
            client.send(piece)
            wait_until(lambda count=number: b"".join(m["body"] for m in messages) == b"abcdef"[: 2 * count])
        assert client.read_response().status == 200
    assert [message["more_body"] for message in messages][-1] is False
    assert all(message["type"] == "http.request" for message in messages)
    assert all(isinstance(message["body"], bytes) for message in messages)


def test_receive_may_be_waited_for_in_a_task():
    """Applications race receive() against something else and cancel it: no part of the body is lost."""

    async def app(scope, receive, send):
        cancelled = 0
        body = b""
        more = True
        while more:
            task = asyncio.ensure_future(receive())
            done, _ = await asyncio.wait([task], timeout=0.01)
            if not done:
                task.cancel()
                cancelled += 1
                continue
            body += task.result()["body"]
            more = task.result()["more_body"]
        await answer(send, body)

    with asgi(app) as served, served.client() as client:
        client.send(head("/", "Content-Length: 4", method="POST"))
        for byte in b"abc":
            client.send(bytes([byte]))
            client.deadline = 0.04
            with pytest.raises(BadResponse):
                client.read_response()
        client.deadline = 5
        assert client.request(b"d").body == b"abcd"


# --- the response ---


def test_date_and_server_are_there_once():
    """RFC 9110, sections 6.6.1 and 10.2.4."""

    async def app(scope, receive, send):
        await answer(send, b"x")

    with asgi(app) as served:
        response = served.get()
        assert response.header(b"server") == b"hornbeamd"
        assert response.header(b"date").endswith(b" GMT")
    with asgi(app, server_header=False) as served:
        response = served.get()
        assert response.header(b"server") is None
        assert response.header(b"date")


def test_the_applications_own_date_and_server_are_kept():
    fields = [(b"Date", b"Tue, 15 Nov 1994 08:12:31 GMT"), (b"Server", b"mine/1")]

    async def app(scope, receive, send):
        await answer(send, b"x", headers=fields)

    with asgi(app) as served:
        response = served.get()
        assert response.values(b"date") == [b"Tue, 15 Nov 1994 08:12:31 GMT"]
        assert response.values(b"server") == [b"mine/1"]


def test_repeated_fields_survive_in_their_order():
    """docs/applications.md; RFC 6265, section 3: several Set-Cookie fields must not be folded."""
    fields = [(b"set-cookie", b"a=1"), (b"x-a", b"1"), (b"set-cookie", b"b=2"), (b"set-cookie", b"a=1")]

    async def app(scope, receive, send):
        await answer(send, b"x", headers=fields)

    with asgi(app) as served:
        for _ in range(2):
            response = served.get()
            assert response.values(b"set-cookie") == [b"a=1", b"b=2", b"a=1"]


@pytest.mark.parametrize(
    "fields",
    [
        [(b"x-a", b"1"), (b"x-b", b"2")],
        [[b"x-a", b"1"], [b"x-b", b"2"]],
        ((b"x-a", b"1"), (b"x-b", b"2")),
    ],
    ids=["tuples", "lists", "tuple"],
)
def test_fields_may_be_any_iterables(fields):
    """ASGI spec: an iterable of two-item iterables."""

    async def app(scope, receive, send):
        await begin(send, headers=iter(fields))
        await part(send, b"x", more_body=False)

    with asgi(app) as served:
        response = served.get()
        assert (response.header(b"x-a"), response.header(b"x-b")) == (b"1", b"2")


def test_body_and_more_body_have_defaults():
    """ASGI spec "Response Body": body defaults to b"", more_body to False; "Response Start": headers to none."""

    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 201})
        await send({"type": "http.response.body"})

    with asgi(app) as served:
        response = served.get()
        assert (response.status, response.body) == (201, b"")


@pytest.mark.parametrize("status", [200, 299, 404, 418, 499, 599])
def test_any_final_status(status: int):
    """RFC 9110, section 15: unknown codes of a known class are valid."""

    async def app(scope, receive, send):
        await answer(send, b"x", status)

    with asgi(app) as served:
        assert served.get().status == status


def test_nothing_is_sent_before_the_body():
    """ASGI spec "Response Start": the server waits for at least one body event before it sends the head."""

    async def app(scope, receive, send):
        await begin(send, 200)
        raise ValueError("secret")

    with asgi(app) as served:
        assert served.get().status == 500


@both_parsers
def test_many_requests_on_many_connections(parser: str):
    """Nothing of one request shows in another."""

    async def app(scope, receive, send):
        body = await read_body(receive)
        await asyncio.sleep(0)
        await answer(send, scope["path"].encode() + body)

    with asgi(app, http_parser=parser) as served:
        clients = [served.client() for _ in range(20)]
        try:
            for turn in range(10):
                for number, client in enumerate(clients):
                    client.send(post(b"%d" % turn, target=f"/{number}-"))
                for number, client in enumerate(clients):
                    assert client.read_response().body == b"/%d-%d" % (number, turn)
        finally:
            for client in clients:
                client.close()
