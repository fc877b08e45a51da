"""Work on calls that come from other processes.

A call begins on the event loop, where it is read and its function is found. Coroutines stay there, each in a Task;
all else runs in a thread, and so does the making of an instance. Each call has context variables of its own, empty at
first but for the generation of the code. What a caller no longer wants is stopped where that can be done: a Task is
cancelled, a generator is closed, and what has not begun does not begin. A plain function that runs cannot be stopped;
its result is thrown away.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

from hornbeamd.node.generations import Generation
from hornbeamd.node.handlers import Function, Target, is_async
from hornbeamd.node.offers import Offer, Offers, spoken
from hornbeamd.node.parts import feed, feed_async, in_parts, whole
from hornbeamd.node.post import Job
from hornbeamd.node.threads import Threads
from hornbeamd.state import terms

log = logging.getLogger("hornbeamd.calls")

Arguments = tuple[tuple[Any, ...], dict[str, Any]]


class Serving:
    """The :class:`~hornbeamd.node.post.Servant` for what is in *offers*."""

    def __init__(self, offers: Offers, threads: Threads) -> None:
        self._offers = offers
        self._threads = threads
        self._at_work: set[_Work] = set()
        self._news: asyncio.Event | None = None
        offers.generations.serving = self

    def take(self, job: Job) -> None:
        """Begin to work on *job*; on the event loop."""
        offer = self._offers.offered(job.name)
        if offer is None:  # the call was on its way when it was unregistered
            job.unknown()
            return
        work = _Work(job, offer, self._threads, self._discard)
        self._at_work.add(work)
        job.on_cancel(work.cancel)
        work.begin(offer.target)

    def given_up(self) -> float | None:
        """When the call was given up that goes on for the longest time since, as the loop has it; None without one."""
        return min((work.given_up for work in self._at_work if work.given_up is not None), default=None)

    async def finished(self, generation: Generation | None = None) -> None:
        """Return when no call is in hand, be it one that was given up; or none of the code of *generation*."""
        while self._of(generation):
            self._news = self._news or asyncio.Event()
            await self._news.wait()

    def close(self, generation: Generation | None = None) -> None:
        """Stop what can be stopped; on the event loop."""
        for work in self._of(generation):
            work.cancel()

    def _of(self, generation: Generation | None) -> list[_Work]:
        return [work for work in self._at_work if generation is None or work.generation is generation]

    def _discard(self, work: _Work) -> None:
        self._at_work.discard(work)
        if self._news is not None:
            self._news.set()
            self._news = None


class _Work:
    """One job, from when it is taken to when it is answered."""

    __slots__ = (
        "_action",
        "_arguments",
        "_context",
        "_job",
        "_loop",
        "_over",
        "_task",
        "_threads",
        "generation",
        "given_up",
    )

    def __init__(self, job: Job, offer: Offer, threads: Threads, over: Callable[[_Work], None]) -> None:
        self.generation = offer.generation
        self._job = job
        self._threads = threads
        self._over = over
        self._loop = asyncio.get_running_loop()
        self._context = offer.generation.context()
        self._task: asyncio.Task[None] | None = None
        self.given_up: float | None = None
        """When it was, as the loop has it."""
        self._action: str | None
        self._arguments: Arguments

    def begin(self, target: Target) -> None:
        """Read what is asked for, and do it where it belongs."""
        try:
            self._action, *self._arguments = terms.unpack(self._job.payload)
            if target.ready:
                function = target.function(self._action)
                if is_async(function):
                    self._await(function)
                    return
            self._threads.submit(lambda: self._in_thread(target))
        except BaseException as error:
            self._fail(error)

    def cancel(self) -> None:
        """The caller does not want it any more."""
        if self.given_up is None:
            self.given_up = self._loop.time()
        if self._task is not None:
            self._task.cancel()

    # --- in a thread ---------------------------------------------------------------------------------------------

    def _in_thread(self, target: Target) -> None:
        """Call the function, and have the loop do the rest."""
        try:
            if self.given_up is not None:
                raise asyncio.CancelledError
            # What follows may be a Task in the same context, so that has to be left before.
            rest, *args = self._context.run(self._call, target)
        except BaseException as error:
            rest, args = self._fail, [error]
        try:
            self._loop.call_soon_threadsafe(rest, *args)
        except RuntimeError:  # the loop is closed: the process ends
            pass

    def _call(self, target: Target) -> tuple[Any, ...]:
        """Call the function; gives what the loop is to call, and with what."""
        function = target.function(self._action)
        args, kwargs = self._arguments
        if is_async(function):  # of an instance that was made just now
            return self._await, function
        result = function(*args, **kwargs)
        if hasattr(result, "__await__") or hasattr(result, "__aiter__"):
            return self._await, lambda *args, **kwargs: result
        if self._job.streamed:
            feed(in_parts(result), self._chunk, self._loop)
            return (self._end,)
        return self._done, terms.pack(whole(result))

    # --- on the loop ---------------------------------------------------------------------------------------------

    def _await(self, function: Function) -> None:
        self._task = self._loop.create_task(self._in_task(function), context=self._context)
        self._task.add_done_callback(self._ended)
        if self.given_up is not None:
            self._task.cancel()

    def _ended(self, task: asyncio.Task[None]) -> None:
        if task.cancelled():  # before its first step, so that it could not answer
            self._fail(asyncio.CancelledError())

    async def _in_task(self, function: Function) -> None:
        try:
            args, kwargs = self._arguments
            result = function(*args, **kwargs)
            if hasattr(result, "__await__"):
                result = await result
            if not self._job.streamed:
                self._done(terms.pack(whole(result)))
            elif hasattr(result, "__aiter__"):
                await feed_async(result, self._chunk)
                self._end()
            else:
                context = self._context.copy()  # the Task's own cannot be entered twice
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
            log.error(
                f"{spoken(self._job.name)} raised {type(error).__name__}",
                exc_info=error,
                extra={"fields": {"action": getattr(self, "_action", None)}},
            )
        self._job.failed(error)
        self._over(self)
