"""HTTP hooks over sockets: for every kind of application, and every kind of answer."""

import asyncio
import contextvars
import socket
import struct
import threading

import pytest

from hornbeamd.apps.hooks import Hooks
from tests.support.applications import answer, begin, head, part, site
from tests.support.h2client import H2Client
from tests.support.waiting import wait_until
from tests.support.websocket import TEXT, RawWebSocket, handshake, server_frames

PREFIXES = ("/asgi", "/wsgi", "/files/a.txt", "/nowhere")


async def asgi_app(scope, receive, send):
    if scope["path"].endswith("/raise"):
        raise RuntimeError("secret")
    if scope["path"].endswith("/half"):
        await begin(send, 200)
        await part(send, b"half")
        raise RuntimeError("secret")
    fields = dict(scope["headers"])
    await begin(send, 200, [(b"x-app", b"1")])
    await part(send, fields.get(b"x-user", b"nobody"))
    await part(send, b"", more_body=False)


def wsgi_app(environ, start_response):
    if environ["PATH_INFO"] == "/raise":
        raise RuntimeError("secret")
    start_response("200 OK", [("Content-Type", "text/plain"), ("X-App", "1")])
    if environ["PATH_INFO"] == "/half":
        return half()
    return iter([environ.get("HTTP_X_USER", "nobody").encode(), b""])


def half():
    yield b"half"
    raise RuntimeError("secret")


@pytest.fixture
def serve(tmp_path):
    (tmp_path / "a.txt").write_text("file")

    def serve(asgi=asgi_app, wsgi=wsgi_app, **given):
        options = {name: given.pop(name) for name in list(given) if not name.startswith("on_")}
        return site({"/asgi": asgi, "/wsgi": wsgi, "/files": tmp_path}, Hooks(**given), **options)

    return serve


def test_a_hook_changes_the_headers_that_reach_the_application(serve):
    def on_request(request):
        request.headers.remove("X-User")
        if request.headers.get("x-name"):
            request.headers.set("X-User", request.headers.get("X-Name"))

    with serve(on_request=on_request) as running:
        for prefix in ("/asgi", "/wsgi"):
            for name in ("alice", "bob", "alice"):
                assert running.get(prefix, f"X-Name: {name}", "X-User: root").body.decode() == name
            assert running.get(prefix, "X-User: root").body == b"nobody"


@pytest.mark.parametrize("target", PREFIXES)
def test_a_hook_answers_and_stops_the_request(serve, target):
    def on_request(request):
        if request.headers.get("authorization") != "yes":
            return 401, [("WWW-Authenticate", "Basic")], "who are you"
        return None

    with serve(on_request=on_request) as running:
        response = running.get(target)
        assert (response.status, response.body) == (401, b"who are you")
        assert response.header(b"www-authenticate") == b"Basic"
        assert running.get(target, "Authorization: yes").status == (404 if target == "/nowhere" else 200)
        assert running.get(target, method="HEAD").status == 401


@pytest.mark.parametrize("target", PREFIXES)
@pytest.mark.parametrize("error", [RuntimeError("secret"), SystemExit(3), KeyError("secret")])
def test_a_hook_that_raises_stops_the_request_with_500(serve, target, error):
    called = []

    async def asgi(scope, receive, send):
        called.append("asgi")

    def wsgi(environ, start_response):
        called.append("wsgi")

    def on_request(request):
        raise error

    with serve(asgi, wsgi, on_request=on_request) as running:
        response = running.get(target)
        record = running.logs.wait_for("hook on_request raised")
    assert (response.status, response.body) == (500, b"Internal Server Error\n")
    assert record.fields["request"].encode() == response.header(b"x-request-id")
    assert called == []


@pytest.mark.parametrize("given", [True, "no", (401, [], None), (99, [], b""), (200, [("a b", "c")], b"")])
@pytest.mark.parametrize("target", PREFIXES)
def test_a_hook_that_returns_no_answer_stops_the_request_with_500(serve, target, given):
    with serve(on_request=lambda request: given) as running:
        assert running.get(target).status == 500


@pytest.mark.parametrize("target", ["/asgi", "/files/a.txt", "/nowhere"])
def test_coroutine_functions_are_awaited_in_the_loop(serve, target):
    async def on_request(request):
        await asyncio.sleep(0)
        if request.headers.get("x-fail"):
            raise RuntimeError("secret")
        return (403, (), b"no") if request.headers.get("x-stop") else None

    with serve(on_request=on_request) as running:
        assert running.get(target).status == (404 if target == "/nowhere" else 200)
        assert running.get(target, "X-Stop: 1").status == 403
        assert running.get(target, "X-Fail: 1").status == 500


def test_a_coroutine_in_a_thread_stops_the_request(serve):
    """At boot a coroutine function is refused there; a plain one may still return a coroutine."""

    async def later():
        return None

    made = []

    def on_request(request):
        made.append(later())
        return made[-1]

    with serve(on_request=on_request) as running:
        assert running.get("/wsgi").status == 500
    made[0].close()


def test_a_hook_that_takes_too_long_is_cancelled(serve):
    cancelled = threading.Event()

    async def on_request(request):
        try:
            await asyncio.sleep(60)
        finally:
            cancelled.set()

    with serve(on_request=on_request, timeout=0.1) as running:
        assert running.get("/asgi").status == 504
        assert cancelled.wait(5)


def test_a_client_that_goes_while_a_hook_is_asked_reaches_no_application(serve):
    called, waiting = [], []

    async def on_request(request):
        if request.path == "/asgi/first":
            waiting.append(asyncio.Event())
            await waiting[0].wait()

    async def asgi(scope, receive, send):
        called.append(scope["path"])
        await answer(send)

    with serve(asgi, on_request=on_request) as running:
        with running.client() as client:
            client.send(head("/asgi/first"))
            wait_until(lambda: waiting)
            client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # a reset
        wait_until(lambda: not running.running.server.connections)
        running.running.call(waiting[0].set)
        assert running.get("/asgi/second").status == 200
    assert called == ["/asgi/second"]


def test_a_hook_that_is_asked_at_the_end_is_cancelled(serve):
    asked, cancelled = threading.Event(), []

    async def on_request(request):
        asked.set()
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.append(request.path)

    with serve(on_request=on_request) as running:
        client = running.client()
        client.send(head("/asgi"))
        assert asked.wait(5)
    client.close()
    assert cancelled == ["/asgi"]


def test_context_variables_of_a_hook_are_the_applications_and_no_other_requests(serve):
    user = contextvars.ContextVar("user", default="nobody")

    def on_request(request):
        if request.headers.get("x-name"):
            user.set(request.headers.get("x-name"))

    async def asgi(scope, receive, send):
        await answer(send, user.get().encode())

    def wsgi(environ, start_response):
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [user.get().encode()]

    with serve(asgi, wsgi, threads=1, on_request=on_request) as running, running.client() as client:
        for prefix in ("/asgi", "/wsgi"):
            bodies = [
                client.request(f"GET {prefix} HTTP/1.1\r\nHost: a\r\n{name}\r\n".encode()).body
                for name in ("X-Name: a\r\n", "", "X-Name: b\r\n", "")
            ]
            assert bodies == [b"a", b"nobody", b"b", b"nobody"]


@pytest.mark.parametrize(
    ("target", "mount"),
    [
        ("/asgi", "/asgi"),
        ("/wsgi/x", "/wsgi"),
        ("/files/a.txt", "/files"),
        ("/fil%65s/a.txt", "/files"),
        ("/files/../wsgi", "/files"),
        ("/files%2F..%2Fwsgi", "none"),
        ("//files/a.txt", "none"),
    ],
)
def test_a_hook_knows_which_mount_serves(serve, target, mount):
    """By the path alone it could be deceived."""
    with serve(on_request=lambda request: (200, (), str(request.mount).lower())) as running:
        assert running.get(target).body.decode() == mount


# --- on_response ---


def on_response(request, response):
    response.headers.set("X-Seen", f"{request.path} {response.status}")
    response.headers.remove("X-App")
    if response.status == 404:
        response.status = 410


@pytest.mark.parametrize(
    ("target", "method", "status", "before"),
    [
        ("/asgi", "GET", 200, 200),
        ("/asgi/raise", "GET", 500, 500),
        ("/wsgi", "GET", 200, 200),
        ("/wsgi", "HEAD", 200, 200),
        ("/wsgi/raise", "GET", 500, 500),
        ("/files/a.txt", "GET", 200, 200),
        ("/files/b.txt", "GET", 410, 404),
        ("/files/a.txt", "PUT", 405, 405),
        ("/nowhere", "GET", 410, 404),
    ],
)
def test_every_kind_of_answer_is_seen(serve, target, method, status, before):
    with serve(on_response=on_response) as running:
        response = running.get(target, method=method)
    assert (response.status, response.header(b"x-seen")) == (status, f"{target} {before}".encode())
    assert response.header(b"x-app") is None


def test_what_is_answered_in_place_of_the_application_is_seen(serve):
    release = threading.Event()

    def slow(environ, start_response):
        release.wait(5)
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b""]

    with serve(wsgi=slow, on_response=on_response, timeout=0.1) as running:
        response = running.get("/wsgi/slow")
        release.set()
        assert (response.status, response.header(b"x-seen")) == (504, b"/wsgi/slow 504")
    with serve(on_response=on_response, on_request=lambda request: (403, (), b"")) as running:
        assert running.get("/asgi").header(b"x-seen") == b"/asgi 403"


def test_the_answer_to_one_request_too_many_is_seen(serve):
    entered, release = threading.Event(), threading.Event()

    def slow(environ, start_response):
        entered.set()
        release.wait(5)
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b""]

    with serve(wsgi=slow, on_response=on_response, max_concurrent=1) as running, running.client() as first:
        first.send(b"GET /wsgi HTTP/1.1\r\nHost: a\r\n\r\n")
        assert entered.wait(5)
        response = running.get("/asgi")
        release.set()
        assert (response.status, response.header(b"x-seen")) == (503, b"/asgi 503")
        assert first.read_response().status == 200


@pytest.mark.parametrize("target", ["/asgi", "/asgi/raise", "/wsgi", "/wsgi/raise", "/files/a.txt", "/nowhere"])
def test_when_on_response_raises_nothing_of_the_answer_is_sent(serve, target):
    def raises(request, response):
        raise RuntimeError("secret")

    with serve(on_response=raises) as running:
        response = running.get(target)
        assert running.logs.named("hook on_response raised")
    assert (response.status, response.body) == (500, b"Internal Server Error\n")
    assert response.header(b"x-app") is None


def test_an_application_that_tries_again_gets_no_other_answer_through(serve):
    """Frameworks answer an error themselves; where the hook has raised, that is not sent either."""

    async def asgi(scope, receive, send):
        try:
            await answer(send, b"first", headers=[(b"x-app", b"1")])
        except Exception:
            await answer(send, b"second", headers=[(b"x-app", b"1")])

    calls = []

    def raises_once(request, response):
        calls.append(response.status)
        if len(calls) == 1:
            raise RuntimeError("secret")

    with serve(asgi, on_response=raises_once) as running:
        response = running.get("/asgi")
    assert (response.status, response.body, calls) == (500, b"Internal Server Error\n", [200])


@pytest.mark.parametrize("target", PREFIXES)
def test_a_hooks_own_answer_is_not_sent_either_when_on_response_raises(serve, target):
    def raises(request, response):
        raise RuntimeError("secret")

    with serve(on_request=lambda request: (200, (), b"mine"), on_response=raises) as running:
        response = running.get(target)
    assert (response.status, response.body) == (500, b"Internal Server Error\n")


@pytest.mark.parametrize("status", ["200", 99, 600, None])
def test_a_status_that_is_none_is_500(serve, status):
    def on_response(request, response):
        response.status = status

    with serve(on_response=on_response) as running:
        assert running.get("/asgi").status == 500


@pytest.mark.parametrize("target", PREFIXES)
def test_on_response_changes_what_it_is_given_and_returns_nothing(serve, target):
    """A coroutine that nobody awaits would change nothing, and look as if it did."""

    async def later():
        return None

    made = []

    def on_response(request, response):
        made.append(later())
        return made[-1]

    with serve(on_response=on_response) as running:
        assert running.get(target).status == 500
    for coroutine in made:
        coroutine.close()
    with serve(on_response=lambda request, response: (200, (), b"mine")) as running:
        assert running.get(target).status == 500


def test_what_one_hook_knows_the_next_can_tell(serve):
    def on_request(request):
        request.state["user"] = "alice"

    def on_response(request, response):
        response.headers.set("x-user", request.state["user"])

    with serve(on_request=on_request, on_response=on_response) as running:
        for target in PREFIXES:
            assert running.get(target).header(b"x-user") == b"alice"


def test_an_application_that_sends_no_bytes_is_told_so_as_without_hooks(serve):
    async def asgi(scope, receive, send):
        await begin(send, 200, [("x-a", "1")])

    with serve(asgi, on_response=on_response) as running:
        assert running.get("/asgi").status == 500
        assert "not a pair of bytes" in str(running.logs.wait_for("application raised").exc_info[1])


# --- on_error ---


@pytest.mark.parametrize("target", ["/asgi", "/wsgi"])
def test_on_error_answers_in_place_of_the_500(serve, target):
    def on_error(error, request):
        return 503, [("x-error", type(error).__name__)], f"sorry, {request.path}"

    with serve(on_error=on_error) as running:
        response = running.get(f"{target}/raise")
        assert (response.status, response.body) == (503, f"sorry, {target}/raise".encode())
        assert response.header(b"x-error") == b"RuntimeError"
        assert running.logs.named("application raised RuntimeError")


@pytest.mark.parametrize("target", ["/asgi", "/wsgi"])
@pytest.mark.parametrize("given", [None, RuntimeError("secret"), True])
def test_without_an_answer_of_on_error_it_is_the_plain_500(serve, target, given):
    def on_error(error, request):
        if isinstance(given, Exception):
            raise given
        return given

    with serve(on_error=on_error) as running:
        response = running.get(f"{target}/raise")
    assert (response.status, response.body) == (500, b"Internal Server Error\n")


@pytest.mark.parametrize("target", ["/asgi", "/wsgi"])
def test_on_error_is_not_asked_once_the_answer_has_begun(serve, target):
    asked = []
    with serve(on_error=lambda error, request: asked.append(error)) as running:
        with running.client() as client:
            client.send(f"GET {target}/half HTTP/1.1\r\nHost: a\r\n\r\n".encode())
            assert client.read_to_end().endswith(b"4\r\nhalf\r\n")
        running.logs.wait_for("application raised RuntimeError")
    assert asked == []


def test_on_error_may_be_a_coroutine_function(serve):
    async def on_error(error, request):
        await asyncio.sleep(0)
        return 503, (), "sorry"

    with serve(on_error=on_error) as running:
        assert running.get("/asgi/raise").body == b"sorry"


def test_hooks_see_streams_of_http_2(serve):
    def on_request(request):
        return (401, (), b"no") if request.headers.get("x-stop") else None

    with serve(on_request=on_request, on_response=on_response) as running, H2Client(running.running.address) as client:
        assert client.get(b"/asgi")[0] == 200
        assert client.get(b"/asgi", (b"x-stop", b"1")) == (401, b"no")
        assert client.get(b"/nowhere")[0] == 410


# --- WebSockets ---


async def chat(scope, receive, send):
    assert scope["type"] == "websocket"
    await receive()
    if scope["path"].endswith("/raise"):
        raise RuntimeError("secret")
    if scope["path"].endswith("/deny"):
        await send({"type": "websocket.close"})
        return
    await send({"type": "websocket.accept"})
    if scope["path"].endswith("/late"):
        raise RuntimeError("secret")
    await send({"type": "websocket.send", "text": dict(scope["headers"])[b"x-user"].decode()})


def websocket_hook(request):
    assert request.websocket
    if request.headers.get("x-fail"):
        raise RuntimeError("secret")
    if request.headers.get("x-stop"):
        return 401, [("www-authenticate", "Basic")], "who are you"
    request.headers.set("x-user", "alice")
    return None


async def websocket_hook_later(request):
    await asyncio.sleep(0)
    return websocket_hook(request)


@pytest.mark.parametrize("hook", [websocket_hook, websocket_hook_later])
def test_hooks_see_websocket_handshakes(serve, hook):
    """What is refused is an HTTP answer in place of the 101 (RFC 6455, section 4.2.2)."""
    with serve(chat, on_request=hook, on_response=on_response) as running:
        with RawWebSocket(running.running.address) as client:
            assert client.open("/asgi").header(b"x-seen") is None
            assert client.read_message() == "alice"
        for field, status in (("X-Stop: 1", 401), ("X-Fail: 1", 500)):
            with RawWebSocket(running.running.address) as client:
                response = client.request(handshake("/asgi", field))
                assert (response.status, response.header(b"x-seen")) == (status, f"/asgi {status}".encode())


def test_hooks_see_websockets_on_streams(serve):
    """RFC 8441, section 5: a CONNECT is a request as others."""
    version = (b"sec-websocket-version", b"13")
    with (
        serve(chat, on_request=websocket_hook, on_response=on_response) as running,
        H2Client(running.running.address) as client,
    ):
        for field, status in ((b"x-stop", b"401"), (b"x-fail", b"500")):
            stream = client.connect(b"/asgi", version, (field, b"1"))
            client.finish(stream)
            assert client.heads[stream][b":status"] == status
            assert client.heads[stream][b"x-seen"] == b"/asgi " + status
        stream = client.connect(b"/asgi", version)
        while not client.bodies[stream]:
            client.read()
        assert (client.heads[stream][b":status"], b"x-seen" in client.heads[stream]) == (b"200", False)
        assert next(server_frames(bytes(client.bodies[stream])[:7])) == (TEXT, b"alice")


def test_a_denied_or_failed_handshake_is_an_answer_as_others(serve):
    def on_error(error, request):
        return 503, (), "sorry"

    with serve(chat, on_request=websocket_hook, on_response=on_response, on_error=on_error) as running:
        for target, status, body in (("/asgi/deny", 403, b"Forbidden\n"), ("/asgi/raise", 503, b"sorry")):
            with RawWebSocket(running.running.address) as client:
                response = client.request(handshake(target))
                assert (response.status, response.body) == (status, body)
                assert response.header(b"x-seen") == f"{target} {status}".encode()
        with RawWebSocket(running.running.address) as client:
            client.open("/asgi/late")
            assert client.read_close()[0] == 1011
