"""WebSocket: flow control both ways, time-outs, limits, compression, and real clients."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
import zlib

import pytest
from websockets.exceptions import ConnectionClosedError, InvalidStatus
from websockets.sync.client import connect
from wsproto import ConnectionType, WSConnection
from wsproto.events import AcceptConnection, BytesMessage, CloseConnection, Request, TextMessage
from wsproto.extensions import PerMessageDeflate

from hornbeamd.http.websocket import session
from tests.support.applications import asgi
from tests.support.tls import Authority, TlsClient
from tests.support.waiting import wait_until
from tests.support.websocket import BINARY, CLOSE, PING, PONG, TEXT, RawWebSocket, close_frame, frame

both_loops = pytest.mark.parametrize("loop", ["uvloop", "asyncio"])

MiB = 1 << 20


async def echo(scope, receive, send):
    await receive()
    await send({"type": "websocket.accept", "subprotocol": next(iter(scope["subprotocols"]), None)})
    while (message := await receive())["type"] == "websocket.receive":
        await send({**message, "type": "websocket.send"})


def websocket(served) -> RawWebSocket:
    return RawWebSocket(served.running.address)


def send_what_fits(client: RawWebSocket, data: bytes, most: int) -> int:
    """Send *data* again and again until the server takes no more for a while; how many bytes that were."""
    sent = 0
    client.socket.settimeout(0.5)
    try:
        while sent < most:
            sent += client.socket.send(data[sent % len(data) :])
    except TimeoutError:
        pass
    return sent


# --- flow control ---


@both_loops
@pytest.mark.parametrize("size", [10, 100_000])
def test_an_application_that_does_not_receive_stops_the_client(loop: str, size: int):
    """What waits in the worker is bounded; nothing is lost when the application goes on."""
    go_on = asyncio.Event()
    received = []

    async def app(scope, receive, send):
        await receive()
        await send({"type": "websocket.accept"})
        await go_on.wait()
        while (message := await receive())["type"] == "websocket.receive":
            received.append(len(message["bytes"]))

    one = frame(BINARY, b"x" * size)
    with asgi(app, loop) as served, websocket(served) as client:
        # So that what the kernel holds does not hide what we hold.
        client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65536)
        client.open()
        sent = send_what_fits(client, one, 64 * MiB)
        assert sent < 32 * MiB
        (connection,) = served.running.server.connections
        assert served.running.call(lambda: connection.session._queued) <= 65536 + size
        served.running.call(go_on.set)
        client.send(one[sent % len(one) :] if sent % len(one) else b"")
        client.send(close_frame(1000))
        assert client.read_close() == (1000, "")
        wait_until(lambda: not served.running.server.handler.calls)
        assert received == [size] * -(-sent // len(one))


@both_loops
def test_a_client_that_does_not_read_holds_the_application_back_and_is_cut(loop: str):
    """send_timeout: nothing grows meanwhile."""
    sent = []
    failed = []

    async def app(scope, receive, send):
        await receive()
        await send({"type": "websocket.accept"})
        try:
            while True:
                await send({"type": "websocket.send", "bytes": b"x" * 65536})
                sent.append(65536)
        except OSError as error:
            failed.append(error)
        assert await receive() == {"type": "websocket.disconnect", "code": 1006, "reason": ""}
        failed.append(None)

    with asgi(app, loop, send_timeout=0.4) as served, websocket(served) as client:
        client.open()
        wait_until(lambda: len(failed) == 2)
        assert sum(sent) < 32 * MiB
        assert served.logs.named("client takes no data")
        wait_until(lambda: served.running.server.in_flight == 0)
    assert not served.logs.named("application raised")


@both_loops
def test_a_client_that_reads_slowly_gets_all(loop: str, monkeypatch):
    """send_timeout is for a client that takes no byte; the wait for its close frame does not shorten it."""
    monkeypatch.setattr(session, "CLOSE_SECONDS", 0.2)
    count = 250

    async def app(scope, receive, send):
        await receive()
        await send({"type": "websocket.accept"})
        for number in range(count):
            await send({"type": "websocket.send", "bytes": bytes((number,)) * 65536})

    with asgi(app, loop, send_timeout=0.3) as served, websocket(served) as client:
        client.open()
        pace = threading.Event()
        ends_at = time.monotonic() + 0.9
        while time.monotonic() < ends_at:
            client.buffer += client.socket.recv(20_000)
            pace.wait(0.02)
        for number in range(count):
            assert client.read_message() == bytes((number,)) * 65536
        assert client.read_close() == (1000, "")


# --- time-outs ---


@both_loops
def test_a_silent_client_is_pinged_then_closed(loop: str):
    """websocket_timeout."""
    with asgi(echo, loop, websocket_timeout=0.4) as served, websocket(served) as client:
        client.open()
        assert client.read_frame() == (PING, b"")
        assert client.read_close() == (1011, "no answer to a ping")


def test_a_client_that_answers_pings_stays():
    with asgi(echo, websocket_timeout=1.0) as served, websocket(served) as client:
        client.open()
        for _ in range(3):
            assert client.read_frame() == (PING, b"")
            client.send(frame(PONG))
        client.send(frame(TEXT, b"still here"))
        assert client.read_message() == "still here"


def test_a_client_that_does_not_answer_a_close_frame(monkeypatch):
    monkeypatch.setattr(session, "CLOSE_SECONDS", 0.1)

    async def app(scope, receive, send):
        await receive()
        await send({"type": "websocket.accept"})

    with asgi(app, websocket_timeout=0.4) as served, websocket(served) as client:
        client.open()
        assert client.read_frame()[0] == CLOSE
        client.expect_end()


def test_a_client_that_floods_behind_a_bad_frame_is_left():
    """It is told what was wrong; what it goes on sending is thrown away, and not for long."""
    with asgi(echo) as served, websocket(served) as client:
        client.open()
        client.send(frame(3) + b"x" * MiB)
        assert client.read_frame()[0] == CLOSE
        client.expect_end()
        client.close()
        wait_until(lambda: not served.running.server.connections)


# --- limits ---


@pytest.mark.parametrize("compress", [False, True])
def test_websocket_max_frame_size(compress: bool):
    options = {"websocket_max_frame_size": 1000, "websocket_compress": compress}
    with asgi(echo, **options) as served, websocket(served) as client:
        client.open("/", "Sec-WebSocket-Extensions: permessage-deflate")
        client.send(frame(TEXT, b"x" * 1001))
        assert client.read_close() == (1009, "message too big")


def test_a_deflate_bomb():
    compress = zlib.compressobj(9, zlib.DEFLATED, -15)
    bomb = compress.compress(bytes(64 * MiB)) + compress.flush(zlib.Z_SYNC_FLUSH)
    options = {"websocket_max_frame_size": MiB, "websocket_compress": True}
    with asgi(echo, **options) as served, websocket(served) as client:
        client.open("/", "Sec-WebSocket-Extensions: permessage-deflate")
        client.send(frame(BINARY, bomb, rsv=4))
        assert client.read_close() == (1009, "message too big")


def test_a_flood_of_fragments_does_not_hold_up_others():
    """One byte in each: a message above the limit, and a worker that serves others meanwhile."""
    with asgi(echo, websocket_max_frame_size=20_000) as served, websocket(served) as flood, websocket(served) as other:
        other.open()
        flood.open(behind=frame(TEXT, b"x", fin=False))
        flood.send(frame(0, b"x", fin=False) * 20_000)
        other.send(frame(TEXT, b"me too"))
        assert other.read_message() == "me too"
        assert flood.read_close() == (1009, "message too big")


# --- compression and real clients ---


def test_compression_is_by_option():
    for compress, answer in ((False, None), (True, b"permessage-deflate")):
        with asgi(echo, websocket_compress=compress) as served, websocket(served) as client:
            offer = "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits"
            assert client.open("/", offer).header(b"sec-websocket-extensions") == answer


@both_loops
@pytest.mark.parametrize("compress", [False, True])
def test_the_websockets_client(loop: str, compress: bool):
    with asgi(echo, loop, websocket_compress=compress) as served:
        host, port = served.running.address
        with connect(f"ws://{host}:{port}/chat", subprotocols=["v2", "v1"], max_size=None) as client:  # type: ignore[list-item]
            assert client.subprotocol == "v2"
            for message in ("", "héllo", "x" * 3 * MiB, b"", b"\x00\xff" * 70_000):
                client.send(message)
                assert client.recv(timeout=10) == message
            client.send(["in ", "three ", "fragments"])
            assert client.recv(timeout=10) == "in three fragments"
            assert client.ping().wait(10)
        assert client.close_code == 1000
        wait_until(lambda: served.running.server.in_flight == 0)


def test_the_websockets_client_is_told_why():
    async def app(scope, receive, send):
        await receive()
        if scope["path"] == "/no":
            await send({"type": "websocket.close"})
        else:
            await send({"type": "websocket.accept"})
            await send({"type": "websocket.close", "code": 4001, "reason": "go away"})

    with asgi(app) as served:
        host, port = served.running.address
        with pytest.raises(InvalidStatus) as refused:
            connect(f"ws://{host}:{port}/no")
        assert refused.value.response.status_code == 403
        with connect(f"ws://{host}:{port}/yes") as client, pytest.raises(ConnectionClosedError) as closed:
            client.recv(timeout=10)
        assert closed.value.rcvd is not None
        assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (4001, "go away")


@pytest.mark.parametrize("compress", [False, True])
def test_the_wsproto_client(compress: bool):
    with asgi(echo, websocket_compress=compress) as served, socket.create_connection(served.running.address) as sock:
        sock.settimeout(10)
        client = WSConnection(ConnectionType.CLIENT)
        extensions = [PerMessageDeflate()]
        sock.sendall(client.send(Request(host="a", target="/", subprotocols=["v1"], extensions=extensions)))

        def next_event():
            while True:
                for event in client.events():
                    return event
                client.receive_data(sock.recv(65536))

        accepted = next_event()
        assert isinstance(accepted, AcceptConnection)
        assert accepted.subprotocol == "v1"
        assert len(accepted.extensions) == compress
        sock.sendall(client.send(TextMessage("héllo")) + client.send(BytesMessage(b"\x00\xff")))
        text, data = next_event(), next_event()
        assert isinstance(text, TextMessage)
        assert isinstance(data, BytesMessage)
        assert (text.data, bytes(data.data)) == ("héllo", b"\x00\xff")
        sock.sendall(client.send(CloseConnection(1000, "bye")))
        closed = next_event()
        assert isinstance(closed, CloseConnection)
        assert closed.code == 1000
        assert sock.recv(1) == b""


# --- TLS ---


class SecureWebSocket(RawWebSocket, TlsClient):
    """The same over TLS."""


@both_loops
def test_over_tls(loop: str, tmp_path_factory):
    """Both ways and at length; a close of either side, a broken frame, and a connection that is lost."""
    authority = Authority(tmp_path_factory.mktemp("certificates"))
    seen = []

    async def app(scope, receive, send):
        seen.append((scope["scheme"], scope["extensions"]["tls"]["tls_version"] is not None))
        await receive()
        await send({"type": "websocket.accept"})
        while (message := await receive())["type"] == "websocket.receive":
            await send({**message, "type": "websocket.send"})
        seen.append(message["code"])

    with asgi(app, loop, **authority.options()) as served:

        def opened() -> SecureWebSocket:
            client = SecureWebSocket(served.running.address, authority.trusting(), "localhost")
            client.open(behind=frame(TEXT, b"early"))
            assert client.read_message() == "early"
            return client

        with opened() as client:
            for size in (0, 64, 70_000, 3 * MiB):
                client.send(frame(BINARY, b"x" * size))
                assert client.read_message() == b"x" * size
            client.send(close_frame(1000))
            assert client.read_close() == (1000, "")
        with opened() as client:
            client.send(frame(3) + b"x" * 100_000)
            assert client.read_close() == (1002, "protocol error")
        opened().close()
        wait_until(lambda: len(seen) == 6)
        assert [code for code in seen if isinstance(code, int)] == [1000, 1002, 1006]
        assert all(each == ("wss", True) for each in seen if not isinstance(each, int))
        wait_until(lambda: not served.running.server.connections)


@both_loops
def test_flow_control_over_tls(loop: str, tmp_path_factory):
    authority = Authority(tmp_path_factory.mktemp("certificates"))
    sent = []
    ended = []

    async def app(scope, receive, send):
        await receive()
        await send({"type": "websocket.accept"})
        try:
            while True:
                await send({"type": "websocket.send", "bytes": b"x" * 65536})
                sent.append(65536)
        except OSError:
            ended.append((await receive())["code"])

    options = authority.options()
    with (
        asgi(app, loop, send_timeout=0.4, **options) as served,
        SecureWebSocket(served.running.address, authority.trusting(), "localhost") as client,
    ):
        client.open()
        wait_until(lambda: ended == [1006])
        assert sum(sent) < 32 * MiB
