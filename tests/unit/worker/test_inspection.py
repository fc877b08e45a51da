"""The stacks of threads and tasks."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

from hornbeamd.worker import inspection


def looked(*tasks: Any, threads: int = 0) -> dict[str, Any]:
    """The stacks, while *tasks* wait and so many threads do."""
    over = threading.Event()

    async def look() -> dict[str, Any]:
        running = [asyncio.create_task(each, name=f"task {place}") for place, each in enumerate(tasks)]
        await asyncio.sleep(0)
        try:
            return await inspection.stacks({})
        finally:
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)

    waiting = [threading.Thread(target=over.wait, name=f"waiter {number}") for number in range(threads)]
    for thread in waiting:
        thread.start()
    try:
        return asyncio.run(look())
    finally:
        over.set()
        for thread in waiting:
            thread.join()


async def inner() -> None:
    await asyncio.sleep(3600)


async def outer() -> None:
    await inner()


async def generated() -> None:
    async def items() -> Any:
        await inner()
        yield

    async for _ in items():
        pass


async def deep(left: int) -> None:
    if left:
        await deep(left - 1)
    await inner()


def names(lines: list[str]) -> list[str]:
    """The functions of a stack."""
    return [line.partition(" in ")[2].partition(":")[0] for line in lines]


def test_a_task_is_shown_from_its_coroutine_to_what_it_waits_for():
    one, other = looked(outer(), generated())["tasks"]
    assert (one["name"], names(one["stack"])) == ("task 0", ["outer", "inner", "sleep"])
    assert "await asyncio.sleep(3600)" in one["stack"][1]
    assert names(other["stack"])[0] == "generated"


def test_a_thread_is_shown_from_its_beginning_to_where_it_is():
    threads = {each["name"]: each["stack"] for each in looked(threads=1)["threads"]}
    assert threads["MainThread"] == ["runs the event loop"]
    assert "threading.py" in threads["waiter 0"][-1]
    assert names(threads["waiter 0"])[-1] == "wait"


def test_those_that_do_the_same_are_shown_once():
    answer = looked(*(outer() for _ in range(50)), threads=3)
    (tasks,) = answer["tasks"]
    assert tasks["name"].endswith(" and 49 more")
    waiters = [each["name"] for each in answer["threads"] if each["name"].startswith("waiter")]
    assert [name.partition(" and ")[2] for name in waiters] == ["2 more"]


def test_there_are_bounds(monkeypatch):
    monkeypatch.setattr(inspection, "MOST", 2)
    monkeypatch.setattr(inspection, "DEEPEST", 5)
    tasks = looked(deep(20), outer(), generated(), inner())["tasks"]
    assert tasks[2] == {"name": "2 more stacks", "stack": []}
    monkeypatch.setattr(inspection, "MOST", 9)
    stack = next(each["stack"] for each in looked(deep(20))["tasks"])
    assert (stack[0], len(stack), names(stack)[-1]) == ("...", 6, "sleep")
