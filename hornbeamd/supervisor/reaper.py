"""Collects the dead: our own children, workers whose spawner died, and whoever else is left to us.

The supervisor is a *subreaper* (``prctl(2)``), and in a container it is process 1 as well: processes whose
parent ended become its children. All are waited for in this one place, and each status goes to whoever knows
that process id; that a stranger's death must not be taken for a worker's is the lesson of gunicorn#3220.
"""

from __future__ import annotations

import ctypes
import logging
import os
import signal
import sys
from collections.abc import Callable

import anyio

log = logging.getLogger("hornbeamd.supervisor")

PR_SET_CHILD_SUBREAPER = 36


def become_subreaper() -> bool:
    """Have orphaned descendants handed to this process, not to process 1; false where that is unknown."""
    if not sys.platform.startswith("linux"):
        return False
    libc = ctypes.CDLL(None, use_errno=True)
    return bool(libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0)


class Reaper:
    """Waits for all children of this process and tells those who registered for a process id, once."""

    def __init__(self) -> None:
        self._known: dict[int, Callable[[int], None]] = {}

    def expect(self, pid: int, tell: Callable[[int], None]) -> None:
        """Call ``tell`` with the wait status when ``pid``, now or later a child of ours, has ended."""
        self._known[pid] = tell

    def forget(self, pid: int) -> None:
        """Nobody is interested in ``pid`` any more: the number may come again for something else."""
        self._known.pop(pid, None)

    async def run(self) -> None:
        """Collect until cancelled."""
        with anyio.open_signal_receiver(signal.SIGCHLD) as signals:
            self.collect()
            async for _ in signals:
                self.collect()

    def collect(self) -> None:
        """Collect everyone who is dead by now. One SIGCHLD may stand for several deaths."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            tell = self._known.pop(pid, None)
            if tell is not None:
                tell(status)
            else:
                log.debug("orphan reaped", extra={"fields": {"pid": pid, "end": how_it_ended(status)}})


def how_it_ended(status: int | None) -> str:
    """A wait status in words: ``exit 3``, ``SIGKILL``; None is one that nobody could learn."""
    if status is None:
        return "unknown end"
    code = os.waitstatus_to_exitcode(status)
    if code >= 0:
        return f"exit {code}"
    try:
        return signal.Signals(-code).name
    except ValueError:
        return f"signal {-code}"
