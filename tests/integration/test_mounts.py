"""Several applications below paths of their own, over sockets."""

import json
import threading
import time

import pytest

from tests.support.applications import answer, post, read_body, site
from tests.support.h2client import H2Client
from tests.support.waiting import wait_until
from tests.support.websocket import RawWebSocket


async def echo_asgi(scope, receive, send):
    shown = {key: scope[key] for key in ("root_path", "path")} | {"raw_path": scope["raw_path"].decode()}
    await answer(send, json.dumps(shown).encode())


def echo_wsgi(environ, start_response):
    shown = {key: environ[key] for key in ("SCRIPT_NAME", "PATH_INFO")}
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps(shown).encode()]


@pytest.mark.parametrize(
    ("target", "root_path", "path", "raw_path"),
    [
        ("/asgi", "/asgi", "/asgi", "/asgi"),
        ("/asgi/x%20y", "/asgi", "/asgi/x y", "/asgi/x%20y"),
        ("/asgi/a%2Fb", "/asgi", "/asgi/a/b", "/asgi/a%2Fb"),
        ("/as%67i/x", "/asgi", "/asgi/x", "/as%67i/x"),
        ("/asgi%2Fx", "", "/asgi/x", "/asgi%2Fx"),
        ("/other", "", "/other", "/other"),
    ],
)
def test_asgi_gets_the_whole_path(target, root_path, path, raw_path):
    """ASGI HTTP specification: root_path is the mount's, path is the whole path, root_path included."""
    with site({"/": echo_asgi, "/asgi": echo_asgi}) as running:
        for _ in range(3):  # a head that comes again is answered from what was derived
            shown = json.loads(running.get(target).body)
            assert shown == {"root_path": root_path, "path": path, "raw_path": raw_path}


@pytest.mark.parametrize(
    ("target", "script_name", "path_info"),
    [
        ("/wsgi", "/wsgi", ""),
        ("/wsgi/", "/wsgi", "/"),
        ("/wsgi/x%20y", "/wsgi", "/x y"),
        ("/wsg%69/x", "/wsgi", "/x"),
        ("/caf%C3%A9/x", "/caf\xc3\xa9", "/x"),
        ("/wsgi%2Fx", "", "/wsgi/x"),
        ("/other", "", "/other"),
    ],
)
def test_wsgi_gets_the_path_in_two_parts(target, script_name, path_info):
    """PEP 3333, "environ Variables": SCRIPT_NAME is the mount's, PATH_INFO the rest."""
    with site({"/": echo_wsgi, "/wsgi": echo_wsgi, "/café": echo_wsgi}) as running:
        for _ in range(3):
            shown = json.loads(running.get(target).body)
            assert shown == {"SCRIPT_NAME": script_name, "PATH_INFO": path_info}


def test_the_servers_root_path_stands_before_the_prefix():
    with site({"/asgi": echo_asgi, "/wsgi": echo_wsgi}, root_path="/shop") as running:
        shown = json.loads(running.get("/asgi/x").body)
        assert (shown["root_path"], shown["path"]) == ("/shop/asgi", "/shop/asgi/x")
        assert json.loads(running.get("/wsgi/x").body) == {"SCRIPT_NAME": "/shop/wsgi", "PATH_INFO": "/x"}


def test_what_is_mounted_nowhere_is_404():
    with site({"/asgi": echo_asgi}) as running, running.client() as client:
        response = client.request(post(b"x" * 10, target="/"), "POST")
        assert (response.status, response.body) == (404, b"Not Found\n")
        assert response.header(b"content-type") == b"text/plain; charset=utf-8"
        assert client.request(b"GET /asgi HTTP/1.1\r\nHost: a\r\n\r\n").status == 200


def test_mounts_are_served_over_http_2():
    with site({"/asgi": echo_asgi, "/wsgi": echo_wsgi}) as running, H2Client(running.running.address) as client:
        assert json.loads(client.get(b"/asgi/x")[1])["root_path"] == "/asgi"
        assert json.loads(client.get(b"/wsgi/x")[1])["SCRIPT_NAME"] == "/wsgi"
        assert client.get(b"/x")[0] == 404


def test_each_mount_has_its_own_timeout():
    release = threading.Event()

    def slow(environ, start_response):
        release.wait(5)
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b"late"]

    with site({"/slow": slow, "/quick": (slow, {"timeout": 0.1})}) as running, running.client() as waiting:
        waiting.send(b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n")
        began = time.monotonic()
        assert running.get("/quick").status == 504
        assert time.monotonic() - began < 3
        release.set()
        assert waiting.read_response().body == b"late"


def test_a_mounts_timeout_counts_anew_while_the_body_comes():
    async def app(scope, receive, send):
        await read_body(receive)
        await answer(send, b"done")

    with site({"/a": (app, {"timeout": 0.1})}, timeout=0.05, body_min_rate=0) as running, running.client() as client:
        client.send(post(b"x" * 9, target="/a")[:-1])
        begun = time.monotonic()
        wait_until(lambda: time.monotonic() > begun + 0.5)  # five times as long as an answer may take
        client.send(b"x")
        assert client.read_response().body == b"done"


def test_each_mount_has_its_own_lifespan_and_state():
    ended = []

    def app(name):
        async def run(scope, receive, send):
            if scope["type"] == "lifespan":
                await receive()
                scope["state"]["name"] = name
                await send({"type": "lifespan.startup.complete"})
                await receive()
                ended.append(name)
                await send({"type": "lifespan.shutdown.complete"})
                return
            await answer(send, scope["state"].get("name", "none").encode())

        return run

    mounts = {"/a": (app("a"), {"lifespan": "on"}), "/b": app("b"), "/c": (app("c"), {"lifespan": "on"})}
    with site(mounts, lifespan="off") as running:
        assert [running.get(f"/{name}").body for name in "abc"] == [b"a", b"none", b"c"]
    assert ended == ["c", "a"]


def test_the_threads_of_one_mount_are_not_anothers():
    release = threading.Event()

    def hangs(environ, start_response):
        release.wait(5)
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b"late"]

    with site({"/hangs": hangs, "/works": echo_wsgi}, threads=1) as running, running.client() as waiting:
        waiting.send(b"GET /hangs HTTP/1.1\r\nHost: a\r\n\r\n")
        assert running.get("/works").status == 200
        release.set()
        assert waiting.read_response().body == b"late"


def test_websockets_reach_their_mount():
    async def app(scope, receive, send):
        await receive()
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.send", "text": f"{scope['root_path']} {scope['path']}"})

    with site({"/": echo_wsgi, "/chat": app}) as running, RawWebSocket(running.running.address) as client:
        client.open("/chat/room")
        assert client.read_message() == "/chat /chat/room"
        assert client.read_close() == (1000, "")
