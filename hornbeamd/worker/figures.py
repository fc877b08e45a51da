"""What the hub alone can tell of the figures that Prometheus scrapes: its own, and those of the state and the cache.

{"hub": {"clients", "topics", "subscribers", "published", "delivered", "missed", "calls", "in_hand", "waiting"},
 "pools": {name: {"in_hand", "waiting"}},
 "state": {"entries", "bytes", "max_bytes"},
 "cache": {"entries", "bytes", "max_bytes", "hits", "misses", "evictions"}}
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable
from typing import Any

from hornbeamd.hub.office import Office
from hornbeamd.node.offers import hook_name
from hornbeamd.state.shared import SharedStore
from hornbeamd.state.sharedcache import SharedCache

PATIENCE = 0.25
"""How long an answer waits for a new look at the state, in seconds; then it has the figures of the last one."""

SHARE = 100
"""After a look at the state it is let alone for so many times as long: entries that expire are counted one by one."""


class Figures:
    """Of the *office*, and of what all processes share. *clock* is in seconds."""

    def __init__(
        self, office: Office, store: SharedStore, cache: SharedCache, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._office = office
        self._store = store
        self._cache = cache
        self._clock = clock
        self._shared: dict[str, dict[str, int]] = {}
        self._looking: asyncio.Task[None] | None = None
        self._next = float("-inf")

    async def answer(self, pools: Iterable[str]) -> dict[str, Any]:
        """All of it; without the state and the cache when they cannot be used, or were not looked at yet."""
        if self._looking is None and self._clock() >= self._next:
            self._looking = asyncio.create_task(self._look())
        if self._looking is not None:
            await asyncio.wait((self._looking,), timeout=PATIENCE)
        return {
            "hub": self._office.totals(),
            "pools": {name: self._office.calls.load(hook_name(name)) for name in pools},
            **self._shared,
        }

    async def _look(self) -> None:
        began = self._clock()
        try:
            self._shared = await asyncio.to_thread(self._counted)
        except OSError:  # its upkeep says so in the log
            self._shared = {}
        finally:
            now = self._clock()
            self._next = now + SHARE * (now - began)
            self._looking = None

    def _counted(self) -> dict[str, dict[str, int]]:
        used, most = self._store.room()
        cache = self._cache.stats()
        return {
            "state": {"entries": self._store.size(), "bytes": used, "max_bytes": most},
            "cache": {
                "entries": cache.entries,
                "bytes": cache.size,
                "max_bytes": cache.max_size,
                "hits": cache.hits,
                "misses": cache.misses,
                "evictions": cache.evictions,
            },
        }
