"""Runs the plans of ``plan.py``: starts children in order, watches them, restarts them, stops them in
reverse.

The children here are few and long-lived (a spawner per generation). Workers are not among them: OTP starts a
replacement after the end of what it replaces, ``pool.py`` before.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

import anyio
from anyio.abc import TaskGroup

from hornbeamd.errors import SupervisionError
from hornbeamd.supervisor import plan
from hornbeamd.supervisor.intensity import Intensity
from hornbeamd.supervisor.spec import ChildSpec, Strategy

log = logging.getLogger("hornbeamd.supervisor")


class Child(Protocol):
    """Something that runs by itself, most often a process."""

    async def start(self) -> None:
        """Returns when it is up. Raises SupervisionError when it cannot be; nothing is left running then."""

    async def ended(self) -> bool:
        """Returns when it has ended by itself: whether normally. Only called while it is up."""

    async def stop(self, timeout: float) -> None:
        """End it, by force after ``timeout`` seconds; harmless when it is not up."""


@dataclass(slots=True)
class _Entry:
    spec: ChildSpec
    child: Child
    watch: anyio.CancelScope = field(default_factory=anyio.CancelScope)


class Tree:
    """A supervisor in OTP's sense.

    ``serving`` tells whether the server answers requests: as long as it does, too many deaths make restarts
    slower; otherwise ``give_up`` is called, once, with the reason.
    """

    def __init__(
        self,
        group: TaskGroup,
        strategy: Strategy,
        intensity: Intensity,
        *,
        serving: Callable[[], bool],
        give_up: Callable[[str], None],
    ) -> None:
        self._group = group
        self._strategy = strategy
        self._intensity = intensity
        self._serving = serving
        self._give_up = give_up
        self._entries: dict[str, _Entry] = {}

    async def start_child(self, spec: ChildSpec, child: Child) -> None:
        """Start a child and keep it from now on. Raises SupervisionError when its first start fails."""
        await child.start()
        self._entries[spec.id] = _Entry(spec, child)
        self._group.start_soon(self._watch, self._entries[spec.id])

    async def stop_child(self, name: str) -> None:
        """End a child for good, unless somebody else does already."""
        if name in self._entries:
            await self._halt(self._entries.pop(name))

    async def shutdown(self) -> None:
        """End all children, the youngest first."""
        for name in plan.shutdown(self._specs()).stop:
            await self.stop_child(name)

    def _specs(self) -> list[ChildSpec]:
        return [entry.spec for entry in self._entries.values()]

    async def _watch(self, entry: _Entry) -> None:
        with entry.watch:
            normal = await entry.child.ended()
            decided = plan.after_exit(self._specs(), entry.spec.id, normal=normal, strategy=self._strategy)
            for name in decided.stop:
                await self._halt(self._entries[name])
            for name in decided.forget:
                del self._entries[name]
            for name in decided.start:
                await self._restart(self._entries[name])

    async def _halt(self, entry: _Entry) -> None:
        entry.watch.cancel()
        with anyio.CancelScope(shield=True):
            await entry.child.stop(entry.spec.shutdown)

    async def _restart(self, entry: _Entry) -> None:
        """Start a child again, as often and as slowly as the intensity asks for."""
        while True:
            now = time.monotonic()
            if self._intensity.record(now):
                if not self._serving():
                    self._give_up(f"{entry.spec.id} ended too often and nothing serves")
                    return
                pause = self._intensity.pause(now)
                fields = {"child": entry.spec.id, "pause_s": round(pause, 1)}
                log.error("child ends too often, restarting later", extra={"fields": fields})
                await anyio.sleep(pause)
            try:
                await entry.child.start()
            except SupervisionError as error:
                fields = {"child": entry.spec.id, "traceback": str(error)}
                log.error("child could not be restarted", extra={"fields": fields})
            else:
                break
        log.info("child restarted", extra={"fields": {"child": entry.spec.id}})
        entry.watch = anyio.CancelScope()
        self._group.start_soon(self._watch, entry)
