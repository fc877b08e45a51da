"""Calls that nobody waits for yet. A task has an id, by which any process can ask for its result, any number of times.

A result is kept for ``KEPT`` seconds, and at most ``MOST_KEPT`` are, of which the oldest go first. They are in the
memory of the process that began the task, and gone with it. An id cannot be guessed.
"""

from __future__ import annotations

import asyncio
import secrets
import threading
import time
from asyncio import AbstractEventLoop
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any

from hornbeamd.errors import CallError, CallTimeout, HubGone, NotRegistered
from hornbeamd.node.handlers import Single
from hornbeamd.node.home import running_loop
from hornbeamd.node.offers import Offers
from hornbeamd.node.post import Post
from hornbeamd.state import terms

KEPT = 600.0
MOST_KEPT = 1000
MOST_UNFINISHED = 10_000

GRACE = 5.0
"""How much longer, in seconds, than it waits for a task another process may take to say that it is unfinished."""

Outcome = tuple[Any, ...]
"""What a task came to, as a term: ("done", result), or the name of an error's class, its ``text`` and its ``type``."""

_ERRORS = {kind.__name__: kind for kind in (CallError, CallTimeout, NotRegistered, HubGone)}


class Tasks:
    """The tasks that this process began, and the way to those of others, through *post*.

    All methods may be called from any thread; *clock* is in seconds.
    """

    def __init__(self, offers: Offers, post: Post, clock: Callable[[], float] = time.monotonic) -> None:
        self._offers = offers
        self._post = post
        self._clock = clock
        self._process = secrets.token_hex(6)
        self._lock = threading.Lock()
        self._unfinished: dict[str, _Task] = {}
        self._finished: dict[str, tuple[float, Outcome]] = {}
        """Oldest first, with the time at which each is forgotten."""

    def begin(self, work: Coroutine[Any, Any, Any], loop: AbstractEventLoop) -> str:
        """Have *work* done in *loop*; gives the id of the task. Raises CallError when too many are unfinished."""
        id = f"{self._process}.{secrets.token_urlsafe(16)}"
        task = _Task()
        with self._lock:
            if len(self._unfinished) >= MOST_UNFINISHED:
                work.close()
                raise CallError(f"{MOST_UNFINISHED} tasks are unfinished already")
            self._unfinished[id] = task
        if self._offers.find(_name(self._process)) is None:
            # Where other processes ask.
            self._offers.add(_name(self._process), Single(self._tell), lasting=True)
        task.work = asyncio.run_coroutine_threadsafe(work, loop)
        task.work.add_done_callback(lambda future: self._finish(id, _outcome(future)))
        return id

    def result(self, id: str, timeout: float) -> Any:
        """What a task of any process came to. Raises CallTimeout when it is unfinished after *timeout* seconds.

        Raises NotRegistered when there is no such task, and the CallError that it came to.
        """
        owner = self._owner(id)
        if owner is None:
            return _settled(id, timeout, self.outcome(id, timeout))
        try:
            payload = self._post.call(owner, _question(id, timeout), timeout + GRACE)
        except NotRegistered:
            raise _gone(id) from None
        return _settled(id, timeout, terms.unpack(payload))

    async def result_async(self, id: str, timeout: float) -> Any:
        """As :meth:`result`, for coroutines."""
        owner = self._owner(id)
        if owner is None:
            return _settled(id, timeout, await self.outcome_async(id, timeout))
        try:
            payload = await self._post.aio.call(owner, _question(id, timeout), timeout + GRACE)
        except NotRegistered:
            raise _gone(id) from None
        return _settled(id, timeout, terms.unpack(payload))

    def _owner(self, id: str) -> str | None:
        """Under which name on the wire the process of a task is asked; None for this very process."""
        process, dot, _ = id.partition(".") if isinstance(id, str) else ("", "", "")
        if not dot:
            raise _unknown(id)
        return None if process == self._process else _name(process)

    def outcome(self, id: str, timeout: float) -> Outcome | None:
        """What a task of this process came to, None when it is unfinished in time. Raises NotRegistered."""
        with self._watched(id) as watched:
            if running_loop() is not None and not watched.done():
                raise RuntimeError("a task is not waited for where an event loop runs: use hornbeam_erlang.aio")
            try:
                return watched.result(timeout)
            except TimeoutError:
                return None

    async def outcome_async(self, id: str, timeout: float) -> Outcome | None:
        """As :meth:`outcome`, for coroutines."""
        with self._watched(id) as watched:
            try:
                return await asyncio.wait_for(asyncio.wrap_future(watched), timeout)
            except TimeoutError:
                return None

    async def _tell(self, id: str, timeout: float) -> Outcome | None:
        try:
            return await self.outcome_async(id, timeout)
        except NotRegistered as error:
            return ("NotRegistered", error.text, None)

    @contextmanager
    def _watched(self, id: str) -> Iterator[Future[Outcome]]:
        """A future of the outcome, which is one waiter's own, so that it may give up without the others."""
        future: Future[Outcome] = Future()
        with self._lock:
            self._forget()
            task = self._unfinished.get(id)
            if task is not None:
                task.watchers.add(future)
            elif id in self._finished:
                future.set_result(self._finished[id][1])
            else:
                raise _unknown(id)
        try:
            yield future
        finally:
            if task is not None:
                with self._lock:
                    task.watchers.discard(future)

    def _finish(self, id: str, outcome: Outcome) -> None:
        with self._lock:
            watchers = self._unfinished.pop(id).watchers
            self._finished[id] = self._clock() + KEPT, outcome
            self._forget()
            for future in watchers:
                if future.set_running_or_notify_cancel():
                    future.set_result(outcome)

    def _forget(self) -> None:
        """Forget the oldest results, as far as they are too old or too many."""
        now = self._clock()
        while self._finished:
            oldest = next(iter(self._finished))
            if self._finished[oldest][0] > now and len(self._finished) <= MOST_KEPT:
                return
            del self._finished[oldest]


class _Task:
    """A task that is not finished, and those who wait for it."""

    def __init__(self) -> None:
        self.work: Future[Any]
        self.watchers: set[Future[Outcome]] = set()


def _question(id: str, timeout: float) -> bytes:
    """The payload of a call of :meth:`Tasks._tell` in another process."""
    return terms.pack((None, (id, timeout), {}))


def _settled(id: str, timeout: float, outcome: Outcome | None) -> Any:
    """The result in *outcome*; raises the error in it, or that there is none yet."""
    if outcome is None:
        raise CallTimeout(f"the task {id} is unfinished after {timeout:g} s")
    kind, *rest = outcome
    if kind == "done":
        return rest[0]
    raise _ERRORS[kind](*rest)


def _outcome(future: Future[Any]) -> Outcome:
    if future.cancelled():
        return ("CallError", "the task was cancelled", None)
    error = future.exception()
    if error is None:
        return ("done", future.result())
    if isinstance(error, CallError):
        kind = next(name for name, kind in _ERRORS.items() if type(error) is kind)
        return (kind, error.text, error.type)
    return ("CallError", str(error), type(error).__qualname__)


def _name(process: str) -> str:
    return f"task:{process}"


def _unknown(id: str) -> NotRegistered:
    return NotRegistered(f"there is no task {id!r}; results are kept for {KEPT:g} seconds at most")


def _gone(id: str) -> NotRegistered:
    return NotRegistered(f"the process that had the task {id} is gone")
