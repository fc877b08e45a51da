"""A trial: a process that loads and starts up the new code and ends, before any that serves touches it.

What the code may do to a process (exit, crash, hang, fill its memory) it does to this one, and to no connection.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from signal import SIGKILL

import anyio

from hornbeamd.errors import SupervisionError
from hornbeamd.supervisor.process import WorkerProcess
from hornbeamd.supervisor.reaper import Reaper
from hornbeamd.supervisor.spawner import Spawner
from hornbeamd.worker.channel import Message

log = logging.getLogger("hornbeamd.supervisor")

# How long it may take to end when it has shown what it had to.
_LEAVE = 5.0


class Trial:
    """One trial, in the *pool* of that name, "" for the web workers; *timeout* is for load and startup, in seconds.

    *modules* are those that the processes of the pool would load anew: some an application imports late, in a request,
    which is too late for an error. Raises OSError where no descriptors are left.
    """

    def __init__(self, pool: str, modules: Sequence[str], spawner: Spawner, reaper: Reaper, timeout: float) -> None:
        self.process = WorkerProcess(0, spawner.generation, pool, trial=True)
        self._modules = list(modules)
        self._spawner = spawner
        self._reaper = reaper
        self._timeout = timeout
        self._signs: dict[str, str] | None = None
        self._proven = anyio.Event()
        self._over = anyio.Event()
        self._why = ""

    async def verdict(self) -> dict[str, str]:
        """Return when the code has proven itself, with the digests of its texts by module.

        Raises SupervisionError, with its traceback, when it has not.
        """
        await self._over.wait()
        if self._signs is None:
            raise SupervisionError(self._why)
        return self._signs

    async def live(self) -> None:
        """See it through, from its fork to its end."""
        process = self.process
        try:
            async with anyio.create_task_group() as group:
                group.start_soon(self._attend)
                with anyio.move_on_after(self._timeout):
                    await self._until_told()
                if self._signs is None and not process.dead.is_set():
                    self._fail(f"the new code was not ready within {self._timeout:g} s", await process.stacks())
                    process.signal(SIGKILL)
                self._over.set()
                with anyio.move_on_after(_LEAVE):
                    await process.dead.wait()
                group.cancel_scope.cancel()
        finally:
            process.signal(SIGKILL)  # the daemon may be about to end
            self._over.set()
            if process.pid is not None:
                self._reaper.forget(process.pid)
            process.close()

    async def _until_told(self) -> None:
        """Return when it is ready, or dead."""
        process = self.process
        async with anyio.create_task_group() as either:
            for event in (self._proven, process.dead):
                either.start_soon(_first, event, either.cancel_scope)
        if self._signs is None:
            ended = f"the process that tried the new code ended: {process.how()}"
            self._fail(process.failure or ended, process.written_stacks())

    def _fail(self, why: str, stacks: str) -> None:
        self._why = f"{stacks}\n\n{why}" if stacks else why  # as a traceback, which has what it comes to at its end
        fields = {"pid": self.process.pid, "traceback": why, **({"stacks": stacks} if stacks else {})}
        log.error("the new code failed in a process of its own", extra={"fields": fields})

    async def _attend(self) -> None:
        await self._spawner.fork(self.process)
        self.process.send({"do": "prove", "modules": self._modules})
        async with anyio.create_task_group() as group:

            def receive(message: Message) -> None:
                match message["event"]:
                    case "born":
                        self.process.born(message["pid"])
                        self._reaper.expect(message["pid"], self.process.over)
                        group.start_soon(self.process.watch)
                    case "failed":
                        self.process.failure = message["text"]
                    case "proven":
                        self._signs = message["signs"]
                        self._proven.set()

            await self.process.listen(receive)


async def _first(event: anyio.Event, scope: anyio.CancelScope) -> None:
    await event.wait()
    scope.cancel()
