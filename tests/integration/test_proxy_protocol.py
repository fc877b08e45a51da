"""Connections of a proxy that tells whose they are (option proxy_protocol)."""

import json
import socket
from pathlib import Path

import pytest

from tests.support.applications import answer, asgi, head
from tests.support.h2client import H2Client
from tests.support.tls import Authority, TlsClient

V1 = b"PROXY TCP4 203.0.113.9 192.0.2.1 4711 443\r\n"
V2 = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c" + bytes((203, 0, 113, 9, 192, 0, 2, 1)) + b"\x12\x67\x01\xbb"
LOCAL = b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0"
TOLD = {"client": ["203.0.113.9", 4711], "server": ["192.0.2.1", 443], "scheme": "http"}
PROXY = ("127.0.0.0/8",)
BOTH = pytest.mark.parametrize("header", [V1, V2], ids=["v1", "v2"])
LOOPS = pytest.mark.parametrize("loop", ["asyncio", "uvloop"])


async def report(scope, receive, send):
    told = {"client": scope["client"], "server": scope["server"], "scheme": scope["scheme"]}
    await answer(send, json.dumps(told).encode())


@LOOPS
@BOTH
def test_the_application_sees_whom_the_proxy_tells(header: bytes, loop: str):
    """On every request of the connection, and the header arrives in pieces."""
    with asgi(report, loop, proxy_protocol=PROXY) as served, served.client() as client:
        client.send(header + head(), pieces=7)
        assert json.loads(client.read_response().body) == TOLD
        assert json.loads(client.request(head()).body) == TOLD
    with asgi(report, loop, proxy_protocol=PROXY) as served, served.client() as client:
        client.send(header + head(), pieces=1)
        assert json.loads(client.read_response().body) == TOLD


@LOOPS
def test_a_connection_of_the_proxy_itself(loop: str):
    with asgi(report, loop, proxy_protocol=PROXY) as served:
        for header in (LOCAL, b"PROXY UNKNOWN\r\n"):
            with served.client() as client:
                told = json.loads(client.request(header + head()).body)
                assert told["client"] == list(client.socket.getsockname())


@pytest.mark.parametrize(
    "data", [head(), b"PROXY TCP4 1.2.3.4 x 1 2\r\n" + head(), V2[:12] + b"\x41" + V2[13:] + head(), b"\x16\x03\x01"]
)
def test_what_is_malformed_or_missing_ends_the_connection(data: bytes):
    """Without an answer: who leaves the header out could else choose to be the proxy."""
    with asgi(report, proxy_protocol=PROXY) as served:
        with served.client() as client:
            client.send(data)
            assert client.read_to_end() == b""
        record = served.logs.wait_for("no valid PROXY header")
        assert record.levelname == "WARNING"
        assert record.fields["client"] == "127.0.0.1"


@BOTH
def test_from_others_it_is_a_malformed_request(header: bytes):
    """gunicorn once obeyed any peer that sent it."""
    for allowed in ((), ("10.0.0.0/8", "unix")):
        with asgi(report, proxy_protocol=allowed) as served, served.client() as client:
            assert client.request(header + head()).status == 400


@BOTH
def test_it_comes_once_and_first(header: bytes):
    with asgi(report, proxy_protocol=PROXY) as served:
        with served.client() as client:
            assert client.request(header + header + head()).status == 400
        with served.client() as client:
            assert client.request(header + head()).status == 200
            assert client.request(header + head()).status == 400


def test_whose_forwarded_headers_are_believed_is_asked_for_the_address_told():
    """The proxy has not looked into what it passes on: the client wrote it."""
    forged = head("/", "X-Forwarded-For: 6.6.6.6")
    with asgi(report, proxy_protocol=PROXY, forwarded_allow_from=PROXY) as served, served.client() as client:
        assert json.loads(client.request(V1 + forged).body)["client"] == ["203.0.113.9", 4711]
    allowed = ("203.0.113.0/24",)
    with asgi(report, proxy_protocol=PROXY, forwarded_allow_from=allowed) as served, served.client() as client:
        assert json.loads(client.request(V1 + forged).body)["client"] == ["6.6.6.6", 0]


def test_at_a_unix_socket(tmp_path: Path):
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(tmp_path / "app.sock"))
    listener.listen()
    with asgi(report, listener=listener, proxy_protocol=("unix",)) as served, served.client() as client:
        assert json.loads(client.request(V1 + head()).body) == TOLD


@LOOPS
@BOTH
def test_it_comes_before_tls(header: bytes, loop: str, tmp_path: Path):
    authority = Authority(tmp_path)
    context = authority.trusting()
    with asgi(report, loop, proxy_protocol=PROXY, **authority.options()) as served:
        with served.client() as client:
            client.send(header)
            client.socket = context.wrap_socket(client.socket, server_hostname="localhost")
            assert json.loads(client.request(head()).body) == {**TOLD, "scheme": "https"}
            assert client.request(header + head()).status == 400
        with pytest.raises(OSError), TlsClient(served.running.address, context):
            pass
        assert served.logs.wait_for("no valid PROXY header")


@BOTH
def test_it_comes_before_http2(header: bytes):
    with asgi(report, proxy_protocol=PROXY) as served:
        sock = socket.create_connection(served.running.address)
        sock.sendall(header)
        with H2Client(served.running.address, sock=sock) as client:
            for _ in range(2):
                assert json.loads(client.get()[1]) == TOLD


@LOOPS
def test_one_that_stalls_holds_up_nobody(loop: str):
    with asgi(report, loop, proxy_protocol=PROXY, header_timeout=0.2) as served:
        with served.client() as stalled, served.client() as client:
            stalled.send(V1[:10])
            assert client.request(V1 + head()).status == 200
            assert stalled.read_to_end() == b""
        assert served.logs.wait_for("no valid PROXY header").fields["reason"].endswith("header_timeout")


@LOOPS
def test_one_that_stalls_does_not_hold_up_draining(loop: str):
    """Idle connections are let go while it is still waited for, and then it is cut."""
    with asgi(report, loop, proxy_protocol=PROXY) as served:
        server = served.running.server
        with served.client() as idle, served.client() as stalled, served.client() as another:
            stalled.send(V1[:10])
            for client in (idle, another):  # accepted behind it, so that it is in hand
                assert client.request(V1 + head()).status == 200
            assert served.running.call(lambda: server.drain(5.0, 0.1)) is True
            assert stalled.read_to_end() == b""
        assert not served.logs.named("no valid PROXY header")


def test_a_header_that_is_cut_off():
    with asgi(report, proxy_protocol=PROXY) as served:
        with served.client() as client:
            client.send(V1[:10])
            client.half_close()
            assert client.read_to_end() == b""
        assert "cut off" in served.logs.wait_for("no valid PROXY header").fields["reason"]


def test_a_health_check_that_only_connects_is_not_logged():
    with asgi(report, proxy_protocol=PROXY) as served:
        with served.client() as client:
            client.half_close()
            assert client.read_to_end() == b""
        with served.client() as client:
            assert client.request(V1 + head()).status == 200
        assert not served.logs.named("PROXY")
