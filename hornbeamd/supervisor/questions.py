"""Questions to a process of ours, over its channel: ``ask`` and ``answer`` of ``worker/channel.py``."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from typing import Any

import anyio

from hornbeamd.control import codes
from hornbeamd.errors import ControlError
from hornbeamd.worker.channel import Message

MOST = 100
"""How many questions may wait for their answers, whatever happens at the other end."""


class Questions:
    """Those to one process, known to people as *who*; *send* sends it a message."""

    def __init__(self, who: str, send: Callable[[Message], None]) -> None:
        self._who = who
        self._send = send
        self._numbers = count(1)
        self._open: dict[int, _Question] = {}
        self._gone = False

    async def ask(self, what: str, timeout: float, **about: object) -> dict[str, Any]:
        """The answer. Raises ControlError when the process refuses, ends, or says nothing for *timeout* seconds."""
        if self._gone:
            raise self._ended()
        if len(self._open) >= MOST:
            raise ControlError(f"{self._who} has too many questions to answer already; try again")
        number = next(self._numbers)
        question = self._open[number] = _Question()
        try:
            self._send({"do": "ask", "id": number, "what": what, **about})
            with anyio.fail_after(timeout):
                await question.over.wait()
        except TimeoutError:
            raise ControlError(f"{self._who} did not answer within {timeout:g} s", codes.TIMED_OUT) from None
        finally:
            del self._open[number]
        if question.error is not None:
            raise question.error
        return question.answer

    def hear(self, message: Message) -> None:
        """The process has answered; maybe too late, and then nobody listens."""
        question = self._open.get(message["id"])
        if question is None:
            return
        if "error" in message:
            question.error = ControlError(message["error"], message["code"])
        else:
            question.answer = message["answer"]
        question.over.set()

    def end(self) -> None:
        """The process is gone: nothing that was asked, or will be, is answered."""
        self._gone = True
        for question in self._open.values():
            if not question.over.is_set():
                question.error = self._ended()
                question.over.set()

    def _ended(self) -> ControlError:
        return ControlError(f"{self._who} ended before it answered; try again")


class _Question:
    """One that waits."""

    def __init__(self) -> None:
        self.over = anyio.Event()
        self.answer: dict[str, Any] = {}
        self.error: ControlError | None = None
