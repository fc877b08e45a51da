"""What the hub tells of itself, the state and the cache, and how seldom it counts entries."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from hornbeamd.hub.office import Office
from hornbeamd.state.cache import CacheStats
from hornbeamd.worker.figures import SHARE, Figures


class Store:
    """A state whose counting takes a second of the clock, and as long as *gate* is shut."""

    def __init__(self) -> None:
        self.now = 0.0
        self.looks = 0
        self.broken = False
        self.gate = threading.Event()
        self.gate.set()

    def room(self) -> tuple[int, int]:
        return 4096, 8192

    def size(self) -> int:
        assert self.gate.wait(5)
        if self.broken:
            raise OSError("no state")
        self.looks += 1
        self.now += 1.0
        return self.looks


class Cache:
    def stats(self) -> CacheStats:
        return CacheStats(hits=1, misses=2, entries=3, size=4, max_size=5, evictions=6)


@pytest.fixture
def store() -> Store:
    return Store()


def run(store: Store, scenario: Any) -> None:
    office = Office(0.0, most_waiting=10)
    figures = Figures(office, store, Cache(), lambda: store.now)  # type: ignore[arg-type]
    asyncio.run(scenario(figures))


def test_all_of_it(store: Store) -> None:
    async def scenario(figures: Figures) -> None:
        answer = await figures.answer(["embeddings"])
        assert answer["pools"] == {"embeddings": {"in_hand": 0, "waiting": 0}}
        assert answer["hub"]["clients"] == 0
        assert answer["state"] == {"entries": 1, "bytes": 4096, "max_bytes": 8192}
        assert answer["cache"] == {"hits": 1, "misses": 2, "entries": 3, "bytes": 4, "max_bytes": 5, "evictions": 6}

    run(store, scenario)


def test_entries_are_counted_in_a_hundredth_of_the_time(store: Store) -> None:
    async def scenario(figures: Figures) -> None:
        for _ in range(10):
            assert (await figures.answer([]))["state"]["entries"] == 1
        store.now += SHARE
        assert (await figures.answer([]))["state"]["entries"] == 2

    run(store, scenario)


def test_nobody_waits_for_a_count_that_takes_long(store: Store) -> None:
    async def scenario(figures: Figures) -> None:
        store.gate.clear()
        assert "state" not in await figures.answer([])
        assert "state" not in await figures.answer([])
        store.gate.set()
        while "state" not in (answer := await figures.answer([])):
            pass
        assert answer["state"]["entries"] == 1

    run(store, scenario)


def test_a_state_that_cannot_be_used_is_not_told_of(store: Store) -> None:
    async def scenario(figures: Figures) -> None:
        store.broken = True
        assert set(await figures.answer([])) == {"hub", "pools"}
        store.broken, store.now = False, 1.0
        assert (await figures.answer([]))["state"]["entries"] == 1

    run(store, scenario)
