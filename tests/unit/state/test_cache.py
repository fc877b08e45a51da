"""hornbeamd/state/cache.py and sharedcache.py: what every cache does, then what only the shared one."""

import logging
import os
import random
import resource
import signal
import stat
import threading
from contextlib import ExitStack
from dataclasses import asdict
from multiprocessing import get_context
from types import SimpleNamespace

import pytest

from hornbeamd.state import cache as local
from hornbeamd.state import sharedcache as shared
from hornbeamd.state.cache import LocalCache
from hornbeamd.state.sharedcache import COARSE, SharedCache
from tests.support.waiting import wait_until

SIZE = 1024 * 1024


@pytest.fixture
def clock(monkeypatch):
    """The time, which the tests move."""
    clock = SimpleNamespace(now=1000.0)
    for module in (local, shared):
        monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: clock.now))
    return clock


@pytest.fixture(params=["local", "shared"])
def cache(clock, request, tmp_path):
    cache = LocalCache(SIZE) if request.param == "local" else SharedCache(str(tmp_path / "cache"), SIZE)
    yield cache
    cache.close()


@pytest.fixture
def open_shared(clock, tmp_path):
    """Open the shared cache of the test once more."""
    with ExitStack() as stack:

        def open_it() -> SharedCache:
            cache = SharedCache(str(tmp_path / "cache"), SIZE)
            stack.callback(cache.close)
            return cache

        yield open_it


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


@pytest.mark.parametrize("size", [0, 1000, 3100, 20_000])
def test_it_is_bounded_and_what_was_not_used_for_long_makes_room(cache, clock, size):
    for number in range(2 * SIZE // (size + 300)):
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
    assert stats.evictions + stats.entries <= 300  # what finds no room in one piece is not kept


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


# --- the shared one ---


def test_processes_share_entries_and_figures(open_shared):
    cache = open_shared()
    cache.put(b"key", b"mine")
    mark = cache.mark

    def child() -> None:
        assert cache.get(b"key").value == b"mine"
        cache.put(b"key", b"theirs")
        for _ in range(500):
            cache.count(True)

    processes = [get_context("fork").Process(target=child) for _ in range(2)]
    processes[0].start()
    processes[0].join()
    assert cache.get(b"key").value == b"theirs"
    assert cache.mark != mark
    cache.put(b"key", b"mine")
    processes[1].start()
    for _ in range(500):
        cache.count(True)
    processes[1].join()
    assert [process.exitcode for process in processes] == [0, 0]
    assert cache.stats().hits == open_shared().stats().hits == 1500


def test_a_writer_that_is_killed_leaves_the_rest_whole(open_shared):
    cache = open_shared()

    def child() -> None:
        for number in range(100_000):
            cache.put(key(number % 300), key(number) * 100)

    for _ in range(3):
        process = get_context("fork").Process(target=child)
        process.start()
        wait_until(lambda: cache.stats().entries > 50)
        os.kill(process.pid, signal.SIGKILL)
        process.join()
        values = [found.value for number in range(300) if (found := cache.get(key(number)))]
        assert len(values) > 50
        assert all(value == value[:32] * 100 for value in values)
        cache.clear()


def test_a_use_is_noted_now_and_then(open_shared, clock):
    """A hit is not a write: only the first one after ``COARSE`` seconds is."""
    cache = open_shared()
    writes = lambda: cache._environment.lmdb.info()["last_txnid"]  # noqa: E731
    cache.put(b"key", b"value")
    before = writes()
    clock.now += COARSE
    assert cache.get(b"key")
    assert writes() == before
    clock.now += 1
    assert cache.get(b"key")
    assert cache.get(b"key")
    assert writes() == before + 1


def test_its_files_are_of_their_owner_only(open_shared, tmp_path):
    open_shared().put(b"key", b"value")
    assert stat.S_IMODE((tmp_path / "cache").stat().st_mode) == 0o700
    files = list((tmp_path / "cache").iterdir())
    assert sorted(file.name for file in files) == ["data.mdb", "lock.mdb", "tally"]
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}


def test_it_leaves_most_of_a_small_file_system_to_others(open_shared, monkeypatch):
    monkeypatch.setattr(shared.os, "statvfs", lambda path: SimpleNamespace(f_blocks=512, f_frsize=1024))
    assert open_shared().stats().max_size == 128 * 1024


def test_a_full_file_system_costs_the_entry_only(open_shared, tmp_path, caplog):
    """As a full tmpfs would, the limit of a file's size refuses LMDB's writes."""
    cache = open_shared()
    cache.put(b"before", bytes(10_000))

    def child() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (200 * 1024, 200 * 1024))
        for number in range(100):
            cache.put(key(number), bytes(10_000))
        assert cache.get(b"before").value == bytes(10_000)
        assert cache.get(key(99)) is None
        assert 1 < cache.stats().entries < 20

    process = get_context("fork").Process(target=child)
    process.start()
    process.join()
    assert process.exitcode == 0
    cache.put(b"after", b"value")
    assert cache.get(b"after").value == b"value"


def test_one_that_is_full_in_spite_of_all_begins_anew(open_shared, caplog):
    """Without a free page nothing can be removed but everything."""
    cache = open_shared()
    cache._size *= 10  # so that it does not know when to stop
    for number in range(8000):
        cache.put(key(number * 7919 % 8000), bytes(100))
    stats = cache.stats()
    assert cache.get(key(7999 * 7919 % 8000))
    assert stats.entries + stats.evictions == 8000
    assert 0 < stats.size <= SIZE
    assert caplog.records == []


def test_one_that_does_not_work_is_as_if_empty(tmp_path, caplog):
    (tmp_path / "cache").write_text("no folder")
    cache = SharedCache(str(tmp_path / "cache"), SIZE)
    with caplog.at_level(logging.WARNING):
        cache.put(b"key", b"value")
        assert cache.get(b"key") is None
        assert cache.clear() == 0
        cache.count(hit=False)
        stats = cache.stats()
    assert (stats.misses, stats.entries, stats.max_size) == (1, 0, 0)
    assert [record.message for record in caplog.records] == ["the cache does not work"]


def test_a_broken_one_is_opened_anew(open_shared):
    cache = open_shared()
    cache.put(b"key", b"value")
    cache._environment.lmdb.close()
    assert cache.get(b"key") is None
    assert cache.get(b"key").value == b"value"
