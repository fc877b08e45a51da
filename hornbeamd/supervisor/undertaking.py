"""What several pools have to do together: to start, or to move to another generation."""

from __future__ import annotations

from collections.abc import Iterable

import anyio

from hornbeamd.errors import SupervisionError
from hornbeamd.supervisor.actions import Action
from hornbeamd.supervisor.outcome import Progress


class Undertaking:
    """It goes on: how far each pool is, by its name, and what went wrong. *progress* is told of each new process."""

    def __init__(self, progress: Progress = lambda step: None) -> None:
        self.progress = progress
        self.failure: str | None = None
        self._reached: set[tuple[str, type[Action]]] = set()
        self._changed = anyio.Event()

    def reached(self, pool: str, stage: type[Action]) -> None:
        """Note that a pool is where ``stage`` (Proven, Settled) says."""
        self._reached.add((pool, stage))
        self._tell()

    def fail(self, why: str) -> None:
        """Have those that wait give up."""
        self.failure = self.failure or why
        self._tell()

    async def all_reach(self, stage: type[Action], pools: Iterable[str]) -> None:
        """Return when every pool is there. Raises SupervisionError as soon as something went wrong."""
        wanted = {(pool, stage) for pool in pools}
        while self.failure is None and not wanted <= self._reached:
            await self._changed.wait()
        if self.failure is not None:
            raise SupervisionError(self.failure)

    def _tell(self) -> None:
        self._changed.set()
        self._changed = anyio.Event()
