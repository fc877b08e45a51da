"""The threads of a worker that run WSGI applications.

Handing a request to a thread costs more than a small application does, and the interpreter runs one thread at a time
anyway. So requests are queued, and no more threads are woken than can make progress:

* the first request wakes one thread, which then works through the queue without being woken again;
* when it has begun and more is queued, it asks the event loop to look again. The loop's thread gets the interpreter
  as soon as the running thread waits for something (or has held it for the switch interval), and wakes the next
  thread then. An application that never waits is served by one thread; one that waits gets them all.

What threads have for the loop (parts of responses, mostly) goes into an outbox, which the loop empties once per turn.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
import weakref
from _thread import LockType, allocate_lock
from collections import deque
from collections.abc import Callable
from typing import Any, Protocol

from hornbeamd.node.generations import own_context

log = logging.getLogger("hornbeamd.app")


class Job(Protocol):
    """What a thread runs; must not raise."""

    def run(self) -> None: ...


class Threads:
    """*size* threads that run jobs for the event loop *loop*. All methods but :meth:`post` are the loop's.

    They belong to the generation of the application's code in which they are made.
    """

    def __init__(self, size: int, loop: asyncio.AbstractEventLoop) -> None:
        self.size = size
        self.loop = loop
        self.queue: deque[Job] = deque()
        self._idle: list[LockType] = []
        self._outbox: deque[tuple[Callable[..., None], Any, Any]] = deque()
        self._signalled = False
        self._turning = False
        self._waking = False
        self._closed = False
        self._watched = False
        self._news: asyncio.Event | None = None
        self._running: list[tuple[float, Job] | None] = [None] * size
        self._threads = [
            threading.Thread(target=own_context().run, args=(self._serve, slot), name=f"wsgi-{slot + 1}", daemon=True)
            for slot in range(size)
        ]
        for thread in self._threads:
            thread.start()
        _pools.add(self)

    def submit(self, job: Job) -> None:
        """Queue *job*."""
        self.queue.append(job)
        if not self._turning:
            # Not at once: what else this turn of the loop brings shall be found by the same wake-up.
            self._turning = True
            self.loop.call_soon(self._dispatch)

    def post(self, function: Callable[..., None], one: Any, two: Any) -> None:
        """Have the loop call ``function(one, two)``, in the order of posting. Called by the threads."""
        self._outbox.append((function, one, two))
        if not self._signalled:
            self._signal()

    def running(self) -> list[tuple[float, Job]] | None:
        """What each thread runs, and since when in seconds of ``time.monotonic``; None while one is free."""
        running = [each for each in self._running if each is not None]
        return running if len(running) == self.size else None

    def jobs(self) -> list[Job]:
        """What is queued, and what runs."""
        return [*self.queue, *(each[1] for each in self._running if each is not None)]

    async def finished(self) -> None:
        """Return when nothing is queued, and all threads sleep."""
        self._watched = True  # first: a thread that does not see it sleeps already
        while not self._closed and (self.queue or self._outbox or len(self._idle) < self.size):
            self._news = self._news or asyncio.Event()
            await self._news.wait()

    def close(self) -> None:
        """End the threads that have nothing to do; the others end with their job or with the process."""
        self._closed = True
        while self._idle:
            self._idle.pop().release()

    # --- on the loop's thread ----------------------------------------------------------------------------------

    def _wake(self) -> None:
        if self._idle:
            self._waking = True
            self._idle.pop().release()

    def _dispatch(self) -> None:
        self._turning = False
        if self.queue and not self._waking:
            self._wake()

    def _turn(self) -> None:
        self._signalled = False
        outbox = self._outbox
        while outbox:
            function, one, two = outbox.popleft()
            try:
                function(one, two)
            except Exception:  # one request's trouble must not keep the others' answers back
                log.exception("what a thread asked for could not be done")
        if self.queue and not self._waking:
            self._wake()
        if self._news is not None:
            self._news.set()
            self._news = None

    # --- on the threads ----------------------------------------------------------------------------------------

    def _signal(self) -> None:
        self._signalled = True
        try:
            self.loop.call_soon_threadsafe(self._turn)
        except RuntimeError:  # the loop is closed: the worker is on its way out
            self._closed = True

    def _serve(self, slot: int) -> None:
        queue = self.queue
        running = self._running
        gate = allocate_lock()
        gate.acquire()
        while not self._closed:
            try:
                job = queue.popleft()
            except IndexError:
                self._waking = False  # another thread was faster
                self._sleep(gate)
                continue
            self._waking = False
            if queue and not self._signalled:
                self._signal()
            running[slot] = (time.monotonic(), job)
            job.run()
            running[slot] = None

    def _sleep(self, gate: LockType) -> None:
        self._idle.append(gate)
        if self.queue or self._closed:
            # That came after we looked and before we could be found: see to it, unless we are being woken.
            try:
                self._idle.remove(gate)
            except ValueError:
                pass
            else:
                return
        if self._watched and not self._signalled:
            self._signal()
        gate.acquire()


_pools: weakref.WeakSet[Threads] = weakref.WeakSet()


def waiting() -> int:
    """How many requests of this process wait for a thread, in all mounts and generations of the code."""
    return sum(len(threads.queue) for threads in _pools)
