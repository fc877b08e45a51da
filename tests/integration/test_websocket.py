"""WebSocket over HTTP/1.1: the ASGI side (ASGI WebSocket specification 2.5), and what happens on the wire."""

from __future__ import annotations

import asyncio

import pytest

from hornbeamd.apps.hooks import Hooks
from tests.support.applications import PARSERS, answer, asgi, begin, head, part, site, wsgi
from tests.support.raw import RawClient
from tests.support.waiting import wait_until
from tests.support.websocket import (
    CLOSE,
    KEY,
    PING,
    PONG,
    TEXT,
    RawWebSocket,
    close_frame,
    frame,
    handshake,
)

both_parsers = pytest.mark.parametrize("parser", PARSERS)
both_loops = pytest.mark.parametrize("loop", ["uvloop", "asyncio"])


async def echo(scope, receive, send):
    assert scope["type"] == "websocket"
    while True:
        message = await receive()
        if message["type"] == "websocket.connect":
            await send({"type": "websocket.accept"})
        elif message["type"] == "websocket.receive":
            await send({**message, "type": "websocket.send"})
        else:
            return


def websocket(served, deadline: float = 5.0) -> RawWebSocket:
    return RawWebSocket(served.running.address, deadline)


class Recorded:
    """An application that notes what it receives after it has accepted."""

    def __init__(self) -> None:
        self.events: list[dict] = []

    async def __call__(self, scope, receive, send):
        assert (await receive())["type"] == "websocket.connect"
        await send({"type": "websocket.accept"})
        while not self.events or self.events[-1]["type"] != "websocket.disconnect":
            self.events.append(dict(await receive()))

    @property
    def disconnect(self) -> dict:
        wait_until(lambda: self.events and self.events[-1]["type"] == "websocket.disconnect")
        return self.events[-1]


# --- messages ---


@both_loops
@both_parsers
def test_echo(parser: str, loop: str):
    with asgi(echo, loop, http_parser=parser) as served, websocket(served) as client:
        client.open()
        for size in (0, 1, 64, 125, 126, 65535, 65536, 300_000):
            client.send(frame(TEXT, b"x" * size))
            assert client.read_message() == "x" * size
        client.send(frame(2, b"\x00\xff"))
        assert client.read_message() == b"\x00\xff"
        client.send(close_frame(1000))
        assert client.read_close() == (1000, "")
    assert not served.logs.named("raised")


@both_loops
@both_parsers
def test_frames_right_behind_the_handshake(parser: str, loop: str):
    with asgi(echo, loop, http_parser=parser) as served, websocket(served) as client:
        client.open(behind=frame(TEXT, b"one") + frame(PING, b"p") + frame(TEXT, b"two"))
        found = [client.read_frame() for _ in range(3)]
        assert sorted(found) == sorted([(TEXT, b"one"), (PONG, b"p"), (TEXT, b"two")])
        client.send(frame(TEXT, b"three"))
        assert client.read_message() == "three"


@both_loops
def test_bytes_one_by_one(loop: str):
    with asgi(echo, loop) as served, websocket(served) as client:
        client.send(handshake() + frame(TEXT, b"hello"), pieces=1)
        assert client.read_interim().status == 101
        assert client.read_message() == "hello"
        client.send(close_frame(), pieces=1)
        assert client.read_close() == (1005, "")


@both_loops
@both_parsers
def test_a_handshake_that_is_pipelined_behind_a_request(parser: str, loop: str):
    async def app(scope, receive, send):
        if scope["type"] == "http":
            await answer(send, b"first")
        else:
            await echo(scope, receive, send)

    with asgi(app, loop, http_parser=parser) as served, websocket(served) as client:
        client.send(head() + handshake() + frame(TEXT, b"hello"))
        assert client.read_response().body == b"first"
        assert client.read_interim().status == 101
        assert client.read_message() == "hello"


# --- the scope ---


@both_parsers
def test_the_scope(parser: str):
    scopes = []

    async def app(scope, receive, send):
        scopes.append(scope)
        await echo(scope, receive, send)

    with asgi(app, http_parser=parser, root_path="/app") as served, websocket(served) as client:
        client.open("/caf%C3%A9?x=1", "Sec-WebSocket-Protocol: chat, v2", "Origin: http://a")
    (scope,) = scopes
    assert {key: scope[key] for key in scope if key not in ("client", "server", "headers")} == {
        "type": "websocket",
        "asgi": {"version": "3.0", "spec_version": "2.5"},
        "http_version": "1.1",
        "scheme": "ws",
        "path": "/app/café",
        "raw_path": b"/app/caf%C3%A9",
        "query_string": b"x=1",
        "root_path": "/app",
        "subprotocols": ["chat", "v2"],
        "state": {},
        "extensions": {"websocket.http.response": {}},
    }
    assert (b"origin", b"http://a") in scope["headers"]
    assert (b"sec-websocket-key", KEY.encode()) in scope["headers"]


# --- accepting ---


def test_accepting_with_a_subprotocol_and_headers():
    async def app(scope, receive, send):
        await receive()
        headers = [(b"set-cookie", b"a=1"), (b"set-cookie", b"b=2"), (b"date", b"now")]
        await send({"type": "websocket.accept", "subprotocol": "v2", "headers": headers})
        await receive()

    with asgi(app) as served, websocket(served) as client:
        response = client.open("/", "Sec-WebSocket-Protocol: chat, v2")
        assert response.header(b"upgrade") == b"websocket"
        assert response.header(b"connection") == b"Upgrade"
        assert response.header(b"sec-websocket-protocol") == b"v2"
        assert response.values(b"set-cookie") == [b"a=1", b"b=2"]
        assert response.header(b"date") == b"now"
        assert response.header(b"sec-websocket-extensions") is None


@both_loops
def test_nothing_is_sent_before_the_application_has_decided(loop: str):
    decide = asyncio.Event()

    async def app(scope, receive, send):
        await receive()
        await decide.wait()
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.send", "text": "hi"})
        await receive()

    with asgi(app, loop) as served, websocket(served) as client:
        client.send(handshake() + frame(TEXT, b"early"))
        wait_until(lambda: served.running.server.in_flight == 1)
        client.socket.settimeout(0.1)
        with pytest.raises(TimeoutError):
            client.socket.recv(1)
        served.running.call(decide.set)
        assert client.read_interim().status == 101
        assert client.read_message() == "hi"


@pytest.mark.parametrize(
    "accept",
    [
        {"subprotocol": "soap"},
        {"headers": [(b"x y", b"1")]},
        {"headers": [(b"x", b"a\r\nb: c")]},
        {"headers": [(b"Sec-WebSocket-Accept", b"x")]},
        {"headers": [(b"content-length", b"5")]},
    ],
)
def test_an_acceptance_that_is_not_allowed_is_500(accept: dict):
    async def app(scope, receive, send):
        await receive()
        await send({"type": "websocket.accept", **accept})

    with asgi(app) as served, websocket(served) as client:
        client.send(handshake("/", "Sec-WebSocket-Protocol: chat"))
        assert client.read_response().status == 500
        assert served.logs.named("application raised")


# --- hooks and mounts ---


def test_hooks_may_refuse_a_websocket_but_do_not_touch_its_acceptance():
    def on_request(request):
        return (401, {}, b"") if request.headers.get("x-user") is None else None

    def on_response(request, response):
        response.headers.set("X-Seen", str(response.status))

    with site({"/ws": echo}, Hooks(on_request=on_request, on_response=on_response)) as served:
        with websocket(served) as client:
            assert client.open("/ws", "X-User: alice").header(b"x-seen") is None
            client.send(frame(TEXT, b"hi"))
            assert client.read_message() == "hi"
        with websocket(served) as client:
            client.send(handshake("/ws"))
            response = client.read_response()
            assert (response.status, response.header(b"x-seen")) == (401, b"401")


def test_a_websocket_in_a_mount():
    scopes = []

    async def app(scope, receive, send):
        scopes.append(scope)
        await echo(scope, receive, send)

    with site({"/one": app, "/two": echo}) as served, websocket(served) as client:
        client.open("/one/room")
        assert (scopes[0]["path"], scopes[0]["root_path"]) == ("/one/room", "/one")
        with websocket(served) as nowhere:
            nowhere.send(handshake("/three"))
            assert nowhere.read_response().status == 404


# --- refusing ---


@both_parsers
def test_closing_before_accepting_is_403(parser: str):
    seen = []

    async def app(scope, receive, send):
        await receive()
        await send({"type": "websocket.close", "code": 4000})
        seen.append(await receive())

    with asgi(app, http_parser=parser) as served, websocket(served) as client:
        client.send(handshake())
        assert client.read_response().status == 403
        wait_until(lambda: seen)
        assert seen == [{"type": "websocket.disconnect", "code": 1006, "reason": ""}]
        # It was a request like any other: the connection goes on.
        client.send(handshake())
        assert client.read_response().status == 403


@both_loops
def test_a_denial_response(loop: str):
    """ASGI WebSocket spec, "Websocket Denial Response"."""

    async def app(scope, receive, send):
        await receive()
        headers = [(b"www-authenticate", b"Basic")]
        await send({"type": "websocket.http.response.start", "status": 401, "headers": headers})
        for _ in range(100):
            await send({"type": "websocket.http.response.body", "body": b"x" * 10000, "more_body": True})
        await send({"type": "websocket.http.response.body", "body": b"!"})

    with asgi(app, loop) as served, websocket(served) as client:
        client.send(handshake())
        response = client.read_response()
        assert response.status == 401
        assert response.header(b"www-authenticate") == b"Basic"
        assert response.body == b"x" * 1_000_000 + b"!"


def test_an_application_that_raises_or_returns_before_it_decides_is_500():
    async def app(scope, receive, send):
        await receive()
        if scope["path"] == "/raise":
            raise ValueError("secret")

    with asgi(app) as served:
        for target in ("/raise", "/return"):
            with websocket(served) as client:
                client.send(handshake(target))
                response = client.read_response()
                assert response.status == 500
                assert b"secret" not in response.body
        assert served.logs.named("application raised ValueError")
        assert served.logs.named("application returned without a response")


def test_an_application_that_does_not_decide_is_504():
    cancelled = []

    async def app(scope, receive, send):
        try:
            await receive()
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.append(True)
            raise

    with asgi(app, timeout=0.1) as served, websocket(served) as client:
        client.send(handshake())
        assert client.read_response().status == 504
        wait_until(lambda: cancelled)


def test_a_client_that_goes_before_the_decision():
    seen = []

    async def app(scope, receive, send):
        await receive()
        seen.append(await receive())
        try:
            await send({"type": "websocket.accept"})
        except OSError as error:
            seen.append(error)

    with asgi(app) as served:
        with websocket(served) as client:
            client.send(handshake())
            wait_until(lambda: served.running.server.in_flight == 1)
        wait_until(lambda: len(seen) == 2)
        assert seen[0] == {"type": "websocket.disconnect", "code": 1006, "reason": ""}
        wait_until(lambda: served.running.server.in_flight == 0)


@both_parsers
def test_a_wsgi_application_serves_it_as_any_request(parser: str):
    def app(environ, start_response):
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [environ["REQUEST_METHOD"].encode()]

    with wsgi(app, http_parser=parser) as served, websocket(served) as client:
        client.send(handshake())
        assert client.read_response().body == b"GET"
        assert client.request(head()).body == b"GET"


# --- the end ---


@pytest.mark.parametrize("code", [1000, 4000])
def test_the_application_closes(code: int):
    seen = []

    async def app(scope, receive, send):
        await receive()
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.close", "code": code, "reason": "bye"})
        seen.append(await receive())
        for message in ({"type": "websocket.send", "text": "x"}, {"type": "websocket.close"}):
            try:
                await send(message)
            except OSError as error:
                seen.append(type(error).__mro__[-3])

    with asgi(app) as served, websocket(served) as client:
        client.open()
        opcode, payload = client.read_frame()
        assert (opcode, payload) == (CLOSE, code.to_bytes(2, "big") + b"bye")
        client.send(close_frame(code))
        client.expect_end()
        wait_until(lambda: len(seen) == 3)
        assert seen[0] == {"type": "websocket.disconnect", "code": code, "reason": "bye"}
    assert not served.logs.named("raised")


@pytest.mark.parametrize(
    ("sent", "code", "reason"),
    [(close_frame(), 1005, ""), (close_frame(1001, "bye"), 1001, "bye"), (close_frame(4999), 4999, "")],
)
def test_the_client_closes(sent: bytes, code: int, reason: str):
    app = Recorded()
    with asgi(app) as served, websocket(served) as client:
        client.open(behind=frame(TEXT, b"last") + sent)
        opcode, _ = client.read_frame()
        assert opcode == CLOSE
        client.expect_end()
        assert app.disconnect == {"type": "websocket.disconnect", "code": code, "reason": reason}
        assert app.events[0] == {"type": "websocket.receive", "text": "last"}
        wait_until(lambda: served.running.server.in_flight == 0)


@both_loops
@pytest.mark.parametrize("how", ["close", "reset", "half-close"])
def test_a_connection_that_is_lost_is_1006(loop: str, how: str):
    app = Recorded()
    with asgi(app, loop) as served, websocket(served) as client:
        client.open(behind=frame(TEXT, b"last"))
        wait_until(lambda: app.events)
        if how == "half-close":
            client.half_close()
            client.expect_end()
        else:
            client.socket.setsockopt(1, 13, b"\x01\0\0\0\0\0\0\0" if how == "reset" else b"\0" * 8)
            client.close()
        assert app.disconnect == {"type": "websocket.disconnect", "code": 1006, "reason": ""}
        wait_until(lambda: not served.running.server.connections)
        assert served.running.server.in_flight == 0
        assert served.running.server.requests == 1


def test_an_application_that_returns_closes_with_1000():
    async def app(scope, receive, send):
        await receive()
        await send({"type": "websocket.accept"})

    with asgi(app) as served, websocket(served) as client:
        client.open()
        assert client.read_close() == (1000, "")


def test_an_application_that_raises_closes_with_1011_and_says_nothing():
    async def app(scope, receive, send):
        await receive()
        await send({"type": "websocket.accept"})
        raise ValueError("secret")

    with asgi(app) as served, websocket(served) as client:
        client.open()
        assert client.read_close() == (1011, "")
        assert served.logs.wait_for("application raised ValueError")


def test_an_application_that_sends_after_the_end_may_let_the_error_through():
    """ASGI spec 2.4: send raises an OSError. That is no error of the application."""

    async def app(scope, receive, send):
        await receive()
        await send({"type": "websocket.accept"})
        while (await receive())["type"] != "websocket.disconnect":
            pass
        await send({"type": "websocket.send", "text": "x"})

    with asgi(app) as served:
        with websocket(served) as client:
            client.open(behind=close_frame(1000))
            assert client.read_close() == (1000, "")
        wait_until(lambda: not served.running.server.handler.calls)
        assert not served.logs.named("raised")


@pytest.mark.parametrize(
    "message",
    [
        {"type": "websocket.send"},
        {"type": "websocket.send", "text": b"x"},
        {"type": "websocket.send", "bytes": "x"},
        {"type": "websocket.accept"},
        {"type": "http.response.body"},
        {"type": "websocket.close", "code": 1005},
    ],
)
def test_messages_that_are_not_allowed(message: dict):
    async def app(scope, receive, send):
        await receive()
        await send({"type": "websocket.accept"})
        await send(message)

    with asgi(app) as served, websocket(served) as client:
        client.open()
        assert client.read_close() == (1011, "")
        assert served.logs.wait_for("application raised ResponseError")


# --- the server's part ---


@both_loops
def test_the_exchange_is_in_hand_until_the_session_ends(loop: str):
    with asgi(echo, loop) as served:
        with websocket(served) as client:
            client.open()
            server = served.running.server
            assert (server.in_flight, len(server.connections), server.requests) == (1, 1, 0)
        wait_until(lambda: not server.connections)
        assert (server.in_flight, server.requests) == (0, 1)


def test_a_draining_server_closes_with_1012():
    app = Recorded()
    with asgi(app) as served, websocket(served) as client:
        client.open()
        drained = served.running.call(lambda: asyncio.ensure_future(served.running.server.drain(5.0, 0.1)))
        assert client.read_frame() == (CLOSE, (1012).to_bytes(2, "big") + b"service restart")
        client.send(close_frame(1012))
        client.expect_end()
        assert app.disconnect == {"type": "websocket.disconnect", "code": 1012, "reason": "service restart"}
        wait_until(drained.done)
        assert drained.result() is True


def test_what_is_accepted_while_the_server_drains_is_closed_as_well():
    decide = asyncio.Event()

    async def app(scope, receive, send):
        await receive()
        await decide.wait()
        await send({"type": "websocket.accept"})
        await receive()

    with asgi(app) as served, websocket(served) as client:
        client.send(handshake())
        wait_until(lambda: served.running.server.in_flight == 1)
        drained = served.running.call(lambda: asyncio.ensure_future(served.running.server.drain(5.0, 0.1)))
        served.running.call(decide.set)
        assert client.read_interim().status == 101
        assert client.read_close() == (1012, "service restart")
        wait_until(drained.done)
        assert drained.result() is True


def test_the_applications_of_a_server_that_stops_are_cancelled():
    cancelled = []

    async def app(scope, receive, send):
        await receive()
        await send({"type": "websocket.accept"})
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.append(True)
            raise

    with asgi(app) as served, websocket(served) as client:
        client.open()
    assert cancelled == [True]
    assert not served.logs.named("cancelled itself")


# --- attack inputs ---


@both_parsers
@pytest.mark.parametrize(
    ("request_", "status"),
    [
        pytest.param(handshake("/", "Sec-WebSocket-Protocol: \x80\xff"), 400, id="subprotocol"),
        pytest.param(handshake(key=None), 400, id="no key"),
        pytest.param(handshake(key="c2hvcnQ="), 400, id="short key"),
        pytest.param(handshake(version="12"), 426, id="version 12"),
        pytest.param(handshake(version=None), 426, id="no version"),
        pytest.param(handshake("/", "Content-Length: 5") + b"hello", 400, id="body"),
        pytest.param(handshake("/", "Transfer-Encoding: chunked") + b"0\r\n\r\n", 400, id="chunked body"),
        pytest.param(handshake().replace(b"GET", b"POST"), 400, id="POST"),
    ],
)
def test_a_bad_handshake_is_refused(request_: bytes, status: int, parser: str):
    calls = []

    async def app(scope, receive, send):
        calls.append(scope)

    with asgi(app, http_parser=parser) as served:
        with served.client() as client:
            client.send(request_ + head("/hidden"))
            response = client.read_response()
            assert response.status == status
            if status == 426:
                assert response.header(b"sec-websocket-version") == b"13"
                assert response.header(b"upgrade") == b"websocket"
                assert response.header(b"connection") == b"close, upgrade"
            client.half_close()
            client.expect_end()
        assert calls == []
        with pytest.raises(AssertionError), websocket(served) as good:  # the application returns: 500
            good.open()
        assert len(calls) == 1


@both_parsers
@pytest.mark.parametrize(
    "request_",
    [
        pytest.param(head("/", "Upgrade: h2c", "Connection: Upgrade"), id="another protocol"),
        pytest.param(handshake().replace(b"Connection: Upgrade\r\n", b""), id="no connection option"),
        pytest.param(handshake().replace(b"HTTP/1.1", b"HTTP/1.0"), id="HTTP/1.0"),
    ],
)
def test_other_upgrades_are_ignored(request_: bytes, parser: str):
    async def app(scope, receive, send):
        await answer(send, scope["type"].encode())

    with asgi(app, http_parser=parser) as served, served.client() as client:
        assert client.request(request_).body == b"http"


@both_loops
@pytest.mark.parametrize(
    ("bad", "code"),
    [
        pytest.param(frame(TEXT, b"x", mask=None), 1002, id="not masked"),
        pytest.param(frame(TEXT, b"x", rsv=4), 1002, id="reserved bit"),
        pytest.param(frame(PING, b"x" * 126), 1002, id="long ping"),
        pytest.param(frame(PING, b"x", fin=False), 1002, id="fragmented ping"),
        pytest.param(b"\x82\xff\x80" + bytes(7) + b"mask", 1002, id="length with the top bit"),
        pytest.param(b"\x82\xff" + (1 << 30).to_bytes(8, "big") + b"mask", 1009, id="a gibibyte announced"),
        pytest.param(frame(TEXT, b"ok", fin=False) + frame(0, b"\xff"), 1007, id="invalid second fragment"),
        pytest.param(frame(CLOSE, b"x"), 1002, id="half a close code"),
        pytest.param(close_frame(1005), 1002, id="close 1005"),
        pytest.param(close_frame(999), 1002, id="close 999"),
        pytest.param(close_frame(5000), 1002, id="close 5000"),
    ],
)
def test_frames_that_break_a_rule(bad: bytes, code: int, loop: str):
    """What came before is delivered, the application is told our code, nothing behind is read."""
    app = Recorded()
    with asgi(app, loop) as served, websocket(served) as client:
        client.open(behind=frame(TEXT, b"good") + bad + frame(TEXT, b"bad") * 1000)
        assert client.read_close()[0] == code
        assert app.disconnect["code"] == code
        assert app.events[:-1] == [{"type": "websocket.receive", "text": "good"}]
        client.close()
        wait_until(lambda: not served.running.server.connections)


def test_the_answer_of_a_good_message_comes_before_the_close_for_a_bad_one():
    with asgi(echo) as served, websocket(served) as client:
        client.open()
        client.send(frame(TEXT, b"good"))
        assert client.read_message() == "good"
        client.send(frame(3))
        assert client.read_close() == (1002, "protocol error")


@pytest.mark.parametrize("kind", ["text", "denial"])
def test_a_client_that_is_told_something_and_goes(kind: str):
    """The connection breaks while the application sends."""

    async def app(scope, receive, send):
        await receive()
        if kind == "text":
            await send({"type": "websocket.accept"})
            while True:
                await send({"type": "websocket.send", "text": "x" * 10000})
        await send({"type": "websocket.http.response.start", "status": 403})
        while True:
            await send({"type": "websocket.http.response.body", "body": b"x" * 10000, "more_body": True})

    with asgi(app) as served:
        with websocket(served) as client:
            client.send(handshake())
            client.read_interim()
        wait_until(lambda: not served.running.server.handler.calls)
        assert not served.logs.named("raised")


def test_requests_and_websockets_beside_each_other():
    async def app(scope, receive, send):
        if scope["type"] == "http":
            await begin(send)
            await part(send, b"plain", more_body=False)
        else:
            await echo(scope, receive, send)

    with asgi(app) as served, websocket(served) as client:
        assert RawClient.request(client, head()).body == b"plain"
        client.open()
        assert served.get().body == b"plain"
        client.send(frame(TEXT, b"x"))
        assert client.read_message() == "x"
