"""WebSocket over HTTP/2 (RFC 8441): the same session on a stream."""

import asyncio

import pytest

from tests.support.applications import answer, asgi, wsgi
from tests.support.h2client import H2Client
from tests.support.waiting import wait_until
from tests.support.websocket import BINARY, CLOSE, PONG, TEXT, close_frame, closing, frame, server_frames


class Tunnel:
    """A WebSocket on a stream of *client*."""

    def __init__(self, client: H2Client, path: bytes = b"/", *fields: tuple[bytes, bytes]) -> None:
        self.client = client
        self.stream = client.connect(path, (b"sec-websocket-version", b"13"), *fields)
        self.read = 0

    def head(self) -> dict[bytes, bytes]:
        while self.stream not in self.client.heads:
            assert self.client.read()
        return self.client.heads[self.stream]

    def send(self, data: bytes, end: bool = False) -> None:
        self.client.h2.send_data(self.stream, data, end_stream=end)
        self.client.flush()

    def frames(self, count: int) -> list[tuple[int, bytes]]:
        """The next *count* frames."""
        while True:
            try:
                found = list(server_frames(bytes(self.client.bodies[self.stream])))
            except (AssertionError, IndexError):
                found = []  # the last is not whole
            if len(found) >= self.read + count:
                self.read += count
                return found[self.read - count : self.read]
            assert self.client.read()


async def echo(scope, receive, send):
    if scope["type"] == "http":
        await answer(send, b"plain")
        return
    while True:
        message = await receive()
        if message["type"] == "websocket.connect":
            await send({"type": "websocket.accept"})
        elif message["type"] == "websocket.receive":
            await send({**message, "type": "websocket.send"})
        else:
            return


def test_messages_both_ways_beside_other_streams(engine):
    with asgi(echo, http2_engine=engine) as served, H2Client(served.running.address) as client:
        socket = Tunnel(client)
        assert socket.head()[b":status"] == b"200"
        assert b"sec-websocket-accept" not in socket.head()
        socket.send(frame(TEXT, "grüße".encode()) + frame(BINARY, b"\x00" * 300))
        assert client.get() == (200, b"plain")
        assert socket.frames(2) == [(TEXT, "grüße".encode()), (BINARY, b"\x00" * 300)]
        other = Tunnel(client)
        other.send(frame(TEXT, b"other"))
        assert other.frames(1) == [(TEXT, b"other")]
        socket.send(close_frame(1000, "bye"), end=True)
        ((opcode, payload),) = socket.frames(1)
        assert (opcode, closing(payload)[0]) == (CLOSE, 1000)
        client.finish(socket.stream)
        other.send(frame(TEXT, b"still there"))
        assert other.frames(1) == [(TEXT, b"still there")]
    wait_until(lambda: not served.running.server.in_flight)


def test_the_scope_and_what_the_application_accepts(engine):
    seen = []

    async def app(scope, receive, send):
        seen.append(scope)
        await receive()
        await send({"type": "websocket.accept", "subprotocol": "b", "headers": [(b"x-a", b"1")]})
        await send({"type": "websocket.close", "code": 4001, "reason": "enough"})

    with asgi(app, http2_engine=engine) as served, H2Client(served.running.address) as client:
        socket = Tunnel(client, b"/chat?room=1", (b"sec-websocket-protocol", b"a, b"), (b"origin", b"http://a"))
        assert socket.head()[b"sec-websocket-protocol"] == b"b"
        assert socket.head()[b"x-a"] == b"1"
        ((opcode, payload),) = socket.frames(1)
        assert (opcode, closing(payload)) == (CLOSE, (4001, "enough"))
        socket.send(close_frame(4001), end=True)
        client.finish(socket.stream)
    (scope,) = seen
    assert (scope["type"], scope["scheme"], scope["http_version"]) == ("websocket", "ws", "2")
    assert (scope["path"], scope["query_string"]) == ("/chat", b"room=1")
    assert scope["subprotocols"] == ["a", "b"]
    assert (b"host", b"a") in scope["headers"]
    assert (b"origin", b"http://a") in scope["headers"]


def test_an_application_that_refuses(engine):
    async def app(scope, receive, send):
        await receive()
        await send({"type": "websocket.close"})

    with asgi(app, http2_engine=engine) as served, H2Client(served.running.address) as client:
        socket = Tunnel(client)
        client.finish(socket.stream)
        assert socket.head()[b":status"] == b"403"


@pytest.mark.parametrize(
    ("fields", "status"),
    [([(b"sec-websocket-version", b"8")], b"426"), ([(b"sec-websocket-protocol", b"\x80\xff")], b"400")],
)
def test_a_broken_handshake_does_not_reach_the_application(engine, fields, status):
    with asgi(echo, http2_engine=engine) as served, H2Client(served.running.address) as client:
        version = [] if fields[0][0] == b"sec-websocket-version" else [(b"sec-websocket-version", b"13")]
        stream = client.connect(b"/", *version, *fields)
        client.finish(stream)
        assert client.heads[stream][b":status"] == status


def test_a_wsgi_application_serves_no_websockets(engine):
    def app(environ, start_response):
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b"plain"]

    with wsgi(app, http2_engine=engine) as served, H2Client(served.running.address) as client:
        stream = client.connect(b"/", (b"sec-websocket-version", b"13"))
        client.finish(stream)
        assert client.heads[stream][b":status"] == b"501"


def test_the_application_hears_how_it_ended(engine):
    ends = []

    async def app(scope, receive, send):
        await receive()
        await send({"type": "websocket.accept"})
        while (message := await receive())["type"] == "websocket.receive":
            pass
        ends.append((scope["path"], message["code"]))

    with asgi(app, http2_engine=engine) as served, H2Client(served.running.address) as client:
        orderly, reset, dropped, half = (
            Tunnel(client, path) for path in (b"/orderly", b"/reset", b"/dropped", b"/half")
        )
        for socket in (orderly, reset, dropped, half):
            socket.head()
        orderly.send(close_frame(1001), end=True)
        wait_until(lambda: ("/orderly", 1001) in ends)
        client.h2.reset_stream(reset.stream)
        client.flush()
        wait_until(lambda: ("/reset", 1006) in ends)
        half.send(b"\x81", end=True)
        wait_until(lambda: ("/half", 1006) in ends)
        client.sock.close()
        wait_until(lambda: ("/dropped", 1006) in ends)
        wait_until(lambda: not served.running.server.in_flight)


def test_a_broken_frame_ends_its_stream_only(engine):
    with asgi(echo, http2_engine=engine) as served, H2Client(served.running.address) as client:
        socket = Tunnel(client)
        socket.head()
        socket.send(frame(TEXT, b"unmasked", mask=None))
        ((opcode, payload),) = socket.frames(1)
        assert (opcode, closing(payload)[0]) == (CLOSE, 1002)
        client.finish(socket.stream)
        assert client.get() == (200, b"plain")


def test_an_application_that_does_not_receive_stops_the_client_by_its_window(engine):
    go_on = asyncio.Event()
    received = []

    async def app(scope, receive, send):
        await receive()
        await send({"type": "websocket.accept"})
        await go_on.wait()
        while len(received) < 40:
            received.append(len((await receive())["bytes"]))
        await send({"type": "websocket.send", "text": "all"})

    with asgi(app, http2_engine=engine) as served, H2Client(served.running.address) as client:
        socket = Tunnel(client)
        socket.head()
        message = frame(BINARY, bytes(30000), mask=b"\0\0\0\0")
        rest = message * 40
        while (room := client.h2.local_flow_control_window(socket.stream)) and rest:
            size = min(room, len(rest), 16384)
            socket.send(rest[:size])
            rest = rest[size:]
            client.sock.settimeout(0.05)
            try:
                client.read()
            except TimeoutError:
                pass
        assert rest, "the window never closed"
        assert not received
        client.sock.settimeout(10)
        served.running.loop.call_soon_threadsafe(go_on.set)
        while rest:
            room = min(client.h2.local_flow_control_window(socket.stream), 16384)
            if not room:
                assert client.read()
                continue
            socket.send(rest[:room])
            rest = rest[room:]
        assert socket.frames(1) == [(TEXT, b"all")]
        assert received == [30000] * 40


def test_a_client_that_does_not_take_stops_the_application(engine):
    sent = []

    async def app(scope, receive, send):
        await receive()
        await send({"type": "websocket.accept"})
        for number in range(100):
            await send({"type": "websocket.send", "bytes": bytes(10000)})
            sent.append(number)

    with asgi(app, http2_engine=engine) as served, H2Client(served.running.address) as client:
        socket = Tunnel(client)
        taken = client.h2.acknowledge_received_data
        client.h2.acknowledge_received_data = lambda *_: None
        while len(client.bodies[socket.stream]) < 65535:
            assert client.read()
        assert len(sent) < 10, "more than the windows take was sent"
        client.h2.acknowledge_received_data = taken
        client.h2.acknowledge_received_data(65535, socket.stream)
        client.flush()
        frames = socket.frames(100)
        assert {(opcode, len(payload)) for opcode, payload in frames} == {(BINARY, 10000)}


def test_a_drain_closes_it_and_the_connection_behind_it(engine):
    with asgi(echo, http2_engine=engine) as served, H2Client(served.running.address) as client:
        socket = Tunnel(client)
        socket.head()
        draining = asyncio.run_coroutine_threadsafe(served.running.server.drain(5.0, 0.1), served.running.loop)
        ((opcode, payload),) = socket.frames(1)
        assert (opcode, closing(payload)[0]) == (CLOSE, 1012)
        assert client.goaways[0] == (2**31 - 1, 0)
        socket.send(close_frame(1012), end=True)
        client.read_to_end()
        assert draining.result(5)


def test_pings_and_silence(engine):
    with asgi(echo, http2_engine=engine, websocket_timeout=0.4) as served, H2Client(served.running.address) as client:
        socket = Tunnel(client)
        socket.head()
        socket.send(frame(9, b"are you there"))
        assert socket.frames(1) == [(PONG, b"are you there")]
        frames = socket.frames(2)
        assert [opcode for opcode, _ in frames] == [9, CLOSE]
        assert closing(frames[1][1])[0] == 1011


def test_what_nobody_received_leaves_the_connection_its_window(engine):
    """RFC 9113, section 6.9.1: what was discarded counts as consumed, or the other streams could send nothing."""

    async def app(scope, receive, send):
        if scope["type"] == "http":
            await answer(send, b"plain")
            return
        await receive()
        await send({"type": "websocket.accept"})
        await asyncio.Event().wait()

    message = frame(BINARY, bytes(15000), mask=b"\0\0\0\0")
    with asgi(app, http2_engine=engine) as served, H2Client(served.running.address) as client:
        for _ in range(8):
            socket = Tunnel(client)
            socket.head()
            for _ in range(13):
                while client.h2.local_flow_control_window(socket.stream) < len(message):
                    assert client.read(), "the window of the connection was used up"
                socket.send(message)
            client.h2.reset_stream(socket.stream)
            client.flush()
            assert client.get() == (200, b"plain")
