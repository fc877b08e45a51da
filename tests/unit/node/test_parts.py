"""Results in parts, between threads and coroutines of one process (node/parts.py)."""

import asyncio
import threading
from contextlib import aclosing, closing

import pytest

from hornbeamd.errors import CallTimeout
from hornbeamd.node.home import Background
from hornbeamd.node.parts import AHEAD, from_loop, from_thread, in_parts, whole
from hornbeamd.node.threads import Threads
from tests.support.waiting import wait_until


@pytest.fixture
def loop():
    background = Background("test")
    yield background.loop
    background.stop()


@pytest.fixture
def threads():
    threads = Threads(2)
    yield threads
    threads.close()


class Source:
    """Numbers without end, as both kinds of generators; remembers how many were made, where, and that it was closed."""

    def __init__(self, end=10**6, error=None):
        self.end = end
        self.error = error
        self.made = 0
        self.threads = set()
        self.closed = threading.Event()

    def numbers(self):
        try:
            for number in range(self.end):
                self.threads.add(threading.get_ident())
                self.made += 1
                yield number
            if self.error:
                raise self.error
        finally:
            self.threads.add(threading.get_ident())
            self.closed.set()

    async def numbers_async(self):
        with closing(self.numbers()) as numbers:
            for number in numbers:
                yield number


def test_a_thread_gets_what_a_loop_makes(loop):
    assert list(from_loop(Source(100).numbers_async(), loop, 5)) == list(range(100))


def test_a_coroutine_gets_what_a_thread_makes(threads):
    async def use():
        return [part async for part in from_thread(Source(100).numbers(), threads)]

    assert asyncio.run(use()) == list(range(100))


def test_errors_arrive_behind_the_parts(loop, threads):
    got = []
    with pytest.raises(ValueError, match="bad"):
        got.extend(from_loop(Source(3, ValueError("bad")).numbers_async(), loop, 5))
    assert got == [0, 1, 2]

    async def use():
        parts = from_thread(Source(3, ValueError("bad")).numbers(), threads)
        assert [await anext(parts) for _ in range(3)] == [0, 1, 2]
        await anext(parts)

    with pytest.raises(ValueError, match="bad"):
        asyncio.run(use())


def test_the_maker_is_not_far_ahead_and_is_closed_in_its_loop(loop):
    source = Source()
    parts = from_loop(source.numbers_async(), loop, 5)
    assert next(parts) == 0
    wait_until(lambda: source.made >= AHEAD)
    parts.close()
    assert source.closed.wait(5)
    assert source.made <= AHEAD + 2
    assert len(source.threads) == 1


def test_the_maker_is_not_far_ahead_and_is_closed_in_its_thread(threads):
    source = Source()

    async def use():
        async with aclosing(from_thread(source.numbers(), threads)) as parts:
            assert await anext(parts) == 0
        await asyncio.get_running_loop().run_in_executor(None, source.closed.wait, 5)

    asyncio.run(use())
    assert source.closed.is_set()
    assert source.made <= AHEAD + 2
    assert source.threads.isdisjoint({threading.get_ident()})
    assert len(source.threads) == 1


def test_each_part_has_its_time_out(loop):
    closed = threading.Event()

    async def slow():
        yield 1
        try:
            await asyncio.Event().wait()
        finally:
            closed.set()

    parts = from_loop(slow(), loop, 0.02)
    assert next(parts) == 1
    with pytest.raises(CallTimeout, match=r"no part of the result within 0\.02 s"):
        next(parts)
    assert closed.wait(5)


def test_what_comes_in_parts_and_what_does_not():
    assert list(in_parts([1, 2])) == [1, 2]
    assert list(in_parts(range(2))) == [0, 1]
    for result in ("text", b"bytes", {"a": 1}, 1, None):
        assert whole(result) is result
        with pytest.raises(TypeError, match=f"type {type(result).__name__} does not come in parts"):
            in_parts(result)
    for generator in ((part for part in ()), Source().numbers_async()):
        with pytest.raises(TypeError, match="ask for it with stream"):
            whole(generator)
