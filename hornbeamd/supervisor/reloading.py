"""Reloads: one at a time, the road that each takes, and what it came to.

    nothing, or only live options, changed since       swap      the processes exchange the code that has changed
    an option that asks for new processes changed,     replace   new processes come, and then the old go
    or a process cannot exchange what has changed

Whoever asks while a reload runs gets the next one, together with all others who do: what the running one has read may
be old by now. A reload goes on when those who asked for it are gone.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Protocol

import anyio
from anyio.abc import TaskGroup

from hornbeamd.config import plan as changes
from hornbeamd.config.options import Options
from hornbeamd.config.plan import Plan
from hornbeamd.config.resolve import Loaded
from hornbeamd.errors import ConfigError, SupervisionError
from hornbeamd.supervisor.binds import Changes
from hornbeamd.supervisor.certificates import stamp
from hornbeamd.supervisor.fleet import Fleet
from hornbeamd.supervisor.outcome import Outcome, Progress, Road, Step
from hornbeamd.supervisor.swapping import Unable
from hornbeamd.supervisor.workers import gist

log = logging.getLogger("hornbeamd.supervisor")


class Host(Protocol):
    """The daemon, as far as it has to do with reloads."""

    @property
    def unreloadable(self) -> str:
        """Why it cannot reload now; "" when it can."""

    def reload_begins(self) -> None:
        """A reload begins."""

    def reload_is_impossible(self) -> None:
        """One was asked for while the daemon is unreloadable."""

    def prepare(self, options: Options) -> Changes:
        """Have what the daemon itself holds follow *options*; raises SupervisionError when it cannot."""

    def reload_ends(self, outcome: Outcome) -> None:
        """It is over, and ``Fleet.options`` are those that count from now on."""


@dataclass(slots=True)
class _Round:
    """One reload: what those want who asked for it."""

    everything: bool = False
    replace: bool = False
    listeners: list[Progress] = field(default_factory=list)
    done: anyio.Event = field(default_factory=anyio.Event)
    outcome: Outcome | None = None

    def tell(self, step: Step) -> None:
        for listener in self.listeners:
            listener(step)


class Reloading:
    """All reloads of a daemon. ``read`` gives the configuration as it is now; it raises ConfigError."""

    def __init__(self, group: TaskGroup, host: Host, fleet: Fleet, read: Callable[[], Loaded]) -> None:
        self.last: Outcome | None = None
        """What the last one came to."""
        self._group = group
        self._host = host
        self._fleet = fleet
        self._read = read
        self._certificates = stamp(fleet.options)
        self._next: _Round | None = None
        self._running = False

    @property
    def running(self) -> bool:
        """Whether a reload is going on."""
        return self._running

    @property
    def failure(self) -> Outcome | None:
        """The last reload, when it was refused: it stays so until one succeeds."""
        return self.last if self.last is not None and self.last.road is Road.REFUSED else None

    def ask(self, *, everything: bool = False, replace: bool = False, progress: Progress | None = None) -> _Round:
        """Have a reload done, and do not wait for it."""
        if self._next is None:
            self._next = _Round()
            if not self._running:
                self._running = True
                self._group.start_soon(self._work)
        self._next.everything |= everything
        self._next.replace |= replace
        if progress is not None:
            self._next.listeners.append(progress)
        return self._next

    async def reload(
        self, *, everything: bool = False, replace: bool = False, progress: Progress | None = None
    ) -> Outcome:
        """Reload: the application's modules that changed and what depends on them, or *everything* of them; or have all
        processes replaced. *progress* is told what each process came to."""
        asked = self.ask(everything=everything, replace=replace, progress=progress)
        await asked.done.wait()
        assert asked.outcome is not None
        return asked.outcome

    async def _work(self) -> None:
        try:
            while self._next is not None:
                current, self._next = self._next, None
                current.outcome = await self._carry_out(current)
                current.done.set()
        finally:
            self._running = False

    async def _carry_out(self, asked: _Round) -> Outcome:
        if why := self._host.unreloadable:
            log.warning("nothing to reload", extra={"fields": {"why": why}})
            self._host.reload_is_impossible()
            return Outcome(Road.REFUSED, self._fleet.generation, why, at=time.time())
        began = time.monotonic()
        log.info("reload begins", extra={"fields": {"serving": self._fleet.generation}})
        self._host.reload_begins()
        steps: dict[tuple[str, int, int], Step] = {}
        asked.listeners.append(lambda step: steps.update({(step.pool, step.number, step.pid): step}))
        outcome = await self._attempt(asked)
        ms = round((time.monotonic() - began) * 1000)
        outcome = replace(outcome, steps=tuple(steps.values()), ms=ms, at=time.time())
        self.last = outcome
        _note(outcome)
        self._host.reload_ends(outcome)
        return outcome

    async def _attempt(self, asked: _Round) -> Outcome:
        """Read the configuration, and take the road that it needs."""
        try:
            wanted = self._read().options
        except ConfigError as error:
            return self._refused("the configuration has errors", tuple(error.problems), Plan())
        changed = changes.plan(self._fleet.options, wanted)
        wanted = changes.keep(self._fleet.options, wanted, changed.restart)
        certificates = stamp(wanted)  # before the new processes read them, for they may change once more meanwhile
        renewed = certificates != self._certificates
        why = self._why_replace(asked, wanted, changed, renewed=renewed)
        try:
            change = self._host.prepare(wanted)
            try:
                outcome = await self._take_road(asked, wanted, changed, why)
            except BaseException:
                change.revert()
                raise
        except SupervisionError as error:
            return self._refused(gist(str(error)), (str(error),), changed)
        self._certificates = certificates
        await change.commit()
        return outcome

    async def _take_road(self, asked: _Round, wanted: Options, changed: Plan, why: str) -> Outcome:
        """Have all processes move, by being replaced where there is a reason *why*. Raises SupervisionError when that
        fails; none has moved then."""
        if not why:
            try:
                return await self._swap(asked, wanted, changed)
            except Unable as unable:
                why = str(unable)
                log.info("the code cannot be exchanged in place", extra={"fields": {"why": why}})
        await self._fleet.replace(wanted, asked.tell)
        return Outcome(Road.REPLACED, self._fleet.generation, why, changed)

    def _why_replace(self, asked: _Round, wanted: Options, changed: Plan, *, renewed: bool) -> str:
        """Why processes must be replaced; "" when they may exchange the code themselves."""
        if asked.replace:
            return "asked for"
        if changed.workers:
            return f"changed options need new processes: {', '.join(changed.workers)}"
        if renewed:
            return "certificate files have changed"
        if wanted.preload_app:
            return "preload_app: the code is in the spawner"
        if not wanted.reload.in_place:
            return "reload.in_place is off"
        return ""

    async def _swap(self, asked: _Round, wanted: Options, changed: Plan) -> Outcome:
        moved = await self._fleet.swap(wanted, everything=asked.everything, progress=asked.tell)
        road = Road.SWAPPED if moved else Road.UNCHANGED
        return Outcome(road, self._fleet.generation, "" if moved else "no code has changed", changed)

    def _refused(self, why: str, problems: tuple[str, ...], changed: Plan) -> Outcome:
        return Outcome(Road.REFUSED, self._fleet.generation, why, changed, problems=problems)


def _note(outcome: Outcome) -> None:
    """Tell the log what a reload came to."""
    fields: dict[str, object] = {"generation": outcome.generation, "result": str(outcome.road), "ms": outcome.ms}
    if outcome.why:
        fields["why"] = outcome.why
    if outcome.changed.restart:
        log.warning("changed options need a restart", extra={"fields": {"options": list(outcome.changed.restart)}})
    if outcome.road is Road.REFUSED:
        # The applications' tracebacks were told where they arose.
        if outcome.why == "the configuration has errors":
            for problem in outcome.problems:
                log.error("reload refused", extra={"fields": {"problem": problem}})
        log.error("reload failed, the old workers serve on", extra={"fields": fields})
    else:
        log.info("reload complete", extra={"fields": fields})
