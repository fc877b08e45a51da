"""Replacing the daemon itself, while it serves: by another version of it, or by another interpreter.

A new daemon is started with the same command line and environment, and with our descriptors. When all its processes
serve, it takes what was handed over, and ours drain; until then whatever goes wrong leaves everything as it was.

The first process of all has somebody who waits for it: a shell, a container, another supervisor. It stays, as the
keeper (keeper.py), unless the service manager is systemd, which is told who the main process is.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import anyio

from hornbeamd.control.operations import Plain
from hornbeamd.errors import ControlError, SupervisionError
from hornbeamd.supervisor.handover import Estate
from hornbeamd.supervisor.keeper import Heirs, shell_status
from hornbeamd.supervisor.predecessor import Predecessor
from hornbeamd.supervisor.reaper import Reaper, how_it_ended
from hornbeamd.supervisor.successor import Command, Successor

log = logging.getLogger("hornbeamd.supervisor")

# One boot_timeout each for the spawner, the pools, the first worker, and the other workers; and something for the rest.
STAGES = 4
REST = 60.0


class Host(Protocol):
    """The daemon, as far as it has to do with its upgrade."""

    @property
    def unready(self) -> str:
        """Why it cannot be upgraded now; "" when it can."""

    def estate(self, announce: int | None) -> Estate:
        """What there is to hand over."""

    async def part_with_hub(self) -> None:
        """End the hub: another one is about to serve."""

    async def take_hub_back(self) -> None:
        """Have a hub again."""

    def retire(self, pid: int) -> None:
        """Serve no more: all that was handed over is the process *pid*'s."""


@dataclass(frozen=True, slots=True)
class Lineage:
    """Where a daemon comes from: the ``command`` that starts another one like it, unless it belongs to a program, and
    the daemon before it, if any."""

    command: Command | None = None
    predecessor: Predecessor | None = None

    @property
    def announce(self) -> int | None:
        """Where its successor is to be announced to the keeper; None where there is none."""
        return None if self.predecessor is None else self.predecessor.estate.announce

    @property
    def is_main(self) -> bool:
        """Whether a service manager knows the process as its main one, and does without a keeper."""
        if self.predecessor is not None:
            return self.predecessor.estate.announce is None
        # systemd.exec(5). Others that listen at NOTIFY_SOCKET, such as podman, end with the process that they started.
        return "NOTIFY_SOCKET" in os.environ and os.environ.get("SYSTEMD_EXEC_PID") == str(os.getpid())


class Upgrading:
    """The upgrade of a daemon, ``host``, which has come as *lineage* says."""

    def __init__(self, host: Host, reaper: Reaper, lineage: Lineage) -> None:
        self.running = False
        self.heirs: Heirs | None = None
        """Who serves now, when this process has to stay for as long as that does."""
        self.successor: Successor | None = None
        """Who serves now, when this is not the daemon any more."""
        self.status: int | None = None
        """The exit status of the new daemon, as shells say it, when it has ended before this one has drained."""
        self._scope = anyio.CancelScope()
        self._host = host
        self._reaper = reaper
        self._lineage = lineage

    async def upgrade(self, timeout: float) -> Plain:
        """Have a new daemon take over. Raises ControlError when there cannot be one, or it did not come up."""
        if self._lineage.command is None:
            raise ControlError("this daemon belongs to the program that has started it: start that program again")
        if self.running:
            raise ControlError("an upgrade is under way")
        if unready := self._host.unready:
            raise ControlError(unready)
        self.running = True
        try:
            with anyio.CancelScope() as self._scope:
                return await self._upgrade(self._lineage.command, timeout)
            raise ControlError("the daemon was told to end, so it was not upgraded")
        except SupervisionError as error:
            log.error("upgrade failed, this daemon serves on", extra={"fields": {"traceback": str(error)}})
            raise ControlError(f"the new daemon did not come up, the old one serves on:\n{error}") from None
        finally:
            self.running = False

    def abort(self) -> None:
        """Have it end without a new daemon, unless there is one that serves."""
        if self.successor is None:
            self._scope.cancel()

    def forward(self, number: int) -> None:
        """Pass a signal on to the newest daemon, when that is another one than this, and nobody else would."""
        if self.heirs is not None:
            self.heirs.forward(number)

    async def _upgrade(self, command: Command, timeout: float) -> Plain:
        log.info("upgrade begins", extra={"fields": {"command": command.arguments}})
        successor, announce, reading = Successor(command, self._reaper), self._lineage.announce, -1
        with contextlib.ExitStack() as undo:
            if announce is None and not self._lineage.is_main:
                reading, announce = os.pipe()
                undo.callback(os.close, reading)
                undo.callback(os.close, announce)
            await successor.prepare(self._host.estate(announce), timeout * STAGES + REST)
            with anyio.CancelScope(shield=True):  # there must be no doubt whose everything is
                await self._exchange(successor)
            undo.pop_all()
        if reading >= 0:
            self.heirs = Heirs(successor.pid, reading)
        elif announce is not None:
            with contextlib.suppress(BrokenPipeError):  # somebody has killed the keeper
                os.write(announce, b"%d\n" % successor.pid)
        self._step_down(successor)
        return {"pid": successor.pid, "version": successor.ready["version"]}

    def _step_down(self, successor: Successor) -> None:
        """The new daemon has everything: leave the place to it."""
        self.successor = successor
        self._follow(successor.pid)
        self._host.retire(successor.pid)
        successor.over()
        if self._scope.cancel_called:  # somebody wants the service to end
            os.kill(successor.pid, signal.SIGTERM)
        log.info("upgrade complete, this daemon drains", extra={"fields": {"pid": successor.pid}})

    def _follow(self, pid: int) -> None:
        """Note how the newest daemon ends, should that be before this process ends or is the keeper."""
        self._reaper.expect(pid, partial(self._ended, pid))

    def _ended(self, pid: int, status: int) -> None:
        if self.heirs is not None and self.heirs.pid != pid:
            self._follow(self.heirs.pid)
            return
        self.status = shell_status(os.waitstatus_to_exitcode(status))
        if self.heirs is not None:
            self.heirs.status = self.status
        log.warning("the new daemon has ended", extra={"fields": {"pid": pid, "end": how_it_ended(status)}})

    async def _exchange(self, successor: Successor) -> None:
        """One hub ends, the other begins; and with it the new daemon has all that was handed over."""
        await self._host.part_with_hub()
        try:
            await successor.take()
        except SupervisionError:
            await self._host.take_hub_back()
            raise
