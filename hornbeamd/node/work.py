"""Work on one call that came from another process.

A call of what has coroutines among it begins on the event loop, where it is read and its function is found. Coroutines
stay there, each in a Task; all else runs in a thread, and so does the making of an instance. A call of what has none
begins in the thread that has read it, and is done there; what comes out to be a coroutine is moved to the loop.

Each call has context variables of its own, empty at first but for the generation of the code. What a caller no longer
wants is stopped where that can be done: a Task is cancelled, a generator is closed, and what has not begun does not
begin. A plain function that runs cannot be stopped; its result is thrown away.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import time
from collections.abc import Callable
from typing import Any

from hornbeamd.node.handlers import Function, Target, is_async
from hornbeamd.node.offers import Offer, spoken
from hornbeamd.node.parts import closing, feed, feed_async, in_parts, whole
from hornbeamd.node.post import HeldJob, Job
from hornbeamd.node.threads import Threads
from hornbeamd.state import terms

log = logging.getLogger("hornbeamd.calls")

Arguments = list[Any]
"""What is given by place, as a list, and what is given by name, as a dict."""


class Held:
    """One job in the thread that has read it."""

    __slots__ = ("_job", "action", "arguments", "context", "generation", "given_up")

    def __init__(self, job: HeldJob, offer: Offer) -> None:
        self._job = job
        self.generation = offer.generation
        self.context = offer.generation.context()
        self.given_up: float | None = None
        self.action: str | None
        self.arguments: Arguments

    def cancel(self) -> None:
        """The caller does not want it any more."""
        if self.given_up is None:
            self.given_up = time.monotonic()

    def run(self, target: Target) -> object | None:
        """Do it, and answer; or give the result that has to be awaited first."""
        try:
            self.action, *self.arguments = terms.unpack(self._job.payload)
            if self.given_up is not None:
                raise asyncio.CancelledError
            return self.context.run(self._call, target)
        except BaseException as error:
            if self.given_up is None:
                _tell(self._job, self, error)
            self._job.failed(error)
            return None

    def _call(self, target: Target) -> object | None:
        args, kwargs = self.arguments
        result: object = target.function(self.action)(*args, **kwargs)
        if hasattr(result, "__await__") or hasattr(result, "__aiter__"):
            return result
        if self._job.streamed:
            parts = in_parts(result)
            with closing(parts):
                for part in parts:
                    self._job.chunk(terms.pack(part))
            self._job.end()
        else:
            self._job.done(terms.pack(whole(result)))
        return None


class Work:
    """One job of the loop, from when it is taken to when it is answered."""

    __slots__ = (
        "_job",
        "_loop",
        "_over",
        "_result",
        "_task",
        "_threads",
        "action",
        "arguments",
        "context",
        "generation",
        "given_up",
    )

    def __init__(self, job: Job, offer: Offer, threads: Threads, over: Callable[[Work], None]) -> None:
        self.generation = offer.generation
        self._job = job
        self._threads = threads
        self._over = over
        self._loop = asyncio.get_running_loop()
        self.context = offer.generation.context()
        self._task: asyncio.Task[None] | None = None
        self._result: object = None
        """What a function that is no coroutine function gave to be awaited."""
        self.given_up: float | None = None
        self.action: str | None
        self.arguments: Arguments

    def begin(self, target: Target) -> None:
        """Read what is asked for, and do it where it belongs."""
        try:
            self.action, *self.arguments = terms.unpack(self._job.payload)
            if target.ready:
                function = target.function(self.action)
                if is_async(function):
                    self._await(function)
                    return
            self._threads.submit(lambda: self._in_thread(target))
        except BaseException as error:
            self._fail(error)

    def go_on(self, held: Held, result: object) -> None:
        """Await *result*, which a thread has come to."""
        self.action, self.arguments, self.context = held.action, held.arguments, held.context
        self._await_result(result)

    def cancel(self) -> None:
        """The caller does not want it any more."""
        if self.given_up is None:
            self.given_up = time.monotonic()
        if self._task is not None:
            self._task.cancel()

    # --- in a thread ---------------------------------------------------------------------------------------------

    def _in_thread(self, target: Target) -> None:
        """Call the function, and have the loop do the rest."""
        try:
            if self.given_up is not None:
                raise asyncio.CancelledError
            # What follows may be a Task in the same context, so that has to be left before.
            rest, *args = self.context.run(self._call, target)
        except BaseException as error:
            rest, args = self._fail, [error]
        try:
            self._loop.call_soon_threadsafe(rest, *args)
        except RuntimeError:  # the loop is closed: the process ends
            pass

    def _call(self, target: Target) -> tuple[Any, ...]:
        """Call the function; gives what the loop is to call, and with what."""
        function = target.function(self.action)
        args, kwargs = self.arguments
        if is_async(function):  # of an instance that was made just now
            return self._await, function
        result = function(*args, **kwargs)
        if hasattr(result, "__await__") or hasattr(result, "__aiter__"):
            return self._await_result, result
        if self._job.streamed:
            feed(in_parts(result), self._chunk, self._loop)
            return (self._end,)
        return self._done, terms.pack(whole(result))

    # --- on the loop ---------------------------------------------------------------------------------------------

    def _await_result(self, result: object) -> None:
        self._result = result
        self._await(lambda *args, **kwargs: result)

    def _await(self, function: Function) -> None:
        self._task = self._loop.create_task(self._in_task(function), context=self.context)
        self._task.add_done_callback(self._ended)
        if self.given_up is not None:
            self._task.cancel()

    def _ended(self, task: asyncio.Task[None]) -> None:
        if task.cancelled():  # before its first step, so that it could not answer
            if inspect.iscoroutine(self._result):
                self._result.close()
            self._fail(asyncio.CancelledError())

    async def _in_task(self, function: Function) -> None:
        try:
            args, kwargs = self.arguments
            result = function(*args, **kwargs)
            if hasattr(result, "__await__"):
                result = await result
            if not self._job.streamed:
                self._done(terms.pack(whole(result)))
            elif hasattr(result, "__aiter__"):
                await feed_async(result, self._chunk)
                self._end()
            else:
                context = self.context.copy()  # the Task's own cannot be entered twice
                await self._threads.run(context.run, feed, in_parts(result), self._chunk, self._loop)
                self._end()
        except BaseException as error:
            self._fail(error)

    async def _chunk(self, part: object) -> None:
        await self._job.chunk(terms.pack(part))

    def _done(self, payload: bytes) -> None:
        self._job.done(payload)
        self._over(self)

    def _end(self) -> None:
        self._job.end()
        self._over(self)

    def _fail(self, error: BaseException) -> None:
        """Answer with *error*, and tell of it here, where its traceback is; not when that is how it was stopped."""
        if self.given_up is None:
            _tell(self._job, self, error)
        self._job.failed(error)
        self._over(self)


def _tell(job: Job | HeldJob, work: Held | Work, error: BaseException) -> None:
    """Log *error* where its traceback is."""
    log.error(
        f"{spoken(job.name)} raised {type(error).__name__}",
        exc_info=error,
        extra={"fields": {"action": getattr(work, "action", None)}},
    )
