"""Server push (RFC 9113, section 8.4) through ASGI's ``http.response.push``."""

import contextvars

import pytest

from hornbeamd.apps.hooks import Hooks
from tests.support.applications import answer, asgi, site
from tests.support.h2client import H2Client

STYLE = {"type": "http.response.push", "path": "/style.css?v=1", "headers": [(b"accept", b"text/css")]}


def pushing(message):
    seen = []

    async def app(scope, receive, send):
        seen.append(scope)
        if "http.response.push" in scope["extensions"]:
            await send(message)
        await answer(send, scope["path"].encode())

    app.seen = seen
    return app


def test_a_response_that_was_not_asked_for(engine):
    app = pushing(STYLE)
    with asgi(app, http2_engine=engine) as served, H2Client(served.running.address) as client:
        stream = client.start(b"/page")
        client.finish(stream, 2)
        assert client.promises == {
            2: {
                b":method": b"GET",
                b":scheme": b"http",
                b":authority": b"a",
                b":path": b"/style.css?v=1",
                b"accept": b"text/css",
            }
        }
        assert (client.bodies[stream], client.bodies[2]) == (b"/page", b"/style.css")
        assert app.seen[1]["headers"] == [(b"host", b"a"), (b"accept", b"text/css")]
        # A promise is made on a stream of the client's only.
        assert "http.response.push" not in app.seen[1]["extensions"]
        assert client.get(b"/page") == (200, b"/page")


def test_a_promise_is_for_the_host_that_hooks_have_left(engine):
    app = pushing(STYLE)

    def on_request(request):
        request.headers.set("host", "b.example")

    hooked = site({"/": app}, Hooks(on_request=on_request), http2_engine=engine)
    with hooked as served, H2Client(served.running.address) as client:
        stream = client.start(b"/page", (b"user-agent", b"test"))
        client.finish(stream, 2)
        assert client.promises[2][b":authority"] == b"b.example"


def test_what_is_promised_is_served_in_no_context_of_the_one_that_promises(engine):
    name = contextvars.ContextVar("name", default="nobody")

    async def app(scope, receive, send):
        seen = name.get()
        if "http.response.push" in scope["extensions"]:
            name.set("alice")
            await send(STYLE)
        await answer(send, seen.encode())

    with asgi(app, http2_engine=engine) as served, H2Client(served.running.address) as client:
        stream = client.start(b"/page")
        client.finish(stream, 2)
        assert (client.bodies[stream], client.bodies[2]) == (b"nobody", b"nobody")


def test_a_client_that_does_not_want_it_is_not_offered_any(engine):
    app = pushing(STYLE)
    with asgi(app, http2_engine=engine) as served, H2Client(served.running.address, enable_push=0) as client:
        assert client.get() == (200, b"/")
        assert "http.response.push" not in app.seen[0]["extensions"]
        assert not client.promises


def test_http_1_has_none(engine):
    app = pushing(STYLE)
    with asgi(app, http2_engine=engine) as served:
        assert served.get().status == 200
    assert "http.response.push" not in app.seen[0]["extensions"]


def test_no_more_than_the_client_takes_at_once(engine):
    app = pushing(STYLE)
    with asgi(app, http2_engine=engine) as served, H2Client(served.running.address, max_concurrent_streams=0) as client:
        assert client.get() == (200, b"/")
        assert not client.promises


@pytest.mark.parametrize(
    "wrong",
    [
        {"path": "style.css"},
        {"path": ""},
        {"path": "/a b"},
        {"headers": [(b"connection", b"close")]},
        {"headers": [(b"content-length", b"1")]},
        {"headers": [(b"x", b"a\r\nb: c")]},
    ],
)
def test_what_no_client_could_ask_for_is_the_applications_error(engine, wrong):
    app = pushing({**STYLE, **wrong})
    with asgi(app, http2_engine=engine) as served, H2Client(served.running.address) as client:
        assert client.get()[0] == 500
        assert served.logs.wait_for("application raised ResponseError")
        assert not client.promises
