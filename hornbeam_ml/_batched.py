"""Calls that come together, as one call of the model."""

from __future__ import annotations

import asyncio
import functools
import inspect
import os
import threading
import time
import weakref
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from types import MethodType
from typing import Any, Final, Generic, TypeVar, overload

from hornbeamd.node import raisable
from hornbeamd.node.generations import own_context

Item = TypeVar("Item")
Result = TypeVar("Result")
Function = Callable[[list[Item]], Iterable[Result]]

_IDLE: Final = 1.0
"""How long, in seconds, a thread waits for more before it ends."""


class Batched(Generic[Item, Result]):
    """A function of lists as one of items: ``batched`` makes it.

    One thread calls the function, one batch after the other; it ends when there is nothing to do, and is started again.
    It belongs to the generation of the code that the function is of.
    """

    def __init__(self, fn: Function[Item, Result], max_size: int, max_wait_ms: float) -> None:
        functools.update_wrapper(self, fn)
        self._fn = fn
        self._max_size = max_size
        self._max_wait = max_wait_ms / 1000
        self._attribute: str | None = None
        self._context = own_context()
        self._thread: threading.Thread | None
        self.forked()
        _all.add(self)

    @property
    def at_once(self) -> int:
        """How many callers there should be at once: while one batch is worked on, the next comes together."""
        return 2 * self._max_size

    def __call__(self, item: Item) -> Result:
        """The result of *item*; waits in this thread."""
        if threading.current_thread() is self._thread:
            raise RuntimeError(f"{self._name()} calls itself, and would wait for itself")
        return self._submit(item).result()

    async def aio(self, item: Item) -> Result:
        """The result of *item*, for a coroutine: no thread waits. Cancelled in time, the item is in no batch."""
        return await asyncio.wrap_future(self._submit(item))

    def _submit(self, item: Item) -> Future[Result]:
        future: Future[Result] = Future()
        with self._changed:
            if self._thread is None:
                work = self._context.copy().run
                thread = threading.Thread(target=work, args=(self._run,), name=f"batched {self._name()}", daemon=True)
                thread.start()  # before anybody waits for it: the system may have no more threads
                self._thread = thread
            self._waiting.append((item, future, time.monotonic()))
            self._changed.notify()
        return future

    def _run(self) -> None:
        while batch := self._next():
            self._work(batch)

    def _next(self) -> list[tuple[Item, Future[Result]]]:
        """The next batch: as many as there may be, or all that there are when the first has waited long enough."""
        with self._changed:
            if not self._changed.wait_for(lambda: self._waiting, _IDLE):
                self._thread = None
                return []
            rest = self._waiting[0][2] + self._max_wait - time.monotonic()
            self._changed.wait_for(lambda: len(self._waiting) >= self._max_size, rest)
            batch = self._waiting[: self._max_size]
            del self._waiting[: self._max_size]
        return [(item, future) for item, future, _ in batch]

    def _work(self, batch: list[tuple[Item, Future[Result]]]) -> None:
        wanted = [(item, future) for item, future in batch if future.set_running_or_notify_cancel()]
        if not wanted:
            return
        try:
            results = list(self._fn([item for item, _ in wanted]))
            if len(results) != len(wanted):
                raise ValueError(f"{self._name()} gave {len(results)} results for {len(wanted)} items")
        except BaseException as error:  # whatever it is, they wait for it
            results = [error] * len(wanted)  # type: ignore[list-item]
        for (_, future), result in zip(wanted, results, strict=True):
            if isinstance(result, BaseException):
                future.set_exception(raisable(result))
            else:
                future.set_result(result)

    def _name(self) -> str:
        return str(getattr(self, "__qualname__", type(self._fn).__qualname__))

    # --- as a method ---

    def __set_name__(self, owner: type, name: str) -> None:
        self._attribute = name

    @overload
    def __get__(self, instance: None, owner: type | None = None) -> Batched[Item, Result]: ...

    @overload
    def __get__(self, instance: object, owner: type | None = None) -> Batched[Any, Any]: ...

    def __get__(self, instance: object | None, owner: type | None = None) -> Batched[Any, Any]:
        """The method of *instance*: calls of one object come together, and those of two do not."""
        if instance is None or self._attribute is None:
            return self
        bound = Batched(MethodType(self._fn, instance), self._max_size, self._max_wait * 1000)
        bound._context = self._context
        return instance.__dict__.setdefault(self._attribute, bound)  # type: ignore[no-any-return]

    def forked(self) -> None:
        """Begin anew: in the child of a fork there is neither the thread nor anybody who waits."""
        self._changed = threading.Condition()
        self._waiting: list[tuple[Item, Future[Result], float]] = []
        self._thread = None


_all: weakref.WeakSet[Batched[Any, Any]] = weakref.WeakSet()


def _forked() -> None:
    for each in _all:
        each.forked()


os.register_at_fork(after_in_child=_forked)


@overload
def batched(
    fn: None = None, max_size: int = 32, max_wait_ms: float = 5.0
) -> Callable[[Callable[..., Any]], Batched[Any, Any]]: ...


@overload
def batched(fn: Function[Item, Result], max_size: int = 32, max_wait_ms: float = 5.0) -> Batched[Item, Result]: ...


def batched(fn: Any = None, max_size: int = 32, max_wait_ms: float = 5.0) -> Any:
    """Make of *fn*, which takes a list and gives a result for each item, a function of one item.

    Calls that come together, from threads and coroutines (``await encode.aio(text)``), become one call of *fn*: of at
    most *max_size* items, begun at the latest *max_wait_ms* after the first has come, or when the call before it is
    done. Also a decorator, with or without arguments, and for methods. As a method of a pool's handler it joins calls
    from all workers.

    What *fn* raises, all callers of the batch get; with an exception in the place of a result, only the one whose item
    it was. A wrong number of results is a ValueError for all.
    """
    if fn is None:
        return functools.partial(batched, max_size=max_size, max_wait_ms=max_wait_ms)
    if not callable(fn) or inspect.iscoroutinefunction(fn):
        raise TypeError("batched takes a plain function of a list")
    if max_size < 1 or not max_wait_ms >= 0:
        raise ValueError(f"batches of {max_size} items after {max_wait_ms} ms")
    return Batched(fn, max_size, max_wait_ms)
