"""Messages from worker to worker, under the command: threads and coroutines, hubs and workers that are killed."""

import ast
import os
import re
import signal
import urllib.request
from contextlib import ExitStack

from tests.support.daemon import Daemon
from tests.support.traffic import Traffic
from tests.support.websocket import RawWebSocket

APP = """
import asyncio, os, threading
import erlang                      # found, although nobody has installed it
from hornbeam_erlang import aio, publish, state_get, state_incr, state_keys, state_set, subscribe

state_set("imported", os.getpid())  # before there is an event loop, and with preload_app before there is a worker


async def listen(ready):
    async with aio.subscribe("news:*") as messages:
        ready.set()
        async for message in messages:
            await aio.state_incr(f"loop:{os.getpid()}")
            await aio.state_set("last", message)


def listen_in_thread(ready):
    with subscribe("news:*") as messages:
        ready.set()
        for message in messages:
            state_incr(f"thread:{os.getpid()}")
    state_set(f"ended:{os.getpid()}", True)


async def lifespan(receive, send):
    await receive()
    ready, ready_too = asyncio.Event(), threading.Event()
    task = asyncio.create_task(listen(ready))
    thread = threading.Thread(target=listen_in_thread, args=(ready_too,))
    thread.start()
    await ready.wait()
    await asyncio.to_thread(ready_too.wait)
    assert erlang.state_get("imported")
    assert await aio.publish("own", 1) == 0
    await send({"type": "lifespan.startup.complete"})
    await receive()
    await task                         # the server has ended the iterations
    await asyncio.to_thread(thread.join)
    await send({"type": "lifespan.shutdown.complete"})


async def application(scope, receive, send):
    if scope["type"] == "lifespan":
        return await lifespan(receive, send)
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        while (await receive())["type"] != "websocket.disconnect":
            pass
        return
    match scope["path"].split("/")[1:]:
        case ["publish", how, message]:
            if how == "await":
                body = await aio.publish("news:1", message)
            elif how == "plain":
                body = publish("news:1", message)
            else:
                body = await asyncio.to_thread(publish, "news:1", message)
        case ["state"]:
            body = {key: state_get(key) for key in state_keys("")}
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": repr(body).encode()})


def wsgi(environ, start_response):
    start_response("200 OK", [])
    return [repr(publish("news:1", environ["PATH_INFO"])).encode()]
"""

FILE = """
[hornbeam]
app = "app:application"
worker_class = "asgi"
lifespan = "on"
workers = 2
preload_app = true

[[hornbeam.websocket_topics]]
path = "/listen/{number}"
topic = "news:{number}"

[[hornbeam.mounts]]
prefix = "/wsgi"
app = "app:wsgi"
worker_class = "wsgi"
"""


def get(daemon: Daemon, path: str):
    with urllib.request.urlopen(daemon.url + path, timeout=10) as answer:
        return ast.literal_eval(answer.read().decode())


def hub_of(daemon: Daemon) -> int:
    """The process id of the latest hub."""
    return int(re.findall(r"hub ready.*?\bpid=(\d+)", daemon.log)[-1])


def counts(daemon: Daemon) -> dict[str, int]:
    """How many messages each subscriber has got."""
    state = get(daemon, "/state")
    return {key: state[key] for key in state if key.partition(":")[0] in ("loop", "thread")}


def test_messages_reach_all_workers_whoever_publishes_and_whoever_dies(tmp_path):
    (tmp_path / "app.py").write_text(APP)
    (tmp_path / "sys.toml").write_text(FILE)
    with Daemon("--config", "sys.toml", folder=tmp_path, ready=2) as daemon:
        ways = ["/publish/await/1", "/publish/plain/2", "/publish/thread/3", "/wsgi/4"]
        # Two workers, and in each a coroutine and a thread.
        assert [get(daemon, way) for way in ways] == [4, 4, 4, 4]
        expected = {f"{kind}:{pid}": 4 for pid in daemon.workers() for kind in ("loop", "thread")}
        daemon.wait(lambda: counts(daemon) == expected, lambda: counts(daemon))
        state = get(daemon, "/state")
        assert state["last"] == "/4"
        assert state["imported"] == daemon.spawner()

        # WebSockets, in whatever worker, get it as well.
        with ExitStack() as stack:
            sockets = [stack.enter_context(RawWebSocket(("127.0.0.1", daemon.port), 10.0)) for _ in range(4)]
            for socket in sockets:
                socket.open("/listen/1")
            assert get(daemon, "/wsgi/all") == 8
            assert [socket.read_message() for socket in sockets] == ["/all"] * 4
        daemon.wait(lambda: get(daemon, "/publish/await/5") == 4, "the WebSockets have not left")

        # A worker that is killed takes its subscribers with it, and its successor brings new ones.
        first, second = daemon.workers()
        os.kill(first, signal.SIGKILL)
        daemon.wait_log("worker ready", count=3)
        daemon.wait(lambda: get(daemon, "/publish/await/5") == 4, "no four subscribers")
        assert counts(daemon)[f"loop:{second}"] > 4

        # A hub that is killed, again and again under load, costs messages and no request.
        with Traffic(daemon.port, path="/publish/await/6", fresh=1) as load:
            for _ in range(3):
                hub = hub_of(daemon)
                os.kill(hub, signal.SIGKILL)
                daemon.wait(lambda hub=hub: hub_of(daemon) != hub, "no new hub")
                before = load.total
                daemon.wait(lambda before=before: load.total > before, "no answers")
            daemon.wait(lambda: get(daemon, "/publish/plain/7") == 4, "not all have come back")
        assert not load.failures
        assert load.statuses == {200}

        # At the end of a drain whoever listens comes to the end, and the application's shutdown can wait for it.
        pids = daemon.workers()
        os.kill(pids[0], signal.SIGTERM)
        daemon.wait(lambda: get(daemon, "/state").get(f"ended:{pids[0]}"), "the iteration has not ended")
        daemon.wait(lambda: pids[0] not in daemon.workers(), "it does not end")
    assert "shutdown took too long" not in daemon.log
    assert "Traceback" not in daemon.log
