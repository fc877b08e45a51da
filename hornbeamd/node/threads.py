"""Threads in which functions run that may wait: those that other processes call, and those that coroutines call."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future
from queue import SimpleQueue
from typing import Any, TypeVar

T = TypeVar("T")


def raisable(error: BaseException) -> BaseException:
    """*error*, or what stands for it: no future of asyncio takes a StopIteration, and would be waited for in vain."""
    if not isinstance(error, StopIteration):
        return error
    stands = RuntimeError("a function raised StopIteration")
    stands.__cause__ = error
    return stands


class Threads:
    """At most *size* threads, each started when it is first of use; all methods may be called from any thread.

    They are daemons, so that a function that never ends does not keep the process from ending.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self._queue: SimpleQueue[Callable[[], Any] | None] = SimpleQueue()
        self._lock = threading.Lock()
        self._started = 0
        self._free = 0

    def submit(self, work: Callable[[], Any]) -> None:
        """Have *work*, which does not raise, run by the next thread that is free.

        Raises RuntimeError when there is to be one more thread and the system has none.
        """
        with self._lock:
            if self._free > 0:
                self._free -= 1
            elif self._started < self.size:
                threading.Thread(target=self._run, name=f"call-{self._started + 1}", daemon=True).start()
                self._started += 1
            else:
                self._free -= 1  # it waits: whoever becomes free has it to do
        self._queue.put(work)

    async def run(self, function: Callable[..., T], *args: Any) -> T:
        """The result of ``function(*args)``, called in a thread. A caller that is cancelled does not wait for it."""
        future: Future[T] = Future()

        def work() -> None:
            if future.set_running_or_notify_cancel():
                try:
                    result = function(*args)
                except BaseException as error:
                    future.set_exception(raisable(error))
                else:
                    future.set_result(result)

        self.submit(work)
        return await asyncio.wrap_future(future)

    def close(self) -> None:
        """End the threads when they have done what is queued."""
        with self._lock:
            for _ in range(self._started):
                self._queue.put(None)
            self._started = self._free = 0

    def _run(self) -> None:
        queue = self._queue
        while (work := queue.get()) is not None:
            work()
            del work  # or what it holds would live until the next one comes
            with self._lock:
                self._free += 1
