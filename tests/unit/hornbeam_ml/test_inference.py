"""hornbeam_ml: what is computed, what is kept, and what callers get of it."""

import asyncio
import logging
import threading
from types import SimpleNamespace

import numpy
import pytest

from hornbeam_ml import _front, _inference, aio, batched, cache_stats, cached_inference, clear_cache
from hornbeamd.node import alone, install
from hornbeamd.state import cache as state_cache


@pytest.fixture(autouse=True)
def node():
    node = alone()
    install(node)
    yield node
    install(None)


@pytest.fixture
def clock(monkeypatch):
    """The time, which the tests move."""
    clock = SimpleNamespace(now=1000.0)
    for module in (_front, state_cache):
        monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: clock.now))
    return clock


@pytest.fixture(params=["threads", "coroutines"])
def infer(request):
    """``cached_inference`` of a function of threads, and its form for coroutines."""
    if request.param == "threads":
        return cached_inference
    return lambda *args, **options: asyncio.run(aio.cached_inference(*args, **options))


@pytest.fixture
def model():
    """A function that gives ``model.result``, and the inputs that it was called with."""

    def fn(input):
        fn.calls.append(input)
        if isinstance(fn.result, Exception):
            raise fn.result
        return fn.result

    fn.calls, fn.result = [], "result"
    return fn


def test_what_was_computed_once_is_known(infer, model):
    assert [infer(model, "a") for _ in range(3)] == ["result"] * 3
    assert infer(model, "b") == "result"
    assert model.calls == ["a", "b"]
    stats = cache_stats()
    assert (stats.pop("size") > 0, stats.pop("max_size")) == (True, 64 * 1024 * 1024)
    assert stats == {"hits": 2, "misses": 2, "hit_rate": 0.5, "entries": 2, "evictions": 0}


def test_before_anything_was_asked():
    assert cache_stats()["hit_rate"] == 0.0


@pytest.mark.parametrize("result", [None, 0, False, "", [], {}, ()])
def test_a_result_of_nothing_is_one(infer, model, result):
    model.result = result
    results = [infer(model, 1) for _ in range(3)]
    assert [(value, type(value)) for value in results] == [(result, type(result))] * 3
    assert len(model.calls) == 1


def test_what_the_function_raises_is_not_kept(infer, model):
    model.result = ZeroDivisionError("no")
    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            infer(model, 1)
    model.result = "late"
    assert infer(model, 1) == "late"
    assert len(model.calls) == 3


def test_a_function_may_come_to_an_end(infer):
    with pytest.raises((RuntimeError, StopIteration)):
        infer(lambda items: next(iter(items)), ())
    assert infer(lambda items: next(iter(items)), (1,)) == 1


def test_arrays_come_back_as_arrays(infer, model):
    for array in (numpy.arange(384.0), numpy.ones((2, 3), "f4"), numpy.array(["a", "bc"])):
        model.result = array
        infer(model, array)
        again = infer(model, array)
        assert (type(again), again.dtype, again.shape) == (numpy.ndarray, array.dtype, array.shape)
        assert (again == array).all()
    assert len(model.calls) == 3


@pytest.mark.parametrize(
    ("result", "spoil"),
    [
        (numpy.zeros(3), lambda value: value.fill(1)),
        ([0, 0], lambda value: value.append(1)),
        ([[0], [0]], lambda value: value[0].append(1)),
        ({"a": 0}, lambda value: value.clear()),
        ({"a": [0]}, lambda value: value["a"].append(1)),
        (([0], 0), lambda value: value[0].append(1)),
        ({1}, lambda value: value.add(2)),
        ([numpy.zeros(3)], lambda value: value[0].fill(1)),
    ],
)
def test_who_changes_a_result_changes_only_his_own(infer, model, result, spoil):
    model.result = result
    before = repr(result)
    for _ in range(4):
        value = infer(model, 1)
        assert repr(value) == before
        spoil(value)
    assert len(model.calls) == 1


def test_a_result_that_is_no_term_is_given_back(infer, model, caplog):
    model.result = object()
    with caplog.at_level(logging.WARNING):
        assert [infer(model, 1) for _ in range(3)] == [model.result] * 3
    assert len(model.calls) == 3
    assert len(caplog.records) == 1
    assert "object is no term" in caplog.records[0].getMessage()
    assert caplog.records[0].name.startswith("hornbeamd.")  # in the log of the server
    _inference._complained.clear()


def test_ttl(infer, model, clock):
    assert infer(model, 1, ttl=30) == "result"
    clock.now += 29
    infer(model, 1, ttl=30)
    assert len(model.calls) == 1
    clock.now += 1
    infer(model, 1, ttl=30)
    assert len(model.calls) == 2
    for ttl in (0, -1):
        with pytest.raises(ValueError, match="ttl"):
            infer(model, 2, ttl=ttl)
    assert len(model.calls) == 2


def test_clear_cache(infer, model):
    for prefix in ("a", "b"):
        infer(model, 1, cache_prefix=prefix)
    assert clear_cache("a") == 1
    for prefix in ("a", "b"):
        infer(model, 1, cache_prefix=prefix)
    assert len(model.calls) == 3
    assert clear_cache() == 2
    assert clear_cache() == 0


def test_what_another_process_replaced_or_cleared_is_seen_at_once(infer, model, node):
    infer(model, 1, cache_key="key")
    key = _inference.key_of(model, 1, "key", "ml")
    node.cache.put(key, _inference.pack("theirs"))
    assert infer(model, 1, cache_key="key") == "theirs"
    node.cache.clear()
    assert infer(model, 1, cache_key="key") == "result"


def test_what_cannot_be_read_is_computed(infer, model, node):
    node.cache.put(_inference.key_of(model, 1, "key", "ml"), b"\xc1")
    assert infer(model, 1, cache_key="key") == "result"


def test_what_is_in_use_asks_the_cache_again_now_and_then(model, node, clock, monkeypatch):
    """So that it counts as used there; and what was evicted there is gone here before long."""
    asked = []
    get = node.cache.get
    monkeypatch.setattr(node.cache, "get", lambda key: asked.append(key) or get(key))
    cached_inference(model, 1)
    asked.clear()
    for _ in range(100):
        cached_inference(model, 1)
    assert len(asked) == 1
    clock.now += _front.FRESH
    cached_inference(model, 1)
    assert len(asked) == 2


def test_the_layer_in_front_is_bounded(model, node):
    model.result = bytes(_front.SIZE // 20)
    for number in range(40):
        cached_inference(model, number)
        cached_inference(model, number)
    layer = _inference._layer
    assert layer.cache is node.cache
    assert 10 < len(layer._copies) <= 20
    model.result = bytes(_front.SIZE // 2)
    cached_inference(model, "large")
    cached_inference(model, "large")
    assert len(model.calls) == 41


def test_threads_compute_once():
    calls, begun = [], threading.Event()
    results = []

    def slow(input):
        calls.append(input)
        begun.wait(10)
        return [input]

    threads = [threading.Thread(target=lambda: results.append(cached_inference(slow, 1))) for _ in range(8)]
    for thread in threads:
        thread.start()
    begun.set()
    for thread in threads:
        thread.join()
    assert results == [[1]] * 8
    assert len({id(result) for result in results}) == 8
    assert calls == [1]
    assert (cache_stats()["hits"], cache_stats()["misses"]) == (7, 1)


def test_who_waited_for_one_that_failed_computes():
    calls = []

    def fails_first(input):
        calls.append(input)
        if len(calls) == 1:
            raise ZeroDivisionError
        return "good"

    async def together():
        return await asyncio.gather(*(aio.cached_inference(fails_first, 1) for _ in range(5)), return_exceptions=True)

    results = asyncio.run(together())
    assert [type(result) for result in results].count(ZeroDivisionError) == 1
    assert results.count("good") == 4
    assert len(calls) == 2


def test_coroutines_that_ask_for_a_batched_function_are_one_batch():
    batches = []

    @batched(max_size=50, max_wait_ms=1e6)
    def double(items):
        batches.append(len(items))
        return [item * 2 for item in items]

    async def together():
        return await asyncio.gather(*(aio.cached_inference(double, number) for number in range(50)))

    assert asyncio.run(together()) == [number * 2 for number in range(50)]
    assert batches == [50]


def test_coroutine_functions_compute_once_and_threads_beside():
    calls = []

    async def slow(input):
        calls.append(input)
        await asyncio.sleep(0)
        return input * 2

    class Model:
        async def __call__(self, input):
            return await slow(input)

    async def together():
        one = await asyncio.gather(*(aio.cached_inference(slow, 4) for _ in range(20)))
        other = await asyncio.gather(*(aio.cached_inference(Model(), 5) for _ in range(20)))
        return one + other

    assert asyncio.run(together()) == [8] * 20 + [10] * 20
    assert calls == [4, 5]
