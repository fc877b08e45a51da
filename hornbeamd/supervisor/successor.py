"""The daemon that is to take our place, seen from here; ``predecessor.py`` is the other side.

    ours                                      its own
    begin (what is handed over)  ──▶
                                 ◀── ready    all its processes serve; its hub waits
    take                         ──▶          our hub has ended
                                 ◀── taken    sockets, folders and pidfile are its own from now on
    over                         ──▶          it is the main process, and speaks for the service

Until ``taken`` it may fail in whatever way, and all is as it was before.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

import anyio

from hornbeamd.errors import BootError
from hornbeamd.supervisor.handover import VARIABLE, Estate
from hornbeamd.supervisor.program import Program
from hornbeamd.supervisor.reaper import Reaper
from hornbeamd.worker.scoreboard import memory_file

TAKE_TIMEOUT = 10.0
LONGEST_WORDS = 16 * 1024


@dataclass(frozen=True, slots=True)
class Command:
    """How this daemon was started: what the next one is started with."""

    arguments: Sequence[str]
    folder: str
    environ: Mapping[str, str]

    @staticmethod
    def of_this_process(environ: Mapping[str, str]) -> Command:
        """That of the running interpreter, whatever is under its name by now."""
        # Times and numbers of this very process; the next one would not take them for its own.
        own = {"WATCHDOG_PID", "LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", "LISTEN_PIDFDID", VARIABLE}
        left = {name: value for name, value in environ.items() if name not in own}
        return Command([sys.executable, *sys.orig_argv[1:]], os.getcwd(), left)


class Successor(Program):
    """The new daemon, started with *command*."""

    patience = 10.0  # it has processes of its own to end

    def __init__(self, command: Command, reaper: Reaper) -> None:
        super().__init__("", "the new daemon", reaper)
        self._command = command
        self._words = -1

    async def prepare(self, estate: Estate, timeout: float) -> None:
        """Start it and return when it is ready. Raises BootError with its words, and has left nothing running then."""
        # What it says before it is told where to, such as that one of its modules cannot be imported.
        self._words = memory_file("hornbeamd first words")
        stderr = os.dup(2)
        try:
            await self.start({"stderr": stderr, **asdict(estate)}, [stderr, *estate.descriptors()], timeout)
        except BootError as error:
            words = os.pread(self._words, LONGEST_WORDS, 0).decode(errors="replace").strip()
            raise BootError("\n".join(filter(None, (words, str(error))))) from None
        finally:
            os.close(stderr)
            os.close(self._words)

    async def take(self) -> None:
        """Have it take all that it was handed. Raises BootError when it does not."""
        self.tell({"do": "take"})
        message = None
        with anyio.move_on_after(TAKE_TIMEOUT):
            message = await anext(self.messages, None)
        if message is None or message["event"] != "taken":
            await self.stop(self.patience)
            raise BootError("the new daemon was ready, but did not take over")

    def over(self) -> None:
        """It is on its own."""
        self.tell({"do": "over"})

    def _popen(self, fd: int, descriptors: Sequence[int]) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            self._command.arguments,
            pass_fds=[fd, *descriptors],
            cwd=self._command.folder,
            env={**self._command.environ, VARIABLE: str(fd)},
            stderr=self._words,
        )
