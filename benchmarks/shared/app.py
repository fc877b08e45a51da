"""The application that measures: each path runs one measurement in the worker that gets the request.

Durations of single operations are taken one by one, so that a median is one of an operation and not of a mean.
"""

import asyncio
import contextlib
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import numpy
import ormsgpack
import redis

import hornbeam_erlang as erlang
from hornbeam_erlang import aio
from hornbeam_ml import cached_inference

SMALL = {"user": 4711, "name": "Ada", "roles": ["admin", "author"], "score": 0.5, "active": True}
ECHO = """
import socket, sys
here = socket.socket(fileno=int(sys.argv[1]))
while data := here.recv(64):
    here.send(data)
"""
VECTOR = [index / 384 for index in range(384)]
WINDOW = 64  # publishes on their way at once
SPACE = 400_000  # between two messages, in ns; without it a queue would be measured
PAUSE = 0.001  # the same where everybody sleeps meanwhile, in s

Durations = list[int]  # nanoseconds

_tasks: set[asyncio.Task[None]] = set()


def timed(times: int, operation: Callable[[], object]) -> Durations:
    durations, clock = [], time.perf_counter_ns
    for _ in range(times):
        begin = clock()
        operation()
        durations.append(clock() - begin)
    return durations


async def timed_soon(times: int, operation: Callable[[], Awaitable[object]]) -> Durations:
    durations, clock = [], time.perf_counter_ns
    for _ in range(times):
        begin = clock()
        await operation()
        durations.append(clock() - begin)
    return durations


def percentile(durations: Durations, part: float) -> float:
    """In µs."""
    return sorted(durations)[int(len(durations) * part)] / 1000


def p50(durations: Durations) -> float:
    return percentile(durations, 0.5)


async def state(times: int) -> dict[str, float]:
    """Ours and Redis's by turns, so that whatever else the machine does hits both."""
    peer = redis.Redis(unix_socket_path=os.environ["BENCH_REDIS"])
    peer.set("small", ormsgpack.packb(SMALL))
    erlang.state_set("small", SMALL)
    assert ormsgpack.unpackb(peer.get("small")) == erlang.state_get("small") == SMALL  # type: ignore[arg-type]
    operations = {
        "get": lambda: erlang.state_get("small"),
        "set": lambda: erlang.state_set("other", SMALL),
        "incr": lambda: erlang.state_incr("counter"),
        "redis-get": lambda: ormsgpack.unpackb(peer.get("small")),  # type: ignore[arg-type]
        "redis-set": lambda: peer.set("other", ormsgpack.packb(SMALL)),
        "redis-incr": lambda: peer.incr("counter"),
    }
    found: dict[str, Durations] = {name: [] for name in operations}
    for _ in range(5):
        for name, operation in operations.items():
            found[name] += timed(times // 5, operation)
    return {name: p50(durations) for name, durations in found.items()}


async def cached(times: int) -> dict[str, float]:
    array = numpy.array(VECTOR, dtype=numpy.float32)

    def embed(text: str) -> list[float]:
        return VECTOR

    def embed_array(text: str) -> Any:
        return array

    assert (cached_inference(embed_array, "some text") == array).all()
    assert cached_inference(embed, "some text") == VECTOR
    return {
        "cached-list": p50(timed(times, lambda: cached_inference(embed, "some text"))),
        "cached-array": p50(timed(times, lambda: cached_inference(embed_array, "some text"))),
    }


async def bare(times: int) -> dict[str, float]:
    """What the machine takes for it: a message to another process and back, without any server."""
    return {"bare": p50(await asyncio.to_thread(_echoed, times))}


def _echoed(times: int) -> Durations:
    here, there = socket.socketpair()

    def ask() -> None:
        here.send(b"x" * 40)
        here.recv(64)

    with subprocess.Popen([sys.executable, "-c", ECHO, str(there.fileno())], pass_fds=[there.fileno()]), here:
        there.close()
        ask()
        return timed(times, ask)


async def calls(times: int) -> dict[str, float]:
    assert await aio.call("echo", 7) == await aio.call("echo_soon", 7) == 7
    found = {}
    for name in ("echo", "echo_soon"):
        found[f"thread-{name}"] = p50(await asyncio.to_thread(timed, times, partial(erlang.call, name, 7)))
        found[f"coroutine-{name}"] = p50(await timed_soon(times, partial(aio.call, name, 7)))
    return found


async def latency(times: int) -> dict[str, float]:
    """Messages with the time in them, to one subscriber in another worker."""
    other = next(pid for pid in erlang.state_get("workers") if pid != os.getpid())
    topic = f"latency:{other}"

    def in_thread() -> None:
        for _ in range(times):
            assert erlang.publish(topic, time.monotonic_ns()) == 1
            time.sleep(PAUSE)

    for _ in range(times):
        begin = time.monotonic_ns()
        assert await aio.publish(topic, begin) == 1
        while time.monotonic_ns() < begin + SPACE:  # noqa: ASYNC110
            await asyncio.sleep(0)
    await aio.publish(topic, None)
    durations = await _result(topic)
    await asyncio.to_thread(in_thread)
    await aio.publish(topic, None)
    from_thread = await _result(topic)
    publishing = await asyncio.to_thread(timed, times, lambda: erlang.publish("nobody:listens", 0))
    return {
        "publish": p50(publishing),
        "deliver-p50": percentile(durations, 0.5),
        "deliver-p99": percentile(durations, 0.99),
        "deliver-thread-p50": percentile(from_thread, 0.5),
        "deliver-thread-p99": percentile(from_thread, 0.99),
    }


async def deliveries(times: int) -> dict[str, float]:
    """One publisher, ten subscribers in the other two workers, and none of them may miss anything."""
    others = [pid for pid in erlang.state_get("workers") if pid != os.getpid()][:2]
    for pid in others:
        erlang.publish(f"count:{pid}", [5, times])
    for pid in others:
        await _result(f"counting:{pid}")
    begin = time.monotonic_ns()
    reached = 0
    for _ in range(times // WINDOW):
        reached += sum(await asyncio.gather(*(aio.publish("flood:all", begin) for _ in range(WINDOW))))
    ends = [await _result(f"counted:{pid}") for pid in others]
    return {"deliveries": reached / (max(ends) - begin) * 1e9}


async def incr_two(times: int) -> dict[str, float]:
    """One worker alone and two at once by turns, as with Redis above; the sum must be right."""
    workers = erlang.state_get("workers")[:2]
    alone = both = 0.0
    for _ in range(5):
        alone += await _increments(workers[:1], times // 5)
        both += await _increments(workers, times // 5)
    return {"incr-two": 2 * alone / both}


async def _increments(workers: list[int], times: int) -> float:
    """How long all *workers* together take for their increments, in seconds."""
    erlang.state_set("sum", 0)
    begin = time.monotonic_ns() + 200_000_000
    for pid in workers:
        erlang.publish(f"increment:{pid}", [begin, times])
    ends = [await _result(f"increment:{pid}") for pid in workers]
    assert erlang.state_get("sum") == times * len(workers)
    return (max(ends) - begin) / 1e9


async def _result(key: str) -> Any:
    """What another worker has left under *key*."""
    # Not by a subscription: it would take a part in what is measured.
    while (found := erlang.state_get(f"result:{key}")) is None:  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    erlang.state_delete(f"result:{key}")
    return found


# What every worker does when it is asked to by a topic of its own.


async def _collect_latencies(messages: erlang.Subscription) -> None:
    durations: Durations = []
    async for sent in messages:
        if sent is None:
            erlang.state_set(f"result:latency:{os.getpid()}", durations)
            durations = []
        else:
            durations.append(time.monotonic_ns() - sent)


async def _count_when_asked(orders: erlang.Subscription) -> None:
    async for subscribers, times in orders:
        counting = [asyncio.create_task(_count(times // WINDOW * WINDOW)) for _ in range(subscribers)]
        await asyncio.sleep(0.2)  # all have entered
        erlang.state_set(f"result:counting:{os.getpid()}", True)
        await asyncio.gather(*counting)
        erlang.state_set(f"result:counted:{os.getpid()}", time.monotonic_ns())


async def _count(times: int) -> None:
    async with erlang.subscribe("flood:all") as messages:
        count = 0
        async for _ in messages:
            count += 1
            if count + messages.missed >= times:
                break
        assert not messages.missed, f"{messages.missed} missed"


async def _increment_when_asked(orders: erlang.Subscription) -> None:
    async for begin, times in orders:
        await asyncio.to_thread(_increment, begin, times)
        erlang.state_set(f"result:increment:{os.getpid()}", time.monotonic_ns())


def _increment(begin: int, times: int) -> None:
    while time.monotonic_ns() < begin:
        pass
    for _ in range(times):
        erlang.state_incr("sum")


ORDERS = {"latency": _collect_latencies, "count": _count_when_asked, "increment": _increment_when_asked}

MEASUREMENTS = {
    "state": (state, 20_000),
    "cached": (cached, 20_000),
    "bare": (bare, 3_000),
    "calls": (calls, 3_000),
    "latency": (latency, 2_000),
    "deliveries": (deliveries, 20_000),
    "incr-two": (incr_two, 50_000),
}


async def application(scope: dict[str, Any], receive: Any, send: Any) -> None:
    if scope["type"] == "lifespan":
        await _lifespan(receive, send)
        return
    path = scope["path"].strip("/")
    if path == "workers":
        found: Any = len(erlang.state_get("workers", []))
    else:
        measure, times = MEASUREMENTS[path]
        found = await measure(times)
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": json.dumps(found).encode()})


async def _lifespan(receive: Any, send: Any) -> None:
    await receive()
    async with contextlib.AsyncExitStack() as stack:
        for topic, work in ORDERS.items():
            messages = await stack.enter_async_context(erlang.subscribe(f"{topic}:{os.getpid()}"))
            _tasks.add(asyncio.create_task(work(messages)))
        erlang.state_update("workers", lambda pids: [*(pids or []), os.getpid()])
        await send({"type": "lifespan.startup.complete"})
        await receive()
    await send({"type": "lifespan.shutdown.complete"})
