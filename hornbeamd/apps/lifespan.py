"""The lifespan of an ASGI application (ASGI specification, lifespan protocol 2.0).

It runs as one Task in the loop that serves requests, from before the first until after the last of them, so that
what the application makes in startup belongs to the same loop and goes on running.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from pickle import PicklingError
from typing import Any

from hornbeamd.errors import CannotSwap, LifespanError

log = logging.getLogger("hornbeamd.app")

# Beside old code C's pickle turns CannotSwap, where it writes, into an error of its own.
_CLASHES = (CannotSwap, PicklingError)


class Lifespan:
    """Startup and shutdown of *app*.

    *mode*: ``on`` requires the application to know the protocol, ``auto`` accepts that it raises instead, ``off``
    never asks. A startup that fails is refused in every mode. *timeout* in seconds, for each of the two.
    """

    def __init__(self, app: Callable[..., Awaitable[None]], mode: str, timeout: float) -> None:
        self.app = app
        self.mode = mode
        self.timeout = timeout
        self.state: dict[str, Any] = {}
        self._events: asyncio.Queue[dict[str, str]] | None = None
        self._task: asyncio.Task[None] | None = None
        self._answer: asyncio.Future[str | None] | None = None
        self._spoke = False  # once it has, its exceptions are failures and not ignorance of the protocol

    async def startup(self) -> None:
        """Run startup; raises :class:`LifespanError` when it fails, or when it must be there and is not."""
        if self.mode == "off":
            return
        self._events = asyncio.Queue()
        scope = {"type": "lifespan", "asgi": {"version": "3.0", "spec_version": "2.0"}, "state": self.state}
        self._task = asyncio.create_task(self._run(scope, self._events.get))
        try:
            failure = await self._ask("lifespan.startup")
        except asyncio.CancelledError:  # nobody waits for it any more
            self._task.cancel()
            raise
        if failure is None:
            return
        if self._task.done() and not self._spoke and self.mode == "auto" and not isinstance(self._raised, _CLASHES):
            # The specification has the server go on without; an application that never spoke may not know lifespan.
            log.info("application has no lifespan", extra={"fields": {"reason": failure}})
            self._task = None
            self.state.clear()
            return
        await self._end()
        if self._raised is not None and failure.startswith("Traceback "):  # it is that of what was raised
            failure = _described(self._raised)
        raise LifespanError(f"lifespan startup failed: {failure}") from self._raised or _cancellation(self._task)

    async def shutdown(self) -> None:
        """Run shutdown. What goes wrong there is logged; nothing can be refused any more."""
        if self._task is None:
            return
        if self._task.done():
            if self._raised is not None:
                log.error("lifespan ended early", exc_info=self._raised)
            return
        failure = await self._ask("lifespan.shutdown")
        if failure is not None:
            log.error("lifespan shutdown failed", extra={"fields": {"traceback": failure}})
        await self._end()

    @property
    def _raised(self) -> BaseException | None:
        """What the application has raised, if it is over."""
        task = self._task
        return task.exception() if task is not None and task.done() and not task.cancelled() else None

    async def _run(self, scope: dict[str, Any], receive: Callable[[], Awaitable[Any]]) -> None:
        try:
            await self.app(scope, receive, self._send)
        except (SystemExit, KeyboardInterrupt) as error:  # these would end the event loop, not this Task
            raise RuntimeError(f"the application raised {type(error).__name__} in its lifespan") from error

    async def _ask(self, event: str) -> str | None:
        """Send *event*; return None when it was completed, else why not."""
        assert self._events is not None
        assert self._task is not None
        self._answer = asyncio.get_running_loop().create_future()
        self._events.put_nowait({"type": event})
        either: set[asyncio.Future[Any]] = {self._task, self._answer}
        await asyncio.wait(either, timeout=self.timeout, return_when=asyncio.FIRST_COMPLETED)
        if self._answer.done():
            return self._answer.result()
        if not self._task.done():
            return f"no answer to {event} within {self.timeout:g} s (lifespan_timeout)"
        if self._task.cancelled():
            return "the application cancelled itself"
        error = self._task.exception()
        if error is not None:
            return _described(error)
        return f"the application returned without answering {event}"

    async def _send(self, message: dict[str, Any]) -> None:
        kind = message["type"]
        answers: dict[str, str | None] = {
            "lifespan.startup.complete": None,
            "lifespan.startup.failed": message.get("message") or "no reason given",
            "lifespan.shutdown.complete": None,
            "lifespan.shutdown.failed": message.get("message") or "no reason given",
        }
        if kind not in answers:
            raise RuntimeError(f"unexpected ASGI message {kind!r} in lifespan")
        self._spoke = True
        if self._answer is not None and not self._answer.done():
            self._answer.set_result(answers[kind])

    async def _end(self) -> None:
        """Let the application's lifespan return, or cancel it when it does not."""
        task = self._task
        assert task is not None
        _, running = await asyncio.wait([task], timeout=1.0)
        if running:
            task.cancel()
            await asyncio.wait([task], timeout=1.0)
        elif not task.cancelled() and task.exception() is not None:
            log.debug("lifespan raised after its answer", exc_info=task.exception())


def _described(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"


def _cancellation(task: asyncio.Task[None]) -> BaseException | None:
    """What *task* was cancelled with, if it was: the traceback says where it was waiting."""
    if task.cancelled():
        try:
            task.result()
        except asyncio.CancelledError as error:
            return error
    return None
