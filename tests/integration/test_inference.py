"""``hornbeam_ml`` in several processes that have one hub and one cache."""

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from hornbeam_ml import batched
from hornbeamd.node.handlers import Hook
from hornbeamd.node.offers import Offers, hook_name
from hornbeamd.node.serving import Serving
from hornbeamd.node.threads import Threads
from hornbeamd.state import terms
from tests.support.hubs import Hub
from tests.support.waiting import wait_until

ROOT = Path(__file__).resolve().parents[2]

PROCESS = """
import asyncio, json, os, sys, threading
from hornbeam_ml import aio, cache_stats, cached_inference
from hornbeamd.config.options import Options
from hornbeamd.node import Place, install, joined

folder, how = sys.argv[1:]
node = joined(Place(folder, folder + "/state"), Options(), "process")
install(node)

def compute(number):
    with open(folder + "/computed", "a") as file:
        file.write(f"{number}\\n")
    if number < 0:
        threading.Event().wait(60)  # until this process is killed
    return [number] * 3

def answers(results):
    print(json.dumps([results, cache_stats()["hits"]]), flush=True)

async def coroutines():
    await node.connect()
    print("ready", flush=True)
    while line := await asyncio.to_thread(sys.stdin.readline):
        answers(await asyncio.gather(*(aio.cached_inference(compute, number) for number in json.loads(line))))

def threads():
    print("ready", flush=True)
    for line in sys.stdin:
        answers([cached_inference(compute, number) for number in json.loads(line)])

threads() if how == "threads" else asyncio.run(coroutines())
"""


class Process:
    """A program that computes what it is asked for, a line at a time."""

    def __init__(self, hub: Hub, how: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", PROCESS, hub.place.directory, how],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout.readline() == "ready\n"

    def ask(self, numbers: list[int]) -> None:
        print(json.dumps(numbers), file=self.process.stdin, flush=True)

    def answer(self) -> tuple[list[list[int]], int]:
        return json.loads(self.process.stdout.readline())

    def close(self) -> None:
        self.process.kill()
        self.process.communicate()


@pytest.fixture
def hub() -> Iterator[Hub]:
    hub = Hub()
    yield hub
    hub.close()


@pytest.fixture
def start(hub):
    with ExitStack() as stack:

        def start(how: str) -> Process:
            process = Process(hub, how)
            stack.callback(process.close)
            return process

        yield start


def computed(hub: Hub) -> list[int]:
    file = Path(hub.place.directory, "computed")
    return [int(line) for line in file.read_text().split()] if file.exists() else []


def waiting(hub: Hub) -> int:
    """How many wait for a lock that another has."""
    return hub.office.locks.status()["waiting"]


def test_each_result_is_computed_once_and_no_process_holds_up_the_others_for_good(hub, start):
    """Whoever computes may be killed; the next computes, and a cache that was written to meanwhile is whole."""
    threads, coroutines, doomed = start("threads"), start("coroutines"), start("threads")
    numbers = list(range(100))
    for process in (threads, coroutines, doomed):
        process.ask(numbers)
    answers = [process.answer() for process in (threads, coroutines, doomed)]
    assert [results for results, _ in answers] == [[[number] * 3 for number in numbers]] * 3
    assert sorted(computed(hub)) == numbers
    assert max(hits for _, hits in answers) == 200

    doomed.ask([-1])
    wait_until(lambda: computed(hub)[-1] == -1)
    threads.ask([-1])
    coroutines.ask([-1])
    wait_until(lambda: waiting(hub) == 2)
    doomed.process.kill()
    wait_until(lambda: computed(hub)[100:] == [-1, -1])
    threads.process.kill()
    coroutines.process.kill()


def test_without_a_hub_everybody_computes(hub, start):
    process = start("threads")
    hub.kill()
    hub._listener.close()  # nor a supervisor that would start another
    process.ask([1, 2, 1])
    assert process.answer() == [[[1] * 3, [2] * 3, [1] * 3], 1]


def test_calls_from_all_processes_join_in_one_process_of_a_pool():
    """Forty wait for their batch in a process with one thread."""
    hub = Hub(awaited={"hook:pool"})
    batches = []

    class Handler:
        @batched(max_size=20, max_wait_ms=1e6)
        def encode(self, items):
            batches.append(len(items))
            return [ValueError("seven") if item == 7 else item * 2 for item in items]

    async def run():
        offers, threads = Offers(), Threads(1)
        pool, callers = hub.node("pool"), [hub.node(f"caller {number}") for number in range(2)]
        serving = Serving(offers, threads)
        pool.post.servant = serving
        for node in (pool, *callers):
            await node.connect()
        hook = Hook(Handler())
        offers.add(hook_name("pool"), hook, hook.at_once)
        offers.through(pool.post)
        calls = [
            callers[number % 2].post.aio.call("hook:pool", terms.pack(("encode", (number,), {})), 10)
            for number in range(40)
        ]
        answers = await asyncio.gather(*calls, return_exceptions=True)
        for node in (pool, *callers):
            await node.leave()
        threads.close()
        return answers

    try:
        answers = asyncio.run(run())
    finally:
        hub.close()
    assert "seven" in str(answers.pop(7))
    assert [terms.unpack(answer) for answer in answers] == [number * 2 for number in range(40) if number != 7]
    assert batches == [20, 20]
