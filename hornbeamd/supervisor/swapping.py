"""Exchanging the code inside running processes, in two phases: all prepare, and only when all have done so, all commit.

The first to prepare is the canary: what fails there has cost the others nothing. To commit is an exchange of pointers
in each process and cannot fail, so either all processes move or none does.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

import anyio

from hornbeamd.config.options import Options
from hornbeamd.errors import SupervisionError
from hornbeamd.supervisor.outcome import Progress, Step
from hornbeamd.supervisor.process import WorkerProcess
from hornbeamd.supervisor.program import packed
from hornbeamd.worker.channel import Message


class Unable(SupervisionError):
    """A process cannot exchange in place what has changed; new processes may be able to run it."""


class Swap:
    """One exchange: of the code that runs now for *generation*, under *options*; of *everything* or of what changed."""

    def __init__(self, generation: int, options: Options, *, everything: bool, progress: Progress) -> None:
        self._generation = generation
        self._options = options
        self._progress = progress
        self._order = {
            "do": "prepare",
            "generation": generation,
            "everything": everything,
            "options": packed(options),
        }

    async def run(self, processes: Sequence[WorkerProcess]) -> bool:
        """Have all move; whether any of them had something to exchange.

        Raises Unable, and SupervisionError with the traceback when the new code fails; all run what they ran then.
        """
        prepared: dict[WorkerProcess, Step] = {}
        try:
            for process in processes:
                prepared[process] = await self._prepare(process)
        except BaseException:
            for process in processes:
                process.send({"do": "revert"})
            raise
        for process in prepared:
            process.send({"do": "commit"})
        with anyio.move_on_after(self._options.heartbeat_timeout):  # one that is blocked moves when it is not any more
            for process in prepared:
                await process.hear(self._generation, "committed")
        for step in prepared.values():
            self._progress(step)
        return any(step.modules for step in prepared.values())

    async def _prepare(self, process: WorkerProcess) -> Step:
        """Have one load the new code, beside the old."""
        began = time.monotonic()
        process.send(self._order)
        message: Message | None = None
        with anyio.move_on_after(self._options.boot_timeout):
            message = await process.hear(self._generation, "prepared", "unprepared", "unable")
            if message is None:
                raise SupervisionError(f"{_who(process)} ended while it loaded the new code: {process.how()}")
        if message is None:
            raise SupervisionError(f"{_who(process)} has not loaded the new code in {self._options.boot_timeout:g} s")
        ms = round((time.monotonic() - began) * 1000)
        match message["event"]:
            case "unable":
                self._progress(_step(process, "unable", (), ms))
                raise Unable(message["why"])
            case "unprepared":
                self._progress(_step(process, "failed", (), ms))
                raise SupervisionError(message["text"])
        modules = tuple(message["modules"])
        self._progress(_step(process, "ready", modules, ms))
        return _step(process, "swapped" if modules else "unchanged", modules, ms)


def _step(process: WorkerProcess, result: str, modules: tuple[str, ...], ms: int) -> Step:
    return Step(process.pool, process.number, process.pid or 0, result, modules, ms)


def _who(process: WorkerProcess) -> str:
    return f"process {process.number} of pool {process.pool}" if process.pool else f"worker {process.number}"
