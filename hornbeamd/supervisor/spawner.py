"""A spawner process as the supervisor holds it. What runs on the other side is ``worker/spawner.py``.

A spawner is a fresh interpreter, started by exec, for one generation of the application's code. It has no
threads and no event loop, so it may fork; see docs/design.md, section 1.
"""

from __future__ import annotations

import logging
import socket
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace

import anyio

from hornbeamd.config.log import LogOptions
from hornbeamd.config.options import Options
from hornbeamd.supervisor.process import WorkerProcess
from hornbeamd.supervisor.program import Program
from hornbeamd.supervisor.reaper import Reaper
from hornbeamd.supervisor.runtime import Runtime
from hornbeamd.worker.channel import Message, packed

log = logging.getLogger("hornbeamd.supervisor")


class Spawner:
    """The spawner of one generation, a child of the tree: it may die and come again under the same object."""

    def __init__(
        self,
        generation: int,
        options: Options,
        listeners: Sequence[socket.socket],
        board_fd: int,
        runtime: Runtime,
        reaper: Reaper,
        worker_ended: Callable[[str, int, int, int], None],
    ) -> None:
        """``worker_ended(pool, number, pid, status)`` is called for every worker that this spawner collects."""
        self.id = f"spawner {generation}"
        self.generation = generation
        self.options = options
        self._listeners = listeners
        self._board_fd = board_fd
        self._runtime = runtime
        self._worker_ended = worker_ended
        self._program = Program("hornbeamd.worker.spawner", "the spawner", reaper)
        self._up = anyio.Event()

    @property
    def pid(self) -> int | None:
        """Of its process, while there is one."""
        return self._program.pid if self._up.is_set() else None

    async def start(self) -> None:
        """Start the process; returns when it is ready to fork. Raises BootError with its traceback."""
        # A reload may have closed some since.
        listeners = [sock.fileno() for sock in self._listeners if sock.fileno() >= 0]
        begin = {
            "generation": self.generation,
            "listeners": listeners,
            "board": self._board_fd,
            "locks": self._runtime.locks,
            "place": asdict(self._runtime.place),
            "options": packed(self.options),
        }
        descriptors = [self._board_fd, *self._runtime.locks, *listeners]
        await self._program.start(begin, descriptors, self.options.boot_timeout)
        self._up.set()
        log.info("spawner ready", extra={"fields": {"pid": self._program.pid, "generation": self.generation}})

    async def ended(self) -> bool:
        """Collect what it reports until it has ended; a spawner never ends normally by itself."""
        await self._program.listen(self._heard)
        self._down()
        end = await self._program.ended()
        fields = {"pid": self._program.pid, "generation": self.generation, "end": end}
        log.error("spawner died, its workers serve on", extra={"fields": fields})
        return False

    def _heard(self, message: Message) -> None:
        if message["event"] == "exit":
            self._worker_ended(message["pool"], message["worker"], message["pid"], message["status"])

    async def fork(self, worker: WorkerProcess) -> None:
        """Have a worker forked, as soon as there is a process to fork it."""
        order = {"do": "fork", "worker": worker.number, "pool": worker.pool, "trial": worker.trial}
        while True:
            await self._up.wait()
            try:
                await self._program.hand(order, [worker.their_end.fileno(), worker.stacks_fd])
            except OSError:
                self._down()  # it is dying; the tree starts it again
            else:
                worker.forked()
                return

    def adopt(self, generation: int, options: Options) -> None:
        """Have the workers that it forks from now on be born with these: its own have moved on."""
        self.generation, self.options = generation, options
        self._program.tell({"do": "adopt", "generation": generation, "options": packed(options)})

    def change_log(self, log: LogOptions) -> None:
        """Have it, and the workers that it forks from now on, log as *log* says."""
        self.options = replace(self.options, log=log)
        self._program.tell({"do": "log", "options": asdict(log)})

    def reopen_logs(self) -> None:
        """Have it open its log file anew. One that is not up will open the new file anyway."""
        self._program.tell({"do": "reopen"})

    async def stop(self, timeout: float) -> None:
        """End it, by force after *timeout* seconds."""
        self._down()
        await self._program.stop(timeout)

    def _down(self) -> None:
        if self._up.is_set():
            self._up = anyio.Event()
