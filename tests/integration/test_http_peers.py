"""Who the client is: addresses, Unix sockets, and what proxies say (X-Forwarded-*, Forwarded)."""

import ast
import json
import socket
from pathlib import Path
from wsgiref.util import request_uri

import pytest

from tests.support.applications import Served, answer, asgi, head, post, read_body, wsgi
from tests.support.h2client import H2Client
from tests.support.raw import RawClient
from tests.support.websocket import RawWebSocket


async def report(scope, receive, send):
    told = {"client": scope["client"], "server": scope["server"], "scheme": scope["scheme"]}
    await answer(send, json.dumps(told).encode())


def told(served: Served, *fields: str) -> dict:
    return json.loads(served.get("/", *fields).body)


def test_addresses_over_ipv4():
    """ASGI spec "HTTP Connection Scope": client and server are pairs of host and port."""
    with asgi(report) as served, served.client() as client:
        told = json.loads(client.request(head()).body)
        assert told["client"] == list(client.socket.getsockname())
        assert told["server"] == list(served.running.address)
        assert told["scheme"] == "http"


def test_addresses_over_ipv6():
    listener = socket.create_server(("::1", 0), family=socket.AF_INET6)
    with asgi(report, listener=listener) as served, served.client() as client:
        told = json.loads(client.request(head()).body)
        assert told["client"] == list(client.socket.getsockname()[:2])
        assert told["server"] == list(listener.getsockname()[:2]) if listener.fileno() >= 0 else True


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_a_unix_socket(tmp_path: Path, loop: str):
    """ASGI spec "HTTP Connection Scope": no client, and the server is the path and None."""
    path = str(tmp_path / "app.sock")
    with asgi(report, loop, listener=unix(path)) as served:
        assert told(served) == {"client": None, "server": [path, None], "scheme": "http"}


def test_a_unix_socket_in_wsgi(tmp_path: Path):
    """PEP 3333, "environ Variables": SERVER_NAME and SERVER_PORT are never empty."""
    seen = {}

    def app(environ, start_response):
        seen.update(environ)
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [environ["wsgi.input"].read(5)]

    with wsgi(app, listener=unix(str(tmp_path / "app.sock"))) as served, served.client() as client:
        assert client.request(post(b"hello")).body == b"hello"
    assert seen["SERVER_NAME"]
    assert seen["SERVER_PORT"].isdecimal()
    assert seen["REMOTE_ADDR"] == ""


def test_a_large_body_over_a_unix_socket(tmp_path: Path):
    async def app(scope, receive, send):
        await answer(send, await read_body(receive))

    with (
        asgi(app, listener=unix(str(tmp_path / "app.sock"))) as served,
        RawClient(served.running.address) as client,
    ):
        assert client.request(post(b"x" * 150_000)).body == b"x" * 150_000


def unix(path: str) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen()
    return listener


FORGED = ("X-Forwarded-For: 203.0.113.9", "X-Forwarded-Proto: https")


def test_nobody_is_believed_unless_the_configuration_says_so():
    """docs/applications.md: forwarded_allow_from is empty, and anybody may write these fields."""
    with asgi(report) as served:
        answer = told(served, *FORGED)
        assert answer["client"][0] == "127.0.0.1"
        assert answer["scheme"] == "http"


def test_peers_outside_of_the_list_are_not_believed():
    with asgi(report, forwarded_allow_from=("10.0.0.0/8", "unix")) as served:
        answer = told(served, *FORGED)
        assert (answer["client"][0], answer["scheme"]) == ("127.0.0.1", "http")


def test_a_trusted_proxy_is_believed():
    with asgi(report, forwarded_allow_from=("127.0.0.1",)) as served:
        answer = told(served, *FORGED)
        assert (answer["client"], answer["scheme"]) == (["203.0.113.9", 0], "https")


def test_the_list_is_read_from_the_right():
    """What stands left of the first untrusted hop the client may have made up."""
    with asgi(report, forwarded_allow_from=("127.0.0.1", "10.0.0.0/8")) as served:
        fields = "X-Forwarded-For: 6.6.6.6, 203.0.113.9, 10.1.2.3", "X-Forwarded-For: 10.9.9.9"
        assert told(served, *fields)["client"][0] == "203.0.113.9"


def test_belief_is_for_each_request_and_not_for_the_connection():
    """Two requests of different clients on one connection of the proxy, the same head for both but for the field."""
    with (
        asgi(report, forwarded_allow_from=("127.0.0.1",)) as served,
        served.client() as client,
    ):
        for address in ("203.0.113.1", "203.0.113.2", "203.0.113.1"):
            response = client.request(head("/", f"X-Forwarded-For: {address}"))
            assert json.loads(response.body)["client"][0] == address
        assert json.loads(client.request(head()).body)["client"][0] == "127.0.0.1"


def test_a_proxy_at_a_unix_socket_is_believed_when_unix_is_listed(tmp_path: Path):
    for allowed, expected in ((("unix",), ["203.0.113.9", 0]), (("127.0.0.1",), None)):
        path = tmp_path / f"{allowed[0]}.sock"
        with asgi(report, listener=unix(str(path)), forwarded_allow_from=allowed) as served:
            assert told(served, *FORGED)["client"] == expected


def test_wsgi_sees_the_client_and_scheme_that_the_proxy_names():
    seen = {}

    def app(environ, start_response):
        seen.update(environ)
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b"x"]

    with wsgi(app, forwarded_allow_from=("*",)) as served:
        served.get("/", *FORGED)
    assert (seen["REMOTE_ADDR"], seen["wsgi.url_scheme"]) == ("203.0.113.9", "https")


SHOP = ("X-Forwarded-Host: shop.example", "X-Forwarded-Prefix: /eu/", "X-Forwarded-Proto: https")


async def place(scope, receive, send):
    told = {name: scope[name] for name in ("scheme", "root_path", "path", "query_string", "raw_path", "headers")}
    await answer(send, repr(told).encode())


@pytest.mark.parametrize(("option", "root_path"), [("", "/eu"), ("/shop", "/eu/shop")])
def test_asgi_sees_the_place_that_the_client_asked_for(option: str, root_path: str):
    """ASGI spec "HTTP Connection Scope": root_path is in front of path. The same head comes again and again."""
    with asgi(place, forwarded_allow_from=("127.0.0.1",), root_path=option) as served, served.client() as client:
        for _ in range(4):
            told = ast.literal_eval(client.request(head("/a%20b?c", *SHOP)).body.decode())
            assert (told["scheme"], told["root_path"], told["query_string"]) == ("https", root_path, b"c")
            assert told["path"] == root_path + "/a b"
            assert told["raw_path"] == root_path.encode() + b"/a%20b"
            assert [value for name, value in told["headers"] if name == b"host"] == [b"shop.example"]
            assert (b"x-forwarded-host", b"shop.example") in told["headers"]
            told = ast.literal_eval(client.request(head("/a%20b?c")).body.decode())
            assert (told["scheme"], told["root_path"], told["path"]) == ("http", option, option + "/a b")
            assert (b"host", b"a") in told["headers"]


@pytest.mark.parametrize(("option", "script_name"), [("", "/eu"), ("/shop", "/eu/shop")])
def test_wsgi_sees_the_place_that_the_client_asked_for(option: str, script_name: str):
    """PEP 3333, "URL Reconstruction"."""
    urls = []

    def app(environ, start_response):
        urls.append(request_uri(environ))
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [environ["SCRIPT_NAME"].encode()]

    with (
        wsgi(app, forwarded_allow_from=("127.0.0.1",), root_path=option) as served,
        served.client() as client,
    ):
        for _ in range(4):
            assert client.request(head("/a", *SHOP)).body == script_name.encode()
            assert client.request(head("/a")).body == option.encode()
    assert urls == [f"https://shop.example{script_name}/a", f"http://a{option}/a"] * 4


def test_forwarded_is_believed_as_well():
    """RFC 7239."""
    with asgi(report, forwarded_allow_from=("127.0.0.1", "10.0.0.0/8")) as served:
        field = 'Forwarded: for=6.6.6.6, for="[2001:db8::9]:4711";proto=https, for=10.1.1.1;proto=http'
        answer = told(served, field)
        assert (answer["client"], answer["scheme"]) == (["2001:db8::9", 4711], "https")


def test_the_same_is_believed_over_http2_and_for_websockets():
    fields = [b"x-forwarded-for: 203.0.113.9", *[field.lower().encode() for field in SHOP]]
    expected = {"client": ("203.0.113.9", 0), "root_path": "/eu", "path": "/eu/a"}
    scopes = []

    async def app(scope, receive, send):
        scopes.append({**scope, "host": dict(scope["headers"])[b"host"]})
        if scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.accept"})
            await receive()
        else:
            await answer(send)

    with asgi(app, forwarded_allow_from=("127.0.0.1",)) as served:
        with H2Client(served.running.address) as client:
            pairs = [tuple(field.split(b": ")) for field in fields]
            for _ in range(3):
                assert client.get(b"/a", *pairs)[0] == 200
        with RawWebSocket(served.running.address) as client:
            client.open("/a", *[field.decode() for field in fields])
    for scope in scopes:
        assert {key: scope[key] for key in expected} == expected
        assert scope["host"] == b"shop.example"
    assert [scope["scheme"] for scope in scopes] == ["https", "https", "https", "wss"]


def test_the_log_is_told_once_of_a_proxy_that_nobody_has_named():
    with asgi(report) as served:
        for _ in range(3):
            assert told(served, *FORGED)["client"][0] == "127.0.0.1"
        (record,) = served.logs.named("forwarded_allow_from")
        assert record.levelname == "WARNING"
        assert record.fields == {"client": "127.0.0.1", "headers": "x-forwarded-for, x-forwarded-proto"}


def test_a_field_with_underscores_does_not_pass_for_the_real_one():
    """CVE-2024-45614 and others: X_Forwarded_For would become the same environ variable."""
    seen = {}

    def app(environ, start_response):
        seen.update(environ)
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b"x"]

    with wsgi(app, forwarded_allow_from=("127.0.0.1",)) as served:
        served.get("/", "X_Forwarded_For: 6.6.6.6", "X-Forwarded-For: 203.0.113.9")
    assert (seen["REMOTE_ADDR"], seen["HTTP_X_FORWARDED_FOR"]) == ("203.0.113.9", "203.0.113.9")
