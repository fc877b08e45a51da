"""The stand-in outside the server."""

import asyncio
import os
import threading

import pytest

from hornbeamd.errors import NotRegistered
from hornbeamd.node import alone, current, install
from hornbeamd.node.alone import AlonePost
from tests.support.waiting import wait_until


@pytest.fixture
def post():
    return AlonePost()


def test_nobody_can_be_called(post):
    for call in (
        lambda: post.call("function:f", b"", 1),
        lambda: list(post.stream("function:f", b"", 1)),
        lambda: asyncio.run(post.aio.call("function:f", b"", 1)),
        lambda: aiter(post.aio.stream("function:f", b"", 1)),
    ):
        with pytest.raises(NotRegistered, match="function:f"):
            call()
    post.cast("function:f", b"")
    asyncio.run(post.aio.cast("function:f", b""))
    post.offer("function:f", 1)
    post.withdraw("function:f")


# --- locks ---


def test_a_lock_is_held_by_one_and_given_to_who_waits_longest(post):
    order = []

    def enter(name):
        with post.lock(b"k", 10):
            order.append(name)

    with post.lock(b"k", 10):
        threads = []
        for name in range(3):
            threads.append(threading.Thread(target=enter, args=(name,)))
            threads[-1].start()
            wait_until(lambda name=name: len(post.locks._waiting[b"k"]) == name + 1)
        with post.lock(b"another", 10):
            order.append("mine")
    for thread in threads:
        thread.join()
    assert order == ["mine", 0, 1, 2]
    assert not post.locks._waiting


def test_who_has_waited_long_enough_goes_on_without(post):
    entered = []
    with post.lock(b"k", 10):
        with post.lock(b"k", 0.01):
            entered.append("thread")

        async def main():
            async with post.aio.lock(b"k", 0.01):
                entered.append("coroutine")

        asyncio.run(main())
    assert entered == ["thread", "coroutine"]
    assert not post.locks._waiting


def test_threads_and_coroutines_wait_for_each_other(post):
    async def main():
        async with post.aio.lock(b"k", 10):
            order.append("coroutine")

    order = []
    with post.lock(b"k", 10):
        thread = threading.Thread(target=lambda: asyncio.run(main()))
        thread.start()
        wait_until(lambda: post.locks._waiting[b"k"])
        order.append("thread")
    thread.join()
    assert order == ["thread", "coroutine"]


def test_who_is_cancelled_while_waiting_keeps_nobody_waiting(post):
    async def main():
        async def enter():
            async with post.aio.lock(b"k", 10):
                raise AssertionError("entered")

        async with post.aio.lock(b"k", 10):
            task = asyncio.create_task(enter())
            await asyncio.sleep(0)
            task.cancel()
            await asyncio.wait([task])
            assert task.cancelled()
        async with post.aio.lock(b"k", 10):
            pass

    asyncio.run(main())
    assert not post.locks._waiting


# --- the node of a process ---


@pytest.fixture
def nobody():
    install(None)
    yield
    install(None)


@pytest.mark.usefixtures("nobody")
def test_the_first_use_makes_one_and_all_threads_get_it():
    found = []
    barrier = threading.Barrier(8)

    def use():
        barrier.wait()
        found.append(current())

    threads = [threading.Thread(target=use) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(found)) == 1
    other = alone()
    install(other)
    assert current() is other


@pytest.mark.usefixtures("nobody")
def test_it_starts_nothing():
    before = threading.active_count()
    current().store.set("k", 1)
    current().publish("t", 1)
    assert threading.active_count() == before


@pytest.mark.usefixtures("nobody")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_forked_child_has_a_copy_of_the_state_and_nobody_who_waits():
    node = current()
    node.store.set("k", 1)
    read, write = os.pipe()
    with node.subscribe("t"), node.post.lock(b"lock", 1):
        pid = os.fork()
        if not pid:
            try:
                with node.post.lock(b"lock", 0):
                    free = b"lock" in node.post.locks._waiting
                node.store.incr("k")
                with node.subscribe("t") as own:
                    counts = node.publish("t", "child"), own.get(1)
                os.write(write, repr((node.store.get("k"), free, counts)).encode())
            finally:
                os._exit(0)
        os.waitpid(pid, 0)
        assert os.read(read, 1000).decode() == repr((2, True, (1, "child")))
        assert node.store.get("k") == 1
    os.close(read)
    os.close(write)
