"""Exchanging the code inside running processes: all or none of them move.

look      every process says what it would load anew; when it cannot, new processes have to come instead
try       a process of its own loads and starts up the new code (trial.py)
prepare   one process after the other loads it, beside what serves
commit    all exchange a pointer, which cannot fail
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import anyio

from hornbeamd.config.options import Options
from hornbeamd.errors import ControlError, SupervisionError
from hornbeamd.supervisor.outcome import Progress, Step
from hornbeamd.supervisor.process import WorkerProcess
from hornbeamd.worker.channel import packed

# How often it is all begun, when files change meanwhile.
_ATTEMPTS = 3

Signs = Mapping[str, str]
"""What texts a process has loaded: digests by the names of the modules."""


class Unable(SupervisionError):
    """A process cannot exchange in place what has changed, but new processes may be able to run it.

    *modules* would have to be loaded anew, as far as that is known.
    """

    def __init__(self, why: str, modules: Sequence[str] = ()) -> None:
        super().__init__(why)
        self.modules = modules


class _Unlike(Exception):
    """Two processes have loaded different texts, or one has loaded what was not tried."""


class Swap:
    """One exchange: of the code that runs now, which *serving* is the number of, for that of the number *new*, under
    *options*, which may be *others* than those that are in force; of *everything* or of what changed.

    *attempt* tries the new code, with those modules, in a process of its own, of the pool of that name; it gives what
    was loaded there, and raises SupervisionError.
    """

    def __init__(
        self,
        serving: int,
        new: int,
        options: Options,
        *,
        others: bool,
        everything: bool,
        attempt: Callable[[str, Sequence[str]], Awaitable[Signs]],
        progress: Progress,
    ) -> None:
        self.generation = serving
        """Of which all are when it is over: no new one, where no code has changed."""
        self._new = new
        self._options = options
        self._others = others
        self._attempt = attempt
        self._progress = progress
        self._order = {"everything": everything, "options": packed(options)}

    async def run(self, processes: Sequence[WorkerProcess]) -> bool:
        """Have all move; whether any of them had something to exchange. Where none has, and the options are the same,
        nothing is done.

        Raises Unable, and SupervisionError with the traceback when the new code fails; all run what they ran then.
        """
        steps = await self._prepare_alike(processes)
        if all(process.dead.is_set() for process in processes):
            raise Unable("all processes ended meanwhile")
        if not steps:
            return False
        async with anyio.create_task_group() as group:
            for process in processes:
                group.start_soon(self._commit, process)
        for step in steps:
            self._progress(step)
        return any(step.modules for step in steps)

    async def _prepare_alike(self, processes: Sequence[WorkerProcess]) -> list[Step]:
        """Have all look, one try and all load, and once more from the beginning when a file has changed meanwhile."""
        for _ in range(_ATTEMPTS):
            with contextlib.suppress(_Unlike):
                affected, unable = await self._look(processes)
                signs = await self._try(affected)
                if unable is not None:
                    raise unable
                if not (affected or self._others):
                    return []
                if affected:
                    self.generation = self._new
                return await self._prepare_all(processes, affected, signs)
        raise SupervisionError("files go on changing while they are loaded: reload when they are at rest")

    async def _try(self, affected: Mapping[str, Sequence[str]]) -> dict[str, str]:
        """Have the new code tried for each pool; gives what was. Raises _Unlike."""
        signs: dict[str, str] = {}
        for pool, modules in affected.items():
            _compare(signs, await self._attempt(pool, modules))
        return signs

    async def _look(self, processes: Sequence[WorkerProcess]) -> tuple[dict[str, list[str]], Unable | None]:
        """What each pool would load anew, and why one of its processes cannot.

        To read the texts of a large application takes a second at first.
        """
        found: dict[WorkerProcess, Sequence[str]] = {}
        refusals: list[Unable] = []

        async def look(process: WorkerProcess) -> None:
            try:
                found[process] = (await self._ask(process, "look"))["modules"]
            except Unable as unable:
                if not process.dead.is_set():  # it had not touched the new code; who comes in its place gets it
                    found[process] = unable.modules
                    refusals.append(unable)

        async with anyio.create_task_group() as group:
            for process in processes:
                group.start_soon(look, process)
        affected: dict[str, dict[str, None]] = {}
        for process in processes:
            if modules := found.get(process):
                affected.setdefault(process.pool, {}).update(dict.fromkeys(modules))
        return {pool: list(modules) for pool, modules in affected.items()}, next(iter(refusals), None)

    async def _prepare_all(
        self, processes: Sequence[WorkerProcess], affected: Mapping[str, Sequence[str]], signs: dict[str, str]
    ) -> list[Step]:
        """Have all load the new code, one after the other, or none: then what is raised passes on, _Unlike too."""
        try:
            return [await self._prepare(each, affected, signs) for each in processes if not each.dead.is_set()]
        except BaseException:
            with anyio.CancelScope(shield=True):
                await self._revert_all(processes)
            raise

    async def _prepare(
        self, process: WorkerProcess, affected: Mapping[str, Sequence[str]], signs: dict[str, str]
    ) -> Step:
        """Have one load the new code: what is *affected* in its pool; *signs* has what those before it have loaded."""
        began = time.monotonic()
        answer = await self._ask(process, "prepare")
        if not set(answer["modules"]).issubset(affected.get(process.pool, ())):
            raise _Unlike
        _compare(signs, answer["signs"])
        modules, ms = tuple(answer["modules"]), round((time.monotonic() - began) * 1000)
        self._progress(_step(process, "ready", modules, ms))
        return _step(process, "swapped" if modules else "unchanged", modules, ms)

    async def _ask(self, process: WorkerProcess, what: str) -> dict[str, Any]:
        """What a process answers. Raises Unable when the answer is no."""
        try:
            answer = await process.questions.ask(
                what, self._options.boot_timeout, generation=self.generation, **self._order
            )
        except ControlError as error:
            if process.dead.is_set():  # whoever takes its place reads the new code, so the others cannot stay behind
                raise Unable(f"{process} ended meanwhile: {process.how()}") from None
            raise Unable(str(error)) from None
        if "unable" in answer:
            self._progress(_step(process, "unable", (), 0))
            raise Unable(answer["unable"], answer.get("modules", ()))
        return answer

    async def _commit(self, process: WorkerProcess) -> None:
        # One that is blocked moves when it is not any more; one that has died need not.
        with contextlib.suppress(ControlError):
            await process.questions.ask("commit", self._options.heartbeat_timeout)

    async def _revert_all(self, processes: Sequence[WorkerProcess]) -> None:
        async with anyio.create_task_group() as group:
            for process in processes:
                group.start_soon(self._revert, process)

    async def _revert(self, process: WorkerProcess) -> None:
        with contextlib.suppress(ControlError):
            await process.questions.ask("revert", self._options.heartbeat_timeout)


def _compare(known: dict[str, str], signs: Signs) -> None:
    """Add the *signs* to those that are *known*. Raises _Unlike."""
    if any(known.setdefault(name, sign) != sign for name, sign in signs.items()):
        raise _Unlike


def _step(process: WorkerProcess, result: str, modules: tuple[str, ...], ms: int) -> Step:
    return Step(process.pool, process.number, process.pid or 0, result, modules, ms)
