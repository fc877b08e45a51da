"""The threads of a worker (apps/threads.py)."""

import asyncio
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from hornbeamd.apps.threads import Threads
from tests.support.waiting import wait_until


class Job:
    """Runs a function, and tells when that is over."""

    def __init__(self, function=lambda: None) -> None:
        self.function = function
        self.done = threading.Event()

    def run(self) -> None:
        self.function()
        self.done.set()


@contextmanager
def threads(size: int) -> Iterator[Threads]:
    """*size* threads for a loop that runs in a thread of its own."""
    loop = asyncio.new_event_loop()
    runner = threading.Thread(target=loop.run_forever)
    runner.start()
    pool = Threads(size, loop)
    try:
        yield pool
    finally:
        loop.call_soon_threadsafe(pool.close)
        loop.call_soon_threadsafe(loop.stop)
        runner.join(5)
        loop.close()


def submit(pool: Threads, *jobs: Job) -> None:
    """Submit *jobs* in one turn of the loop."""
    pool.loop.call_soon_threadsafe(lambda: [pool.submit(job) for job in jobs])


@pytest.mark.parametrize("size", [1, 2, 8])
def test_every_job_runs_once(size: int):
    counts = [0] * 2000
    with threads(size) as pool:

        def count(number: int) -> None:
            counts[number] += 1

        jobs = [Job(lambda number=number: count(number)) for number in range(2000)]
        for start in range(0, 2000, 7):
            submit(pool, *jobs[start : start + 7])
        assert all(job.done.wait(5) for job in jobs)
    assert counts == [1] * 2000


def test_jobs_run_in_the_order_they_came():
    order: list[int] = []
    with threads(1) as pool:
        jobs = [Job(lambda number=number: order.append(number)) for number in range(100)]
        submit(pool, *jobs)
        assert jobs[-1].done.wait(5)
    assert order == list(range(100))


@pytest.mark.parametrize("together", [True, False])
def test_jobs_that_wait_get_all_threads(together: bool):
    """As many at once as there are threads, whether they came at once or one by one."""
    barrier = threading.Barrier(4)
    with threads(4) as pool:
        for _ in range(20):
            jobs = [Job(lambda: barrier.wait(5)) for _ in range(4)]
            if together:
                submit(pool, *jobs)
            else:
                for job in jobs:
                    submit(pool, job)
            assert all(job.done.wait(5) for job in jobs)


def test_a_job_that_waits_holds_up_no_other():
    go_on = threading.Event()
    with threads(2) as pool:
        slow = Job(lambda: go_on.wait(10))
        submit(pool, slow)
        for _ in range(200):
            fast = Job()
            submit(pool, fast)
            assert fast.done.wait(5)
        assert not slow.done.is_set()
        go_on.set()
        assert slow.done.wait(5)


def test_a_job_that_computes_holds_up_no_other():
    """The interpreter is shared: the other thread gets its turn after the switch interval."""
    go_on = threading.Event()

    def compute() -> None:
        while not go_on.is_set():
            sum(range(100))

    with threads(2) as pool:
        busy = Job(compute)
        submit(pool, busy)
        other = Job()
        submit(pool, other)
        assert other.done.wait(5)
        go_on.set()
        assert busy.done.wait(5)


def test_a_thread_woken_for_nothing_keeps_nobody_waiting():
    """A busy thread may take the job that another was woken for: who finds nothing must not count as on its way."""
    with threads(2) as pool:
        for _ in range(50):
            pool.loop.call_soon_threadsafe(pool._wake)
            job = Job()
            submit(pool, job)
            assert job.done.wait(5)
            wait_until(lambda: len(pool._idle) == 2)
            pool.loop.call_soon_threadsafe(pool._wake)
            wait_until(lambda: len(pool._idle) == 2)


def test_no_wake_up_is_lost_under_load():
    """Bursts of all sizes with pauses in between, in which all threads go to sleep."""
    with threads(3) as pool:
        for burst in range(300):
            jobs = [Job() for _ in range(burst % 7 + 1)]
            submit(pool, *jobs)
            assert all(job.done.wait(5) for job in jobs), f"burst {burst} hangs"


def test_what_threads_post_runs_on_the_loop_in_order():
    seen: list[tuple[int, int, str]] = []
    with threads(1) as pool:

        def note(one: int, two: int) -> None:
            seen.append((one, two, threading.current_thread().name))

        loop_thread: list[str] = []
        pool.loop.call_soon_threadsafe(lambda: loop_thread.append(threading.current_thread().name))
        submit(pool, Job(lambda: [pool.post(note, number, -number) for number in range(500)]))
        wait_until(lambda: len(seen) == 500)
    assert [one for one, _, _ in seen] == list(range(500))
    assert all(two == -one and name == loop_thread[0] for one, two, name in seen)


def test_one_thing_posted_that_fails_keeps_nothing_back(caplog):
    done = threading.Event()
    with threads(1) as pool:

        def fail(one: None, two: None) -> None:
            raise ValueError("not done")

        def work() -> None:
            pool.post(fail, None, None)
            pool.post(lambda one, two: done.set(), None, None)

        submit(pool, Job(work))
        assert done.wait(5)
    assert [record.exc_info[0] for record in caplog.records] == [ValueError]


def test_running_tells_what_all_threads_do_when_none_is_free():
    """None while one is free: a request that comes now would be served."""
    go_on = threading.Event()
    with threads(2) as pool:
        assert pool.running() is None
        one, two = Job(lambda: go_on.wait(10)), Job(lambda: go_on.wait(10))
        submit(pool, one)
        wait_until(lambda: any(pool._running))
        assert pool.running() is None
        before = time.monotonic()
        submit(pool, two)
        running = wait_until(pool.running)
        assert {job for _, job in running} == {one, two}
        assert before <= max(since for since, _ in running) <= time.monotonic()
        go_on.set()
        wait_until(lambda: pool.running() is None)


def test_closing_ends_idle_threads_at_once_and_busy_ones_with_their_job():
    go_on = threading.Event()
    with threads(3) as pool:
        busy = Job(lambda: go_on.wait(10))
        submit(pool, busy)
        wait_until(lambda: any(pool._running))
        wait_until(lambda: len(pool._idle) == 2)
        pool.loop.call_soon_threadsafe(pool.close)
        wait_until(lambda: sum(thread.is_alive() for thread in pool._threads) == 1)
        go_on.set()
        assert busy.done.wait(5)
        wait_until(lambda: not any(thread.is_alive() for thread in pool._threads))


def test_a_thread_that_outlives_the_loop_does_not_fail():
    """The worker is on its way out: what is posted goes nowhere."""
    go_on = threading.Event()
    with threads(1) as pool:
        late = Job(lambda: (go_on.wait(10), pool.post(lambda one, two: None, None, None)))
        submit(pool, late)
        wait_until(lambda: any(pool._running))
    go_on.set()
    assert late.done.wait(5)
    wait_until(lambda: not pool._threads[0].is_alive())
