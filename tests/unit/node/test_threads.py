"""Threads for functions that may wait (node/threads.py)."""

import asyncio
import threading

import pytest

from hornbeamd.node.threads import Threads
from tests.support.waiting import wait_until


def test_no_more_threads_are_started_than_are_needed():
    threads, names = Threads(4), []
    for _ in range(5):
        done = threading.Event()
        threads.submit(lambda done=done: (names.append(threading.current_thread().name), done.set()))
        assert done.wait(5)
        wait_until(lambda: threads._free == 1)
    assert set(names) == {"call-1"}
    threads.close()


def test_as_many_run_at_once_as_there_are_threads_and_the_others_wait():
    threads, gate, lock = Threads(3), threading.Event(), threading.Lock()
    running, most, done = 0, 0, []

    def work():
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        gate.wait(5)
        with lock:
            running -= 1
            done.append(1)

    for _ in range(20):
        threads.submit(work)
    wait_until(lambda: running == 3)
    gate.set()
    wait_until(lambda: len(done) == 20)
    assert most == 3
    threads.close()


def test_closing_ends_the_threads_when_they_are_done():
    threads, done, names = Threads(2), [], set()

    def work(number):
        done.append(number)
        names.add(threading.current_thread())

    for number in range(10):
        threads.submit(lambda number=number: work(number))
    threads.close()
    wait_until(lambda: len(done) == 10)
    for thread in names:
        thread.join(5)
        assert not thread.is_alive()


def test_a_coroutine_gets_what_a_thread_has():
    threads = Threads(1)

    async def use():
        assert await threads.run(divmod, 7, 2) == (3, 1)
        with pytest.raises(ZeroDivisionError):
            await threads.run(divmod, 7, 0)

    asyncio.run(use())
    threads.close()


def test_a_coroutine_does_not_wait_for_a_stop_iteration():
    async def run():
        with pytest.raises(RuntimeError, match="raised StopIteration"):
            await asyncio.wait_for(threads.run(next, iter(())), 10)

    threads = Threads(1)
    asyncio.run(run())
    threads.close()


def test_what_has_not_begun_when_its_caller_is_cancelled_does_not_begin():
    threads, gate, ran = Threads(1), threading.Event(), []

    async def use():
        threads.submit(lambda: gate.wait(5))
        task = asyncio.ensure_future(threads.run(ran.append, 1))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        gate.set()
        await threads.run(ran.append, 2)

    asyncio.run(use())
    assert ran == [2]
    threads.close()


def test_when_the_system_has_no_thread_the_next_work_may_get_one(monkeypatch):
    threads, done = Threads(1), threading.Event()
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        with pytest.raises(RuntimeError, match="can't start"):
            threads.submit(done.set)
    threads.submit(done.set)
    assert done.wait(5)
    threads.close()


def refuse(thread):
    raise RuntimeError("can't start new thread")
