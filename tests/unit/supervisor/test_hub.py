"""What the supervisor makes of a hub's silence, with a process made of an event."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from typing import Any

import anyio
import anyio.lowlevel

from hornbeamd.config.options import Options
from hornbeamd.supervisor.hub import Hub
from hornbeamd.supervisor.reaper import Reaper
from hornbeamd.supervisor.runtime import Runtime

LIMIT = 0.4


class FakeProgram:
    """Beats when it is told to, until it ends or is killed."""

    pid = 1

    def __init__(self) -> None:
        self.killed = self.over = False
        self._event = anyio.Event()

    async def listen(self, receive: Callable[[dict[str, Any]], None]) -> None:
        while not self.over:
            await self._event.wait()
            self._event = anyio.Event()
            receive({"event": "beat"})

    def beat(self) -> None:
        self._event.set()

    def end(self) -> None:
        self.over = True
        self.beat()

    def kill(self) -> None:
        self.killed = True
        self.end()

    def tell(self, message: dict[str, Any]) -> None:
        """Nothing is asked here."""

    async def ended(self) -> str:
        return "SIGKILL" if self.killed else "exit 0"


def held(program: FakeProgram, monkeypatch: Any) -> Hub:
    monkeypatch.setattr("hornbeamd.supervisor.hub.Program", lambda *_: program)
    with socket.socket() as listener:
        runtime = Runtime.__new__(Runtime)
        runtime.listener = listener
        return Hub(Options(heartbeat_timeout=LIMIT), runtime, Reaper())


def test_a_silent_hub_is_killed(monkeypatch):
    program = FakeProgram()
    assert anyio.run(held(program, monkeypatch).ended) is False
    assert program.killed


def test_a_supervisor_that_stood_still_listens_before_it_judges(monkeypatch):
    program = FakeProgram()
    hub = held(program, monkeypatch)

    async def stand_still() -> None:
        program.beat()
        await anyio.lowlevel.checkpoint()
        time.sleep(2 * LIMIT)  # noqa: ASYNC251 (that it holds up the loop is the point)
        # What came meanwhile is seen a few turns of the loop after the timers that are due.
        await anyio.sleep(LIMIT / 10)
        program.beat()
        program.end()

    async def both() -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(hub.ended)
            group.start_soon(stand_still)

    anyio.run(both)
    assert not program.killed
