"""All that workers share, at once, while processes are killed: nothing is lost, mixed up, or answered to another."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import random
import re
import signal
import threading
import time
from collections import Counter
from pathlib import Path

import pytest

from tests.support.daemon import Daemon, alive
from tests.support.waiting import wait_until

APP = """
import asyncio
import json
from urllib.parse import parse_qs

import hornbeam_erlang as erlang
from hornbeam_erlang import aio
from hornbeam_ml import aio as ml

REFUSED = (erlang.HubGone, erlang.CallTimeout)
tasks = set()


async def watch_order():
    latest = {}
    async with erlang.subscribe("order:*") as messages:
        async for topic, number in messages.items():
            if number <= latest.get(topic, 0):
                erlang.state_incr("disorder")
            latest[topic] = number
            erlang.state_incr("delivered")


async def squared(text):
    erlang.state_incr("computed")
    await asyncio.sleep(0.01)
    return int(text) ** 2


async def incr(n):
    return erlang.state_incr("total")


async def report(n):
    return erlang.state_get_multi(["total", "disorder", "delivered"])


async def pair(n):
    erlang.state_set_multi({"left": n, "right": n})
    found = erlang.state_get_multi(["left", "right"])
    return found["left"] == found["right"]


async def publish(n):
    return await aio.publish(f"order:{n % 8}", n)


async def call(n):
    return await aio.call("tripled", n)


async def execute(n):
    return await aio.execute("numbers", "doubled", n)


async def stream(n):
    return [part async for part in aio.stream("numbers", "count", n % 50)]


async def cached(n):
    return await ml.cached_inference(squared, str(n % 1000))


async def application(scope, receive, send):
    if scope["type"] == "lifespan":
        await receive()
        tasks.add(asyncio.create_task(watch_order()))
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})
        return
    number = int(parse_qs(scope["query_string"].decode())["n"][0])
    try:
        status, body = 200, await globals()[scope["path"].strip("/")](number)
    except REFUSED as error:
        status, body = 503, f"{type(error).__name__}: {error}"
    await send({"type": "http.response.start", "status": status, "headers": []})
    await send({"type": "http.response.body", "body": json.dumps(body).encode()})
"""

POOL = """
class Numbers:
    def doubled(self, n):
        return n * 2

    def count(self, n):
        yield from range(n)


def tripled(n):
    return n * 3
"""

CONFIG = """
[hornbeam]
app = "app:application"
worker_class = "asgi"
workers = 3
restart_intensity = 100000

[hornbeam.hub]
call_timeout = "20s"

[hornbeam.functions]
tripled = "numbers_pool:tripled"

[hornbeam.pools.numbers]
handler = "numbers_pool:Numbers"
processes = 2
"""

EXPECTED = {
    "call": lambda n: n * 3,
    "execute": lambda n: n * 2,
    "stream": lambda n: list(range(n % 50)),
    "cached": lambda n: (n % 1000) ** 2,
    "pair": lambda n: True,
}
_PID = re.compile(r"\bpid=(\d+)")
_MORTAL = re.compile(r"worker ready|pool process ready|hub ready")


class Clients:
    """Threads that ask, each with numbers of its own, and compare what they get."""

    def __init__(self, port: int, count: int) -> None:
        self.counts: Counter[str] = Counter()
        self.totals: list[int] = []
        self.wrong: list[str] = []
        self._port = port
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._ask, args=(number, count)) for number in range(count)]

    def __enter__(self) -> Clients:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()

    def _ask(self, number: int, step: int) -> None:
        chance = random.Random(number)
        while not self._over.is_set():
            connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=30)
            with contextlib.closing(connection), contextlib.suppress(OSError, http.client.HTTPException):
                while not self._over.is_set():
                    number += step
                    self._one(connection, chance.choice(["incr", "publish", *EXPECTED]), number)

    def _one(self, connection: http.client.HTTPConnection, path: str, number: int) -> None:
        connection.request("GET", f"/{path}?n={number}")
        answer = connection.getresponse()
        body = json.loads(answer.read() or b"null")
        self.counts[f"{path} {answer.status}"] += 1
        if answer.status == 503 and "HubGone" in body:
            return  # the process at work on it, or the hub, was killed
        if answer.status != 200:
            self.wrong.append(f"{path} {number}: {answer.status} {body}")
        elif path == "incr":
            self.totals.append(body)
        elif path in EXPECTED and body != EXPECTED[path](number):
            self.wrong.append(f"{path} {number}: {body}")


def mortals(hornbeamd: Daemon) -> list[int]:
    """The processes that the daemon must survive the death of."""
    lines = (line for line in hornbeamd.log.splitlines() if _MORTAL.search(line))
    return [pid for line in lines if alive(pid := int(_PID.findall(line)[0]))]


@pytest.mark.parametrize("seconds", [4, pytest.param(120, marks=[pytest.mark.slow, pytest.mark.timeout(240)])])
def test_all_at_once_and_somebody_dies_every_second(seconds: int, tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(APP)
    (tmp_path / "numbers_pool.py").write_text(POOL)
    (tmp_path / "sys.toml").write_text(CONFIG)
    chance = random.Random(7)
    with Daemon("-c", "sys.toml", folder=tmp_path, ready=3) as hornbeamd:
        end = time.monotonic() + seconds
        with Clients(hornbeamd.port, 8) as clients:
            while time.monotonic() < end and not clients.wrong:
                deaths = time.monotonic() + 1
                os.kill(chance.choice(mortals(hornbeamd)), signal.SIGKILL)
                wait_until(lambda deaths=deaths: time.monotonic() > deaths, deadline=2)
        assert not clients.wrong, clients.wrong[:5]
        assert len(set(clients.totals)) == len(clients.totals), "one number was given out twice"
        answered = {name.split()[0] for name in clients.counts if name.endswith(" 200")}
        assert answered == {"incr", "publish", *EXPECTED}, clients.counts
        stored = report(hornbeamd.port)
        assert stored["total"] >= max(clients.totals)
        assert stored["delivered"] > 0
        assert stored["disorder"] is None


def report(port: int) -> dict[str, int | None]:
    """What is stored in the end, asked for over HTTP as everything else."""
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=30)) as connection:
        connection.request("GET", "/report?n=0")
        found: dict[str, int | None] = json.loads(connection.getresponse().read())
        return found
