"""hornbeam_ml.batched"""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from multiprocessing import get_context

import numpy
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hornbeam_ml import _batched, batched
from hornbeamd import node
from tests.support.waiting import wait_until


@pytest.fixture
def impatient(monkeypatch):
    """A thread that has nothing to do ends at once."""
    monkeypatch.setattr(_batched, "_IDLE", 0.0)


class Gate:
    """A function of lists that begins its first batch when it is let; ``batches`` is what it was called with."""

    def __init__(self, fn=lambda items: [item * 10 for item in items]):
        self.batches = []
        self.open = threading.Event()
        self._fn = fn

    def __call__(self, items):
        self.batches.append(list(items))
        self.open.wait(10)
        return self._fn(items)


async def until(condition):
    """Let other Tasks run until *condition* holds."""
    await asyncio.to_thread(wait_until, condition)


def together(fn, items, gate):
    """Ask for all *items* while a batch with the item 0 holds up the rest; results, or exceptions, of the items."""

    async def ask():
        first = asyncio.create_task(fn.aio(0))
        await until(lambda: gate.batches)
        asked = [asyncio.create_task(fn.aio(item)) for item in items]
        await until(lambda: len(fn._waiting) == len(asked))
        gate.open.set()
        await asyncio.wait([first])
        return await asyncio.gather(*asked, return_exceptions=True)

    return asyncio.run(ask())


def test_a_function_of_lists_as_one_of_items():
    double = batched(lambda items: [item * 2 for item in items], max_wait_ms=0)
    assert [double(1), double(2)] == [2, 4]
    assert asyncio.run(double.aio(3)) == 6


def test_what_comes_together_is_one_call():
    gate = Gate()
    assert together(batched(gate, 8, 0), range(1, 6), gate) == [10, 20, 30, 40, 50]
    assert gate.batches == [[0], [1, 2, 3, 4, 5]]


@settings(max_examples=30, deadline=None)
@given(items=st.lists(st.integers(), max_size=20), max_size=st.integers(1, 6))
def test_batches_keep_the_order_and_the_bound(items, max_size):
    gate = Gate()
    assert together(batched(gate, max_size, 0), items, gate) == [item * 10 for item in items]
    assert [item for batch in gate.batches for item in batch] == [0, *items]
    assert max(map(len, gate.batches)) <= max_size
    assert len(gate.batches) == 1 + -(-len(items) // max_size)


@settings(max_examples=30, deadline=None)
@given(
    items=st.lists(st.integers(0, 3), min_size=1, max_size=12),
    max_size=st.integers(1, 5),
    shape=st.sampled_from([list, tuple, iter, numpy.array]),
)
def test_one_bad_item_fails_only_itself(items, max_size, shape):
    def fn(batch):
        results = [ValueError(item) if item == 3 else item for item in batch]
        return numpy.array(results, object) if shape is numpy.array else shape(results)

    gate = Gate(fn)
    results = together(batched(gate, max_size, 0), items, gate)
    assert [3 if isinstance(result, ValueError) else result for result in results] == items


def test_all_of_a_batch_get_what_it_raises():
    def fails(items):
        if 1 in items:
            raise ZeroDivisionError(f"{len(items)} items")
        return items

    gate = Gate(fails)
    results = together(batched(gate, 3, 0), [1, 2, 3, 4], gate)
    assert [str(result) for result in results] == ["3 items"] * 3 + ["4"]


@pytest.mark.parametrize("results", [[], [1, 2], iter([])])
def test_a_wrong_number_of_results(results):
    fn = batched(lambda items: results, max_wait_ms=0)
    with pytest.raises(ValueError, match=r"gave [02] results for 1 items"):
        fn(1)


def test_no_list_at_all():
    with pytest.raises(TypeError, match="not iterable"):
        batched(lambda items: None, max_wait_ms=0)(1)


def test_the_end_of_an_iteration_is_an_error():
    def stops(items):
        raise StopIteration

    for ask in (batched(stops, max_wait_ms=0), lambda item: asyncio.run(batched(stops, max_wait_ms=0).aio(item))):
        with pytest.raises(RuntimeError, match="StopIteration"):
            ask(1)


def test_a_full_batch_does_not_wait():
    fn = batched(lambda items: [len(items)] * len(items), max_size=3, max_wait_ms=1e6)
    with ThreadPoolExecutor(3) as threads:
        assert list(threads.map(fn, range(3))) == [3, 3, 3]


def test_what_is_not_full_waits_no_longer_than_it_may():
    fn = batched(lambda items: [len(items)] * len(items), max_size=1000, max_wait_ms=20)
    assert fn(1) == 1


def test_who_does_not_wait_any_more_is_in_no_batch():
    gate = Gate()
    fn = batched(gate, 8, 0)

    async def ask():
        first = asyncio.create_task(fn.aio(0))
        await until(lambda: gate.batches)
        gone, stays = asyncio.create_task(fn.aio(1)), asyncio.create_task(fn.aio(2))
        await until(lambda: len(fn._waiting) == 2)
        gone.cancel()
        await asyncio.wait([gone])
        gate.open.set()
        await first
        return await stays

    assert asyncio.run(ask()) == 20
    assert gate.batches == [[0], [2]]


def test_the_thread_ends_when_there_is_nothing_to_do(impatient):
    fn = batched(lambda items: items, max_wait_ms=0)
    assert fn(1) == 1
    wait_until(lambda: fn._thread is None)
    assert fn(2) == 2


def test_it_may_be_called_before_a_fork_and_after_it(impatient):
    fn = batched(lambda items: items, max_wait_ms=0)
    assert fn(1) == 1
    wait_until(lambda: fn._thread is None)
    process = get_context("fork").Process(target=lambda: fn(2))
    process.start()
    process.join()
    assert process.exitcode == 0


def test_calling_itself_is_an_error():
    fn = batched(lambda items: [fn(item) for item in items], max_wait_ms=0)
    with pytest.raises(RuntimeError, match="calls itself"):
        fn(1)


class Encoder:
    def __init__(self, offset):
        self.offset = offset

    @batched(max_size=4, max_wait_ms=0)
    def encode(self, texts):
        """Vectors of texts."""
        return [len(text) + self.offset for text in texts]


def test_as_a_method_each_object_has_its_own():
    one, other = Encoder(0), Encoder(100)
    assert (one.encode("abc"), other.encode("abc")) == (3, 103)
    assert one.encode is one.encode is not other.encode
    assert Encoder.encode.__doc__ == one.encode.__doc__ == "Vectors of texts."
    assert one.encode.__name__ == "encode"


def test_as_a_decorator():
    @batched
    def plain(items):
        return items

    @batched(max_size=2)
    def bounded(items):
        return items

    assert (plain(1), bounded(2), plain.__name__) == (1, 2, "plain")


@pytest.mark.parametrize("options", [{"max_size": 0}, {"max_wait_ms": -1}, {"max_wait_ms": float("nan")}])
def test_bounds_that_are_none(options):
    with pytest.raises(ValueError, match="batches of"):
        batched(list, **options)


def test_coroutine_functions_are_refused():
    async def fn(items):
        return items

    for wrong in (fn, "fn"):
        with pytest.raises(TypeError, match="plain function"):
            batched(wrong)


def test_when_the_system_has_no_thread_the_next_call_may_get_one(monkeypatch):
    def refuse(thread):
        raise RuntimeError("can't start new thread")

    double = batched(lambda items: [item * 2 for item in items], max_wait_ms=0)
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        with pytest.raises(RuntimeError, match="can't start"):
            double(1)
    assert double(2) == 4


def test_a_batch_runs_as_code_of_the_generation_that_has_made_the_function():
    """Whoever calls it, and whichever thread comes first."""
    here = node.alone()
    second = here.generations.prepare(2)

    class Model:
        @batched
        def encode(self, items):
            return [here.generations.acting().number for _ in items]

    with second.running():

        @batched
        def encode(items):
            return [here.generations.acting().number for _ in items]

        class Newer(Model):
            encode = batched(Model.encode._fn)

    assert encode(1) == Newer().encode(1) == 2
    assert Model().encode(1) == 1
    second.commit()
    assert Model().encode(1) == 2  # made by code of nobody knows which generation
