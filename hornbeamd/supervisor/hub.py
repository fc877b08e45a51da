"""The hub's process as the supervisor holds it. What runs on the other side is ``worker/hub.py``.

Workers serve on without it; their calls of each other fail, or wait, until it is back. Its socket is held by the
supervisor and listens all the time, so nobody who connects meanwhile is refused.
"""

from __future__ import annotations

import logging
from dataclasses import asdict
from typing import Any

import anyio

from hornbeamd.config.options import Options
from hornbeamd.errors import ControlError
from hornbeamd.supervisor.program import Program
from hornbeamd.supervisor.questions import Questions
from hornbeamd.supervisor.reaper import Reaper
from hornbeamd.supervisor.runtime import Runtime
from hornbeamd.worker.channel import Message, packed

log = logging.getLogger("hornbeamd.supervisor")

BOOT_TIMEOUT = 30.0  # nothing of the application is in it, so the application's option is not for it
ANSWER_TIMEOUT = 10.0
LOOKS = 4
"""How often in the time of ``heartbeat_timeout`` it is looked whether the hub was heard."""


class Hub:
    """A child of the tree: it may die and come again under the same object."""

    def __init__(self, options: Options, runtime: Runtime, reaper: Reaper) -> None:
        self._options = options
        self._runtime = runtime
        self.starts = 0
        """How often it was started."""
        self._heard = False
        self._up = False
        self.standby = False
        """Whether it is to be ready, and no more, until :meth:`serve`: another hub serves at the same socket."""
        self._program = Program("hornbeamd.worker.hub", "the hub", reaper)
        self._questions = self._none_asked()

    def _none_asked(self) -> Questions:
        return Questions("the hub", self._program.tell)

    @property
    def pid(self) -> int | None:
        """Of its process, while there is one."""
        return self._program.pid if self._up else None

    async def start(self) -> None:
        """Start the process; returns when it serves. Raises BootError with its traceback."""
        runtime = self._runtime
        begin = {
            "listener": runtime.listener.fileno(),
            "locks": runtime.locks,
            "place": asdict(runtime.place),
            "options": packed(self._options),
            "standby": self.standby,
        }
        await self._program.start(begin, [runtime.listener.fileno(), *runtime.locks], BOOT_TIMEOUT)
        self._up = True
        self.starts += 1
        log.info("hub ready", extra={"fields": {"pid": self._program.pid}})

    def serve(self) -> None:
        """Have it begin to serve, the other hub being gone."""
        self.standby = False
        self._program.tell({"do": "serve"})

    async def ended(self) -> bool:
        """Listen to its beats until it has ended, or has been killed for its silence; that is never normal."""
        async with anyio.create_task_group() as group:
            group.start_soon(self._watch)
            await self._program.listen(self._hear)
            group.cancel_scope.cancel()
        self._up = False
        self._questions.end()
        self._questions = self._none_asked()
        end = await self._program.ended()
        log.error("hub ended, workers serve on without it", extra={"fields": {"pid": self._program.pid, "end": end}})
        return False

    def _hear(self, message: Message) -> None:
        self._heard = True
        if message["event"] == "answer":
            self._questions.hear(message)

    async def _watch(self) -> None:
        """Kill it when nothing was heard in so many looks, one after the other.

        Looks are counted, not seconds: a supervisor that stood still itself, as in a paused container, has heard
        nothing meanwhile.
        """
        limit = self._options.heartbeat_timeout
        silent = 0
        while silent < LOOKS:
            self._heard = False
            await anyio.sleep(limit / LOOKS)
            silent = 0 if self._heard else silent + 1
        log.error("hub is silent and killed", extra={"fields": {"pid": self._program.pid, "limit_s": limit}})
        self._program.kill()

    async def stop(self, timeout: float) -> None:
        """End it, by force after *timeout* seconds."""
        await self._program.stop(timeout)

    async def ask(self, what: str, **about: object) -> dict[str, Any]:
        """What the hub answers (worker/hub.py): "status", what there is; "figures", how much; "state", what ``action``
        does to the state.

        Raises ControlError when it is not up, does not answer in time, or refuses.
        """
        if not self._up:
            raise ControlError("the hub is not up; it is started again, so try again in a moment")
        return await self._questions.ask(what, ANSWER_TIMEOUT, **about)

    def adopt(self, options: Options) -> None:
        """A reload has changed the options."""
        self._options = options
        self._program.tell({"do": "adopt", "options": packed(options)})

    def reopen_logs(self) -> None:
        """Have it open its log file anew."""
        self._program.tell({"do": "reopen"})
