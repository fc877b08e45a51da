"""hornbeamd/state/cache.py: what every cache does."""

import random
import threading
from dataclasses import asdict
from types import SimpleNamespace

import pytest

from hornbeamd.state import cache as module
from hornbeamd.state.cache import LocalCache

SIZE = 1024 * 1024


@pytest.fixture
def clock(monkeypatch):
    """The time, which the tests move."""
    clock = SimpleNamespace(now=1000.0)
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: clock.now))
    return clock


@pytest.fixture
def cache(clock):
    cache = LocalCache(SIZE)
    yield cache
    cache.close()


def key(number: int) -> bytes:
    return number.to_bytes(32, "little")


def test_what_was_put_is_found(cache):
    assert cache.get(b"key") is None
    cache.put(b"key", b"value")
    assert cache.get(b"key") == (b"value", float("inf"))
    cache.put(b"key", b"another")
    assert cache.get(b"key").value == b"another"
    assert cache.get(b"ke") is cache.get(b"key2") is None


def test_an_entry_ends_with_its_time(cache, clock):
    cache.put(b"brief", b"1", 2.0)
    cache.put(b"long", b"2")
    clock.now += 1.9
    assert cache.get(b"brief") == (b"1", 1002.0)
    clock.now += 0.1
    assert cache.get(b"brief") is None
    assert cache.get(b"long").value == b"2"
    cache.put(b"brief", b"3")
    clock.now += 100
    assert cache.get(b"brief").value == b"3"


@pytest.mark.parametrize("ttl", [0, -1, float("nan")])
def test_a_time_of_nothing_is_an_error(cache, ttl):
    with pytest.raises(ValueError, match="ttl"):
        cache.put(b"key", b"value", ttl)


def test_clear_takes_what_begins_with_the_prefix(cache):
    for number in range(100):
        cache.put(b"a" + key(number), b"1")
        cache.put(b"b" + key(number), b"2")
    assert cache.clear(b"a") == 100
    assert cache.get(b"a" + key(1)) is None
    assert cache.get(b"b" + key(1)).value == b"2"
    assert cache.clear() == 100
    assert cache.clear() == 0
    assert cache.stats().entries == 0


@pytest.mark.parametrize("size", [0, 100, 1000, 3100, 20_000])
def test_it_is_bounded_and_what_was_not_used_for_long_makes_room(cache, clock, size):
    for number in range(3 * SIZE // (size + 100)):
        clock.now += 1000
        cache.put(key(number), bytes(size))
        assert cache.get(key(0)).value == bytes(size), number
    stats = cache.stats()
    assert 0 < stats.size <= stats.max_size <= SIZE
    assert stats.evictions == number + 1 - stats.entries
    kept = [found for found in range(number + 1) if cache.get(key(found))]
    assert kept == [0, *range(number + 2 - stats.entries, number + 1)]


def test_what_is_too_large_is_not_kept(cache):
    cache.put(b"key", bytes(2 * SIZE))
    assert cache.get(b"key") is None


def test_values_of_any_size_in_any_order(cache):
    sizes = random.Random(4)
    for number in range(300):
        cache.put(key(number), bytes(sizes.randrange(SIZE // 8)))
    stats = cache.stats()
    assert stats.entries > 0
    assert stats.size <= stats.max_size
    assert stats.evictions == 300 - stats.entries


def test_the_mark_changes_when_a_copy_may_be_old(cache, clock):
    marks = [cache.mark]
    cache.put(b"key", b"value")
    cache.get(b"key")
    cache.put(b"key", b"value", 10.0)
    assert cache.mark == marks[0]
    cache.put(b"key", b"another")
    marks.append(cache.mark)
    cache.clear(b"no such")
    marks.append(cache.mark)
    assert len(set(marks)) == 3


def test_the_figures(cache):
    assert asdict(cache.stats()) == {
        "hits": 0,
        "misses": 0,
        "entries": 0,
        "size": 0,
        "max_size": cache.stats().max_size,
        "evictions": 0,
    }
    for hit in (True, False, True):
        cache.count(hit)
    cache.put(b"key", bytes(1000))
    stats = cache.stats()
    assert (stats.hits, stats.misses, stats.entries) == (2, 1, 1)
    assert stats.size >= 1000


def test_many_threads_at_once(cache):
    def work(seed: int) -> None:
        numbers = random.Random(seed)
        for _ in range(300):
            number = numbers.randrange(50)
            found = cache.get(key(number))
            assert found is None or found.value == key(number) * 50
            cache.put(key(number), key(number) * 50)
            if numbers.random() < 0.02:
                cache.clear(key(number))

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert 0 < cache.stats().entries <= 50
