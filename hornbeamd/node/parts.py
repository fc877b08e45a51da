"""Results that come in parts: from threads to coroutines, from coroutines to threads, within this process.

Whoever makes the parts is at most ``AHEAD`` of them ahead of who takes them, and is closed when they are no longer
wanted: a generator in the thread that it runs in, an asynchronous one in its event loop.
"""

from __future__ import annotations

import asyncio
import inspect
import threading
from asyncio import AbstractEventLoop
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Coroutine, Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import copy_context
from queue import Empty, SimpleQueue
from typing import Any

from hornbeamd.errors import CallTimeout
from hornbeamd.node.threads import Threads

AHEAD = 16

_END: Any = object()


def whole(result: Any) -> Any:
    """*result*, which is one. Raises TypeError when it comes in parts."""
    if inspect.isgenerator(result) or inspect.isasyncgen(result):
        raise TypeError("the result comes in parts: ask for it with stream")
    return result


def in_parts(result: Any) -> Iterator[Any]:
    """The parts of *result*. Raises TypeError when it has none."""
    if isinstance(result, (str, bytes, Mapping)) or not isinstance(result, Iterable):
        raise TypeError(f"a result of type {type(result).__name__} does not come in parts: ask for it with execute")
    return iter(result)


def feed(parts: Iterator[Any], send: Callable[[Any], Coroutine[Any, Any, None]], loop: AbstractEventLoop) -> None:
    """Have *loop* send each part; in a thread, which waits for it."""
    with closing(parts):
        for part in parts:
            asyncio.run_coroutine_threadsafe(send(part), loop).result()


async def feed_async(parts: AsyncIterator[Any], send: Callable[[Any], Awaitable[None]]) -> None:
    """Send each part."""
    try:
        async for part in parts:
            await send(part)
    finally:
        if hasattr(parts, "aclose"):
            await parts.aclose()


def from_loop(parts: AsyncIterator[Any], loop: AbstractEventLoop, timeout: float) -> Iterator[Any]:
    """What is made in *loop*, for a thread; *timeout* is for each part. Raises CallTimeout."""
    made: SimpleQueue[Any] = SimpleQueue()
    room = asyncio.Semaphore(AHEAD)

    async def send(part: Any) -> None:
        await room.acquire()
        made.put(part)

    task = asyncio.run_coroutine_threadsafe(feed_async(parts, send), loop)
    task.add_done_callback(lambda _: made.put(_END))
    try:
        while True:
            try:
                part = made.get(timeout=timeout)
            except Empty:
                raise CallTimeout(f"no part of the result within {timeout:g} s") from None
            if part is _END:
                break
            yield part
            loop.call_soon_threadsafe(room.release)
        task.result()
    finally:
        task.cancel()


async def from_thread(parts: Iterator[Any], threads: Threads) -> AsyncGenerator[Any, None]:
    """What is made in one of *threads*, for a coroutine."""
    loop = asyncio.get_running_loop()
    made: asyncio.Queue[Any] = asyncio.Queue()
    room = threading.Semaphore(AHEAD)
    wanted = True

    def make() -> None:
        with closing(parts):
            for part in parts:
                room.acquire()
                if not wanted:
                    return
                loop.call_soon_threadsafe(made.put_nowait, part)

    task = loop.create_task(threads.run(copy_context().run, make))
    task.add_done_callback(lambda _: made.put_nowait(_END))
    try:
        while (part := await made.get()) is not _END:
            yield part
            room.release()
        await task
    finally:
        wanted = False
        room.release()
        task.cancel()


@contextmanager
def closing(parts: Iterator[Any]) -> Iterator[None]:
    """Close *parts* at the end of the block, if they can be."""
    try:
        yield
    finally:
        if hasattr(parts, "close"):
            parts.close()
