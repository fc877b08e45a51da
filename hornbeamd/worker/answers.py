"""Answers to what the supervisor asks over the channel: ``ask`` and ``answer`` of ``channel.py``."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from hornbeamd.errors import ControlError
from hornbeamd.jsonlines import encode
from hornbeamd.worker.channel import Message, Outbox

log = logging.getLogger("hornbeamd.worker")

LONGEST = 512 * 1024
"""How many bytes an answer may have. Other messages wait behind it, for which the outbox must have room left."""

Subject = Callable[[Message], Awaitable[dict[str, Any]]]
"""Answers questions about one thing. Raises ControlError when there is no answer, with a text for the operator."""


class Answers:
    """What this process can be asked. *channel* and *outbox* lead to the supervisor."""

    def __init__(self, channel: socket.socket, outbox: Outbox, subjects: Mapping[str, Subject]) -> None:
        self._channel = channel
        self._outbox = outbox
        self._subjects = subjects
        self._tasks: set[asyncio.Task[None]] = set()
        self._turn = asyncio.Lock()
        self._sent = asyncio.Event()

    def asked(self, message: Message) -> None:
        """Answer a question, without keeping its sender waiting. To be called in the event loop."""
        task = asyncio.get_running_loop().create_task(self._answer(message))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _answer(self, message: Message) -> None:
        told: Message
        try:
            told = {"answer": await self._subjects[message["what"]](message)}
        except ControlError as error:
            told = _refusal(error)
        except Exception as error:
            log.exception("a question could not be answered")
            told = _refusal(ControlError(f"{type(error).__name__}: {error}"))
        about = {"event": "answer", "id": message["id"]}
        if len(encode(told)) > LONGEST:
            told = _refusal(ControlError(f"the answer is longer than {LONGEST >> 10} KiB"))
        async with self._turn:
            await self._send(about | told)

    async def _send(self, message: Message) -> None:
        """Return when the channel has taken all of it, or the supervisor is gone, which is seen where it is read."""
        loop = asyncio.get_running_loop()
        self._sent.clear()
        try:
            self._outbox.send(message)
            if self._outbox.waiting:
                loop.add_writer(self._channel, self._go_on)
                await self._sent.wait()
        except OSError:
            return
        finally:
            loop.remove_writer(self._channel)

    def _go_on(self) -> None:
        """The channel takes more of an answer that it did not take as a whole."""
        with contextlib.suppress(OSError):
            self._outbox.flush()
            if self._outbox.waiting:
                return
        self._sent.set()


def _refusal(error: ControlError) -> Message:
    return {"error": str(error), "code": error.code}
