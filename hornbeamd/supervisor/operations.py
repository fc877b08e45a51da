"""What ``hornbeamctl`` can ask (control/operations.py), carried out by the parts of the daemon."""

from __future__ import annotations

import logging
import os
import time
from dataclasses import replace
from typing import Any, Protocol, cast

import anyio
from anyio.lowlevel import checkpoint

import hornbeamd
from hornbeamd.admin.usage import usage
from hornbeamd.config.log import LogOptions
from hornbeamd.config.mounts import mounted
from hornbeamd.control import codes
from hornbeamd.control.operations import Plain, Progress
from hornbeamd.errors import ControlError
from hornbeamd.supervisor.binds import Listeners
from hornbeamd.supervisor.configuration import Configuration
from hornbeamd.supervisor.fleet import Fleet
from hornbeamd.supervisor.hub import Hub
from hornbeamd.supervisor.outcome import Step
from hornbeamd.supervisor.pool import Member, Pool, State
from hornbeamd.supervisor.process import WorkerProcess
from hornbeamd.supervisor.reloading import Reloading
from hornbeamd.supervisor.workers import Workers
from hornbeamd.worker.scoreboard import CONNECTIONS, IN_FLIGHT, REQUESTS, Scoreboard

log = logging.getLogger("hornbeamd.supervisor")

STACKS_TIMEOUT = 2.0
"""How long an event loop may take to answer; then it counts as blocked."""
LOOK = 0.05


class Host(Protocol):
    """The daemon, as far as it has to do with what an operator wants."""

    @property
    def ending(self) -> bool:
        """Whether its end has begun."""

    def end(self, *, at_once: bool) -> None:
        """Begin the end."""

    def change_log(self, log: LogOptions) -> None:
        """Have all processes log as *log* says."""

    async def upgrade(self) -> Plain:
        """Have a new daemon take over. Raises ControlError when there cannot be one, or it did not come up."""


class DaemonOperations:
    """The :class:`~hornbeamd.control.operations.Operations` of a running daemon."""

    def __init__(
        self,
        host: Host,
        fleet: Fleet,
        hub: Hub,
        board: Scoreboard,
        listeners: Listeners,
        reloading: Reloading,
        configuration: Configuration,
    ) -> None:
        self._host = host
        self._fleet = fleet
        self._hub = hub
        self._board = board
        self._listeners = listeners
        self._reloading = reloading
        self._configuration = configuration
        self._began = time.monotonic()
        self._has_served = False

    # --- how it is -----------------------------------------------------------------------------------------------

    async def status(self) -> Plain:
        """How the server is, on one screen."""
        web, *pools = self._fleet.groups
        last, totals = self._reloading.last, self._board.totals()
        return {
            "state": self._state(),
            **await self.version(),
            "uptime_s": round(time.monotonic() - self._began, 1),
            "generation": self._fleet.generation,
            "workers": _crowd(web.pool),
            "pools": [{"name": pool.name, **_crowd(pool.pool)} for pool in pools],
            "in_flight": totals[IN_FLIGHT],
            "connections": totals[CONNECTIONS],
            "hub": {"pid": self._hub.pid},
            "last_reload": None if last is None else last.plain(),
        }

    async def version(self) -> Plain:
        """Who this daemon is."""
        options = self._fleet.options
        return {
            "version": hornbeamd.__version__,
            "pid": os.getpid(),
            "config": self._configuration.file,
            "app": ", ".join(mount.app or f"files of {mount.directory}" for mount in mounted(options)),
            "listening": [listener.url(tls=options.ssl) for listener in self._listeners.current],
        }

    async def workers(self) -> Plain:
        """Every process of the fleet, with what it does."""
        processes = []
        for group in self._fleet.groups:
            for number in sorted(group.pool.members):
                if member := group.pool.members.get(number):
                    processes.append(self._described(group, member))
                await checkpoint()  # there may be a thousand of them
        return {"processes": processes}

    async def wait_ready(self, *, timeout: float) -> Plain:
        """Return when requests are answered."""
        for _ in range(round(timeout / LOOK)):
            if self._fleet.serving or self._host.ending:
                break
            await anyio.sleep(LOOK)
        if self._host.ending:
            raise ControlError("the daemon is about to end", codes.UNREACHABLE)
        if not self._fleet.serving:
            raise ControlError(f"not ready within {round(timeout, 1):g} s; its log says why", codes.TIMED_OUT)
        return {"pid": os.getpid()}

    def _state(self) -> str:
        self._has_served |= self._fleet.serving
        if self._host.ending:
            return "stopping"
        if self._reloading.running:
            return "reloading"
        if self._fleet.serving:
            return "serving"
        return "not serving" if self._has_served else "starting"

    def _described(self, group: Workers, member: Member) -> Plain:
        process = group.processes.get(member.number)
        pid = process.pid if process else None
        takes = None if pid is None else usage(pid)
        figures = self._board.row(member.number) if not group.name else None
        return {
            "id": _id(group, member.number),
            "pool": group.name,
            "number": member.number,
            "pid": pid,
            "generation": member.generation,
            "state": "stuck" if member.stuck else member.state.value,
            "note": member.killed or member.worn or "",
            "in_flight": figures[IN_FLIGHT] if figures else None,
            "connections": figures[CONNECTIONS] if figures else None,
            "requests": figures[REQUESTS] if figures else None,
            "uptime_s": round(time.monotonic() - process.since, 1) if process else 0.0,
            "cpu_s": takes.cpu if takes else None,
            "memory": takes.memory if takes else None,
        }

    # --- what changes it -----------------------------------------------------------------------------------------

    async def reload(self, progress: Progress, *, every: bool) -> Plain:
        """Reload code and configuration."""
        outcome = await self._reloading.reload(everything=every, progress=_steps(progress))
        return outcome.plain()

    async def restart(self, progress: Progress) -> Plain:
        """Replace all processes."""
        outcome = await self._reloading.reload(replace=True, progress=_steps(progress))
        return outcome.plain()

    async def upgrade(self) -> Plain:
        """Have a new daemon take over."""
        return await self._host.upgrade()

    async def stop(self, *, at_once: bool) -> Plain:
        """Begin the end of the daemon."""
        log.info("told to stop", extra={"fields": {"at_once": at_once}})
        self._host.end(at_once=at_once)
        return {"pid": os.getpid()}

    async def scale(self, *, number: str) -> Plain:
        """Want so many web workers, or so many more or fewer."""
        before = self._fleet.wanted
        relative = number[0] in "+-"
        wanted = before + int(number) if relative else int(number)
        most = self._fleet.groups[0].pool.most // 2
        if not 1 <= wanted <= most:
            raise ControlError(f"there can be 1 to {most} workers, not {wanted}; there are {before}", codes.USAGE)
        if self._host.ending:
            raise ControlError("the daemon is about to end")
        workers = self._fleet.scale(wanted - before)
        log.info("pool resized", extra={"fields": {"workers": workers}})
        return {"workers": workers, "before": before}

    async def recycle(self, *, process: str) -> Plain:
        """Replace one process, once a new one serves."""
        group, found = self._find(process)
        member = group.pool.members[found.number]
        if member.state is not State.SERVING or found.pid is None:
            raise ControlError(f"{process} is {member.state.value}: only one that serves can be recycled")
        group.pool.wear(found.number, "told to be recycled")
        group.settle()
        return {"id": process, "pid": found.pid}

    async def log_level(self, *, level: str | None) -> Plain:
        """The level of the event log; with *level*, change it in all processes, those to come included."""
        options = self._fleet.options
        if level is not None and level != options.log.level:
            changed = replace(options.log, level=cast(Any, level))
            self._fleet.options = replace(options, log=changed)
            self._host.change_log(changed)
        return {"level": self._fleet.options.log.level}

    # --- what it is doing ----------------------------------------------------------------------------------------

    async def stacks(self, *, process: str) -> Plain:
        """The stacks of all threads and tasks; of a process whose loop is blocked, what faulthandler can write."""
        _, found = self._find(process)
        if found.pid is None:
            raise ControlError(f"{process} is not started yet; try again")
        about = {"id": process, "pid": found.pid}
        try:
            answer = await found.questions.ask("stacks", STACKS_TIMEOUT)
        except ControlError as error:
            if error.code != codes.TIMED_OUT:
                raise
        else:
            return {**about, "blocked": False, **answer, "text": ""}
        async with found.dumping:
            with anyio.CancelScope(shield=True):  # or who asks next is shown what nobody has read
                text = await found.stacks()
        if not text:
            raise ControlError(f"{process} writes no stacks: it has ended, or the kernel holds it", codes.TIMED_OUT)
        return {**about, "blocked": True, "threads": [], "tasks": [], "text": text}

    async def configuration(self) -> Plain:
        """Each option as it runs."""
        return {"file": self._configuration.file, "options": self._configuration.shown(self._fleet.options)}

    async def configuration_diff(self) -> Plain:
        """What a reload would change."""
        return self._configuration.difference(self._fleet.options)

    def _find(self, name: str) -> tuple[Workers, WorkerProcess]:
        """The process that *name* stands for. Raises ControlError when there is none."""
        pool, _, number = name.rpartition("/")
        for group in self._fleet.groups:
            if group.name == pool and (process := group.processes.get(int(number))):
                return group, process
        raise ControlError(f'there is no process {name}; "hornbeamctl workers" lists them')

    # --- what its processes share --------------------------------------------------------------------------------

    async def state_get(self, *, key: str) -> Plain:
        """A value of the state."""
        return await self._hub.ask("state", action="get", key=key)

    async def state_set(self, *, key: str, value: str, ttl: float | None) -> Plain:
        """Store a value."""
        return await self._hub.ask("state", action="set", key=key, value=value, ttl=ttl)

    async def state_delete(self, *, key: str) -> Plain:
        """Remove an entry."""
        return await self._hub.ask("state", action="delete", key=key)

    async def state_keys(self, *, prefix: str, limit: int) -> Plain:
        """The keys."""
        return await self._hub.ask("state", action="keys", prefix=prefix, limit=limit)

    async def state_size(self) -> Plain:
        """How much there is."""
        return await self._hub.ask("state", action="size")

    async def topics(self) -> Plain:
        """Who subscribes to what."""
        status = await self._hub.ask("status")
        return {
            "topics": [{"topic": topic, **about} for topic, about in status["topics"].items()],
            "clients": status["clients"],
            "totals": {name: status["totals"][name] for name in ("published", "delivered", "missed")},
        }

    async def pools(self) -> Plain:
        """The pools, with their calls as far as the hub can tell of them."""
        handlers = {pool.name: pool.handler for pool in self._fleet.options.pools}
        calls: dict[str, Any] = {}
        if handlers:
            try:
                calls = (await self._hub.ask("status"))["names"]
            except ControlError as error:
                log.warning("the hub cannot be asked about pools", extra={"fields": {"error": str(error)}})
        return {
            "pools": [
                {
                    "name": group.name,
                    "handler": handlers.get(group.name, ""),
                    **_crowd(group.pool),
                    "in_hand": calls.get(f"hook:{group.name}", {}).get("in_hand"),
                    "waiting": calls.get(f"hook:{group.name}", {}).get("waiting"),
                }
                for group in self._fleet.groups[1:]
            ]
        }


def _id(group: Workers, number: int) -> str:
    return f"{group.name}/{number}" if group.name else str(number)


def _crowd(pool: Pool) -> Plain:
    states = [member.state for member in pool.members.values()]
    return {"wanted": 0 if pool.stopping else pool.wanted, **{state.value: states.count(state) for state in State}}


def _steps(progress: Progress) -> Any:
    def tell(step: Step) -> None:
        progress(step.plain())

    return tell
