"""Carries out what ``pool.py`` decides, and tells it what happens: the processes behind a pool's numbers.

Everything runs in one event loop, and what changes the pool does not wait in between, so there is nothing to
lock: an event is told to the pool, its plan is carried out, and then the next event has its turn.
"""

from __future__ import annotations

import logging
import re
import signal
import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import assert_never

import anyio
from anyio.abc import TaskGroup

from hornbeamd import errors
from hornbeamd.supervisor import actions
from hornbeamd.supervisor.pool import Pool, State
from hornbeamd.supervisor.process import WorkerProcess
from hornbeamd.supervisor.reaper import Reaper
from hornbeamd.supervisor.spawner import Spawner
from hornbeamd.worker.channel import Message
from hornbeamd.worker.scoreboard import Scoreboard

log = logging.getLogger("hornbeamd.supervisor")

TICK = 0.25

Report = Callable[["Workers", actions.Action], None]


class Workers:
    """The processes of one pool: of the web workers, or, with a ``name``, of one that is configured.

    ``spawners`` maps each generation in use to its spawner. ``board`` has a row for each web worker. ``report`` gets
    those of the pool's decisions that are not about one worker (Proven, Settled, Reverted, Hold, GiveUp); ``ready``
    gets each process that serves, and in how many milliseconds it came to that.
    """

    def __init__(
        self,
        group: TaskGroup,
        pool: Pool,
        spawners: Mapping[int, Spawner],
        reaper: Reaper,
        report: Report,
        ready: Callable[[WorkerProcess, int], None],
        *,
        name: str = "",
        board: Scoreboard | None = None,
    ) -> None:
        self.name = name
        self.pool = pool
        self.processes: dict[int, WorkerProcess] = {}
        self._group = group
        self._spawners = spawners
        self._board = board
        self._reaper = reaper
        self._report = report
        self._ready = ready
        self._due: deque[actions.Action] = deque()
        self._empty = anyio.Event()
        self._last_failure: str | None = None
        self._failure: str | None = None
        """What the process that ended last has told of itself."""

    async def run(self) -> None:
        """Start what is wanted, and keep the pool's time until it is stopped and empty."""
        self.settle()
        while self.processes or not self.pool.stopping:
            await anyio.sleep(TICK)
            self.pool.tick(time.monotonic())
            self.settle()

    async def wait_empty(self) -> None:
        """Return when the last worker is gone."""
        while self.processes:
            self._empty = anyio.Event()
            await self._empty.wait()

    def settle(self) -> None:
        """Do what is due, in the order in which it was decided, also when doing it leads to more."""
        idle = not self._due
        self._due += self.pool.plan(time.monotonic())
        while idle and self._due:
            self._do(self._due[0])
            self._due.popleft()

    def whole_story(self, why: str) -> str:
        """What has just ended it all, *why*, below the traceback that led to it where there is one."""
        if self._failure is None or gist(self._failure) == why:
            return self._failure or why
        return f"{self._failure}\n\n{_WHY}\n\n{why}"

    @property
    def current(self) -> list[WorkerProcess]:
        """The processes that serve and may stay, oldest first."""
        return [self.processes[member.number] for member in self.pool.current]

    def swapped(self, generation: int) -> None:
        """These have exchanged their code for that of *generation*."""
        for process in self.current:
            process.generation = generation
        self.pool.swapped(generation)

    def tell(self, message: Message) -> None:
        """Tell all of them something."""
        for process in self.processes.values():
            process.send(message)

    def _do(self, action: actions.Action) -> None:
        match action:
            case actions.Start():
                self._start(action.number, action.generation)
            case actions.Drain():
                process = self.processes[action.number]
                self._note("drains", process, why=action.why)
                process.send({"do": "drain", "timeout": action.timeout, "idle": action.idle})
            case actions.Quit():
                process = self.processes[action.number]
                self._note("is told to quit", process, why=action.why)
                process.send({"do": "quit"})
                process.signal(signal.SIGQUIT)  # before its loop runs it reads no messages
            case actions.Kill():
                self._group.start_soon(self._kill, self.processes[action.number], action.why)
            case actions.Dump():
                self._group.start_soon(self._dump, self.processes[action.number], action.why)
            case actions.Proven() | actions.Settled() | actions.Reverted() | actions.Hold() | actions.GiveUp():
                self._report(self, action)
            case _:
                assert_never(action)

    def _start(self, number: int, generation: int) -> None:
        try:
            process = WorkerProcess(number, generation, self.name)
        except OSError as error:  # out of descriptors, say: a death like others, so that it is tried again, and paced
            fields = {**self._about(number), "generation": generation, "error": str(error)}
            log.error(f"{self._noun} could not be started", extra={"fields": fields})
            self._failure = None
            self.pool.exited(number, str(error), time.monotonic())
            return
        self.processes[number] = process
        if self._board is not None:
            self._board.claim(number)
        self._group.start_soon(self._live, process)

    async def _live(self, process: WorkerProcess) -> None:
        """One worker from its fork to its end."""
        try:
            async with anyio.create_task_group() as group:
                group.start_soon(self._attend, process)
                await process.dead.wait()
                group.cancel_scope.cancel()
            self._tell_end(process)
        finally:
            self._bury(process)
        self._failure = process.failure
        self.pool.exited(process.number, gist(process.failure) or process.how(), time.monotonic())
        self.settle()
        if not self.processes:
            self._empty.set()

    async def _attend(self, process: WorkerProcess) -> None:
        await self._spawners[process.generation].fork(process)
        async with anyio.create_task_group() as group:

            def receive(message: Message) -> None:
                if message["event"] == "born":
                    process.born(message["pid"])
                    self._reaper.expect(message["pid"], process.over)
                    group.start_soon(process.watch)
                    self._note("started", process)
                else:
                    self._heard(process, message)

            await process.listen(receive)

    def _heard(self, process: WorkerProcess, message: Message) -> None:
        """Tell the pool what a worker says."""
        number, now = process.number, time.monotonic()
        match message["event"]:
            case "beat":
                self.pool.heard(number, now)
                return
            case "ready":
                self._note("ready", process, boot_ms=message["boot_ms"])
                self._ready(process, message["boot_ms"])
                self.pool.ready(number, now)
            case "failed":
                process.failure = message["text"]
            case "recycle":
                self._note("asks to be replaced", process, why=message["why"])
                self.pool.wear(number, message["why"])
            case "stuck":
                self._note("is stuck", process, logging.ERROR, why=message["why"])
                self.pool.wear(number, message["why"], stuck=True)
            case "leaving":
                self._note("leaves", process, why=message["why"])
                self.pool.leaving(number, now)
            case "draining":
                self.pool.closed(number)
            case "answer":
                process.questions.hear(message)
                return
            case "drained":
                level = logging.WARNING if message["cut"] else logging.INFO
                self._note("drained", process, level, cut=message["cut"])
        self.settle()

    async def _kill(self, process: WorkerProcess, why: str) -> None:
        """Kill a worker, after its stacks have been written if they are being."""
        async with process.dumping:
            if process.dead.is_set():
                return
            self._note("is killed", process, logging.ERROR, why=why)
            process.signal(signal.SIGKILL)
            if process.pid is None:
                process.over(None)  # not even forked: its spawner does not answer

    async def _dump(self, process: WorkerProcess, why: str) -> None:
        async with process.dumping:
            stacks = await process.stacks()
        if stacks:
            self._note("writes its stacks", process, logging.ERROR, why=why, stacks=stacks)

    def _tell_end(self, process: WorkerProcess) -> None:
        member = self.pool.members[process.number]
        # One that was told to quit may get our SIGQUIT when it has obeyed already, and is about to exit.
        planned = member.state is State.DRAINING and process.status in (0, signal.SIGQUIT)
        fields = {"end": process.how()}
        if stacks := process.written_stacks():
            fields["stacks"] = stacks
        if process.failure is not None and process.failure != self._last_failure:
            # Workers that boot side by side fail in the same way; one traceback is enough.
            fields["traceback"] = self._last_failure = process.failure
        self._note("ended", process, logging.INFO if planned else logging.ERROR, **fields)

    def _bury(self, process: WorkerProcess) -> None:
        """Leave nothing of a dead worker: no row, no registration, no descriptor."""
        if self._board is not None:
            self._board.clear(process.number)
        del self.processes[process.number]
        if process.pid is not None:
            self._reaper.forget(process.pid)
        process.close()

    def _note(self, text: str, process: WorkerProcess, level: int = logging.INFO, **fields: object) -> None:
        about = {**self._about(process.number), "pid": process.pid, "generation": process.generation}
        log.log(level, f"{self._noun} {text}", extra={"fields": {**about, **fields}})

    @property
    def _noun(self) -> str:
        return "pool process" if self.name else "worker"

    def _about(self, number: int) -> dict[str, object]:
        return {"pool": self.name, "process": number} if self.name else {"worker": number}


_WHY = "What came of it:"

_HEADING = re.compile(
    r"^(?:(?:\S.*|  \+ Exception Group )?Traceback \(most recent call last\):"
    r"|The above exception was the direct cause of the following exception:"
    r"|During handling of the above exception, another exception occurred:"
    rf"|{_WHY})$",
    re.MULTILINE,
)
_SAID = re.compile(r"^(?:  \| )?(\S.*?(?:: ?$\s+\S.*|$))", re.MULTILINE)
"""Below a heading the line below the frames; of an exception group, that of the group. One that ends with a colon goes
on in the next."""


def gist(traceback: str | None) -> str:
    """What a traceback comes to, in a line: class of the last exception, and the first line of its message, which may
    have more; of an error of ours the message. What has no heading comes to its last paragraph."""
    *before, last = _HEADING.split(traceback or "")
    if not before:
        last = last.rpartition("\n\n")[2]
    said = _SAID.search(last)
    line = " ".join(filter(None, map(str.strip, said[1].split("\n")))) if said else last
    name, _, message = line.partition(": ")
    return message if name.startswith(f"{errors.__name__}.") and message else line
