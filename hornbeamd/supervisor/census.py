"""Counts what runs: the figures for /metrics, and how the daemon is, for /livez and /readyz.

Nobody is asked but the hub, and it is not waited for long: the scoreboard, ``/proc`` and the supervisor's own memory
know the rest.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any, Protocol

import anyio
from anyio.lowlevel import checkpoint

import hornbeamd
from hornbeamd.admin import figures
from hornbeamd.admin.figures import Figures, Usage
from hornbeamd.admin.pages import Check
from hornbeamd.admin.usage import usage
from hornbeamd.errors import ControlError
from hornbeamd.supervisor.fleet import Fleet
from hornbeamd.supervisor.hub import Hub
from hornbeamd.supervisor.outcome import Outcome, Road
from hornbeamd.supervisor.pool import Pool, State
from hornbeamd.supervisor.workers import Workers
from hornbeamd.worker.scoreboard import Scoreboard

HUB_SECONDS = 0.5


class Host(Protocol):
    """The daemon, as far as its health is not that of its parts."""

    @property
    def ending(self) -> bool:
        """Whether it is about to end."""

    @property
    def failure(self) -> str | None:
        """Why it has given up, if it has."""


class Census:
    """Of a daemon, *host*, and these parts of it."""

    def __init__(self, host: Host, fleet: Fleet, hub: Hub, board: Scoreboard) -> None:
        self._host = host
        self._fleet = fleet
        self._hub = hub
        self._board = board
        self._started = time.time()
        self._results = Counter(dict.fromkeys(map(str, Road), 0))
        self._reloads = figures.Reloads(self._results)

    def reloaded(self, outcome: Outcome) -> None:
        """Take note of a reload that is over."""
        self._results[str(outcome.road)] += 1
        successful = outcome.road is not Road.REFUSED
        self._reloads = figures.Reloads(self._results, successful, time.time(), outcome.ms / 1000)

    async def take(self) -> Figures:
        """All figures of this moment."""
        answer = await self._ask_hub()
        takes = {}
        for name, pid in self._pids():
            found = usage(pid)
            if found is not None:
                takes[name] = found
            await checkpoint()  # there may be a thousand of them
        return self._figures(figures.Hub(self._hub.starts, answer), takes)

    def _figures(self, hub: figures.Hub, takes: dict[str, Usage]) -> Figures:
        web, *_ = whole = self._fleet.whole
        return Figures(
            version=hornbeamd.__version__,
            started=self._started,
            generation=self._fleet.generation,
            totals=self._board.totals(),
            workers=[figures.Worker(number, tuple(self._board.row(number))) for number in sorted(web.processes)],
            pools=list(map(_pool, whole)),
            reloads=self._reloads,
            hub=hub,
            usage=takes,
        )

    async def _ask_hub(self) -> dict[str, Any] | None:
        with anyio.move_on_after(HUB_SECONDS):
            try:
                return await self._hub.ask("figures")
            except ControlError:
                pass
        return None

    def _pids(self) -> Iterator[tuple[str, int]]:
        """The processes of the daemon, by names that come again with those that take their places."""
        yield "supervisor", os.getpid()
        if self._hub.pid is not None:
            yield "hub", self._hub.pid
        for generation, pid in self._fleet.spawners:
            yield "spawner" if generation == self._fleet.generation else "spawner other", pid
        for workers in self._fleet.whole:
            for number, process in list(workers.processes.items()):
                if process.pid is not None:
                    yield f"pool {workers.name} {number}" if workers.name else f"worker {number}", process.pid

    # Health.

    def alive(self) -> list[Check]:
        """The supervisor's event loop turns, or this would not be asked; so the question is whether it has given up."""
        failure = self._host.failure
        return [Check("supervisor", failure is None, failure or "its event loop turns")]

    def ready(self) -> list[Check]:
        """Requests are answered by web workers; pools are named, but no request needs them to get an answer."""
        ending = self._host.ending
        web, *pools = self._fleet.whole
        useful = any(not member.stuck for member in web.pool.serving)
        return [
            Check("shutdown", not ending, "the server is about to end" if ending else "not asked for"),
            Check("workers", useful, _serving(web)),
            *(Check(f"pool {workers.name}", True, _serving(workers)) for workers in pools),
        ]


def _serving(workers: Workers) -> str:
    return f"{len(workers.pool.serving)} of {workers.pool.wanted} serve"


def _pool(workers: Workers) -> figures.Pool:
    pool: Pool = workers.pool
    states = Counter(dict.fromkeys((state.value for state in State), 0))
    states.update(member.state.value for member in pool.members.values())
    return figures.Pool(workers.name, pool.wanted, states, {str(end): n for end, n in pool.endings.items()})
