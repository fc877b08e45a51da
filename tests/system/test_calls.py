"""Calls from worker to worker: functions of the configuration, hooks, streams, and workers that die meanwhile."""

import httpx

from tests.support.daemon import Daemon
from tests.support.waiting import wait_until

APP = """
import asyncio, json, os
from contextlib import aclosing
from hornbeam_erlang import CallError, aio, call


class Handler:
    def who(self):
        return os.getpid()

    def die(self):
        with open("deaths", "a") as file:
            file.write("x")
        os._exit(9)

    async def endless(self):
        try:
            while True:
                yield b"x" * 1000
        finally:
            with open("closed", "w") as file:
                file.write(str(os.getpid()))


def whoami():
    return os.getpid()


async def application(scope, receive, send):
    if scope["type"] == "lifespan":
        assert (await receive())["type"] == "lifespan.startup"
        await aio.register_hook(f"worker {os.getpid()}", Handler)
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})
        return
    action, workers = scope["path"][1:], scope["query_string"].decode().split(",")
    other = next(f"worker {pid}" for pid in workers if pid != str(os.getpid()))
    await send({"type": "http.response.start", "status": 200, "headers": []})
    try:
        if action == "whoami":
            answer = call("whoami")
        elif action == "endless":
            async with aclosing(aio.stream(other, "endless")) as parts:
                async for part in parts:
                    body = str(os.getpid()).encode().ljust(1000)
                    await send({"type": "http.response.body", "body": body, "more_body": True})
        else:
            answer = await aio.execute(other, action)
    except CallError as error:
        answer = type(error).__name__
    await send({"type": "http.response.body", "body": json.dumps([os.getpid(), answer]).encode()})
"""


def test_workers_call_each_other(tmp_path):
    (tmp_path / "app.py").write_text(APP)
    options = ("--worker-class", "asgi", "--workers", "2", "--functions", '{"whoami": "app:whoami"}')
    with Daemon("app:application", *options, folder=tmp_path, ready=2) as daemon:
        workers = daemon.workers()
        query = ",".join(map(str, workers))

        def ask(action):
            asked, answer = httpx.get(f"{daemon.url}/{action}?{query}", timeout=10).json()
            return asked, answer, next(pid for pid in workers if pid != asked)

        # A function of the configuration runs in the very worker that calls it; hooks may be elsewhere.
        asked, answer, other = ask("whoami")
        assert answer == asked
        asked, answer, other = ask("who")
        assert answer == other

        # A client that goes ends the stream at its source, in the other worker.
        with httpx.stream("GET", f"{daemon.url}/endless?{query}") as response:
            asked = int(next(response.iter_bytes(1000)))
        (other,) = set(workers) - {asked}
        wait_until(lambda: (tmp_path / "closed").exists() and (tmp_path / "closed").read_text() == str(other))

        # That a worker has died during a call is known at once, and its replacement does not get the call.
        asked, answer, other = ask("die")
        assert answer == "HubGone"
        workers = daemon.wait(
            lambda: found if len(found := set(daemon.workers()) - {other}) == 2 else None, "there is no replacement"
        )
        query = ",".join(map(str, workers))
        asked, answer, other = ask("who")
        assert answer == other
        assert (tmp_path / "deaths").read_text() == "x"


def test_a_function_that_cannot_be_loaded_is_a_boot_failure(tmp_path):
    (tmp_path / "app.py").write_text(APP)
    options = ("--worker-class", "asgi", "--workers", "1", "--functions", '{"f": "app:nothing"}')
    with Daemon("app:application", *options, folder=tmp_path) as daemon:
        assert daemon.wait_ended(20) == 1
        assert "functions.f: 'app' has no attribute 'nothing'" in daemon.log
