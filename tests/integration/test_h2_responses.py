"""What applications answer, as HTTP/2 carries it (RFC 9113, section 8), and what they are told of a request."""

import asyncio

import h2.errors
import h2.events
import pytest

from tests.support.applications import answer, asgi, begin, part, read_body, wsgi
from tests.support.h2client import H2Client
from tests.support.waiting import wait_until

BIG = bytes(range(250)) * 400  # more than the windows of a client that says nothing of them


@pytest.fixture(params=["native", "h2"])
def engine(request):
    return request.param


@pytest.mark.parametrize("status", [204, 304])
@pytest.mark.parametrize("parts", [1, 3])
def test_responses_without_a_body(engine, status, parts):
    """RFC 9110, section 6.4.1, whatever the application sends."""

    async def app(scope, receive, send):
        if scope["path"] == "/with":
            await answer(send, b"body")
            return
        await begin(send, status, [(b"x-a", b"1")])
        for number in range(parts):
            await part(send, b"body", more_body=number < parts - 1)

    with asgi(app, http2_engine=engine) as served, H2Client(served.running.address) as client:
        assert client.get() == (status, b"")
        assert client.get(b"/with", method=b"HEAD") == (200, b"")
        assert client.get(b"/with") == (200, b"body")


def test_204_has_no_length(engine):
    """RFC 9110, section 8.6; with HEAD and 304 it is the length of what was left out."""

    async def app(scope, receive, send):
        await answer(send, b"body", int(scope["path"][1:]), [(b"content-length", b"4")])

    with asgi(app, http2_engine=engine) as served, H2Client(served.running.address) as client:
        for path, method, length in ((b"/204", b"GET", None), (b"/304", b"GET", b"4"), (b"/200", b"HEAD", b"4")):
            stream = client.start(path, method=method)
            client.finish(stream)
            assert client.heads[stream].get(b"content-length") == length
            assert not client.bodies[stream]


def test_fields_of_the_connection_are_dropped_and_others_repeated(engine):
    """RFC 9113, section 8.2.2; RFC 6265, section 3."""
    fields = [
        (b"Connection", b"close, x-b"),
        (b"keep-alive", b"timeout=5"),
        (b"proxy-connection", b"close"),
        (b"Transfer-Encoding", b"chunked"),
        (b"upgrade", b"h2c"),
        (b"Set-Cookie", b"a=1"),
        (b"set-cookie", b"b=2"),
        (b"X-A", b"  1 "),
    ]

    async def app(scope, receive, send):
        await answer(send, b"body", headers=fields)

    with asgi(app, http2_engine=engine) as served, H2Client(served.running.address) as client:
        assert client.get() == (200, b"body")
        (received,) = (event.headers for event in client.events if isinstance(event, h2.events.ResponseReceived))
        names = [name for name, _ in received]
        assert [(name, value) for name, value in received if name == b"set-cookie"] == [
            (b"set-cookie", b"a=1"),
            (b"set-cookie", b"b=2"),
        ]
        assert (b"x-a", b"1") in received
        assert sorted(set(names)) == [b":status", b"date", b"server", b"set-cookie", b"x-a"]
        assert client.get() == (200, b"body")


def test_early_hints_and_a_request_to_go_on(engine):
    """RFC 8297 and RFC 9110, section 10.1.1: 100 when the application first reads, and not before."""
    go_on = asyncio.Event()

    async def app(scope, receive, send):
        await go_on.wait()
        await send({"type": "http.response.early_hint", "links": [b"</style.css>; rel=preload"]})
        await answer(send, await read_body(receive))

    with asgi(app, http2_engine=engine) as served, H2Client(served.running.address) as client:
        stream = client.start(b"/", (b"expect", b"100-continue"), method=b"POST", end=False)
        wait_until(lambda: served.running.server.in_flight)
        served.running.loop.call_soon_threadsafe(go_on.set)
        while len(client.informed[stream]) < 2:
            assert client.read()
        hints, hundred = client.informed[stream]
        assert (hints[b":status"], hints[b"link"]) == (b"103", b"</style.css>; rel=preload")
        assert hundred == {b":status": b"100"}
        client.h2.send_data(stream, b"body", end_stream=True)
        client.flush()
        client.finish(stream)
        assert client.bodies[stream] == b"body"


def test_who_does_not_want_the_body_does_not_ask_for_it(engine):
    """The answer comes at once, and the stream is closed without an error (RFC 9113, section 8.1)."""

    async def app(scope, receive, send):
        await answer(send, b"no", 403)

    with asgi(app, http2_engine=engine) as served, H2Client(served.running.address) as client:
        stream = client.start(b"/", (b"expect", b"100-continue"), method=b"POST", end=False)
        while stream not in client.resets:
            assert client.read()
        assert (client.heads[stream][b":status"], client.bodies[stream]) == (b"403", b"no")
        assert stream not in client.informed
        assert client.resets[stream] == h2.errors.ErrorCodes.NO_ERROR
        assert client.get() == (403, b"no")


@pytest.mark.parametrize("body", [b"", b"small", BIG])
def test_trailers(engine, body):
    """They come behind all data, also what had to wait for the client's windows."""

    async def app(scope, receive, send):
        await begin(send, trailers=True)
        await part(send, body, more_body=False)
        await send({"type": "http.response.trailers", "headers": [(b"X-Sum", b"1")], "more_trailers": False})

    with (
        asgi(app, http2_engine=engine) as served,
        H2Client(served.running.address, initial_window_size=1000) as client,
    ):
        stream = client.start(b"/", (b"te", b"trailers"))
        client.finish(stream)
        assert client.bodies[stream] == body
        assert client.trailers[stream] == {b"x-sum": b"1"}
        wait_until(lambda: not served.running.server.in_flight)


@pytest.mark.parametrize("size", [3, 5])
@pytest.mark.parametrize("parts", [1, 2])
def test_a_body_of_another_length_than_announced(engine, size, parts):
    """RFC 9113, section 8.1.1: the client would have to call it malformed, so it is broken off before."""

    async def app(scope, receive, send):
        await begin(send, headers=[(b"content-length", b"4")])
        if parts == 2:
            await part(send, b"x")
        await part(send, b"x" * (size - parts + 1), more_body=False)

    with asgi(app, http2_engine=engine) as served, H2Client(served.running.address) as client:
        stream = client.start()
        client.finish(stream)
        if parts == 1:
            assert client.heads[stream][b":status"] == b"500"
        else:
            assert client.resets[stream] == h2.errors.ErrorCodes.INTERNAL_ERROR
        assert served.logs.wait_for("ResponseError")
        wait_until(lambda: not served.running.server.in_flight)


@pytest.mark.parametrize("late", [False, True])
def test_an_application_that_raises_says_nothing_of_it_to_the_client(engine, late):
    async def app(scope, receive, send):
        if late:
            await begin(send)
            await part(send, b"begun")
        raise RuntimeError("the secret")

    with asgi(app, http2_engine=engine) as served, H2Client(served.running.address) as client:
        stream = client.start()
        client.finish(stream)
        if late:
            assert client.resets[stream] == h2.errors.ErrorCodes.INTERNAL_ERROR
            assert client.bodies[stream] == b"begun"
        else:
            assert client.heads[stream][b":status"] == b"500"
            assert client.heads[stream][b"x-request-id"]
        assert served.logs.wait_for("application raised")
        assert b"secret" not in client.bodies[stream] + repr(client.heads).encode()


def test_what_waits_when_the_application_raises_is_not_sent(engine):
    """Nothing may come on a stream behind its RST_STREAM (RFC 9113, section 6.4)."""

    async def app(scope, receive, send):
        if scope["path"] == "/other":
            await answer(send, b"other")
            return
        await begin(send)
        await asyncio.wait_for(part(send, BIG), 0.05)

    with (
        asgi(app, http2_engine=engine) as served,
        H2Client(served.running.address, initial_window_size=1 << 20) as client,
    ):
        hold_back(client)
        stream = client.start()
        client.finish(stream)
        assert client.resets[stream] == h2.errors.ErrorCodes.INTERNAL_ERROR
        begun = client.carried[stream]
        client.h2.increment_flow_control_window(1 << 20)
        client.flush()
        assert client.get(b"/other") == (200, b"other")
        assert client.carried[stream] == begun


def hold_back(client):
    """Let *client* give nothing back of its windows."""
    client.h2.acknowledge_received_data = lambda *_: None


def test_a_wsgi_application(engine):
    """PEP 3333; what does not depend on the version of HTTP is the same."""
    seen = []

    def app(environ, start_response):
        seen.append({key: value for key, value in environ.items() if isinstance(value, str)})
        if environ["PATH_INFO"] == "/raise":
            raise RuntimeError("the secret")
        body = environ["wsgi.input"].read(-1)
        start_response("201 Created", [("Content-Type", "text/plain"), ("Set-Cookie", "a=1"), ("Set-Cookie", "b=2")])
        return [b"<", body, b">"]

    with wsgi(app, http2_engine=engine) as served, H2Client(served.running.address) as client:
        stream = client.start(b"/a%20b?c=d", (b"cookie", b"x=1"), (b"cookie", b"y=2"), method=b"POST", end=False)
        client.h2.send_data(stream, b"body", end_stream=True)
        client.flush()
        client.finish(stream)
        assert (client.heads[stream][b":status"], client.bodies[stream]) == (b"201", b"<body>")
        status, body = client.get(b"/raise")
        assert status == 500
        assert b"secret" not in body
    environ = seen[0]
    assert environ["SERVER_PROTOCOL"] == "HTTP/2"
    assert (environ["REQUEST_METHOD"], environ["PATH_INFO"], environ["QUERY_STRING"]) == ("POST", "/a b", "c=d")
    assert (environ["HTTP_HOST"], environ["HTTP_COOKIE"]) == ("a", "x=1; y=2")
    assert not [key for key in environ if ":" in key]


def test_the_scope(engine):
    """ASGI: HTTP/2's pseudo fields do not appear, and the authority is the Host, in the first place."""
    scopes = []

    async def app(scope, receive, send):
        scopes.append(scope)
        await answer(send)

    with (
        asgi(app, http2_engine=engine, forwarded_allow_from=("127.0.0.1",)) as served,
        H2Client(served.running.address) as client,
    ):
        fields = ((b"x-forwarded-for", b"203.0.113.9"), (b"x-forwarded-proto", b"https"), (b"x-a", b"1"))
        assert client.get(b"/a%20b?c=d", *fields) == (200, b"")
    (scope,) = scopes
    assert (scope["type"], scope["http_version"], scope["method"], scope["scheme"]) == ("http", "2", "GET", "https")
    assert (scope["path"], scope["raw_path"], scope["query_string"]) == ("/a b", b"/a%20b", b"c=d")
    assert scope["headers"][0] == (b"host", b"a")
    assert (b"x-a", b"1") in [tuple(pair) for pair in scope["headers"]]
    assert scope["client"] == ("203.0.113.9", 0)
