"""Hooks: handlers by path, with actions, in this process, another, or a pool."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

from hornbeamd.node import calling, current
from hornbeamd.node.calling import Call
from hornbeamd.node.offers import hook_name


def register_hook(path: str, handler: Any) -> None:
    """Have *handler* serve the hook *path* for all processes; of several processes any may be asked.

    A class gets one instance in each process, made at its first use, and an object is used as it is: actions are
    methods. A function is called as ``handler(action, *args, **kwargs)``. Any of them may be a coroutine function. In
    one process the last registration counts. Raises ValueError when *path* is the name of a pool.
    """
    current().offers.register_hook(path, handler)


def unregister_hook(path: str) -> None:
    """Serve the hook no more; nothing happens when this process has none of that path."""
    current().offers.unregister_hook(path)


def execute(path: str, action: str, *args: Any, **kwargs: Any) -> Any:
    """The result of an action of the hook *path*, a pool's when it is the name of one. Raises as :func:`call` does.

    When nobody has registered a path of the form "module:name", that is imported, and serves here.
    """
    return calling.call(current(), Call(hook_name(path), action, args, kwargs))


async def execute_in_loop(path: str, action: str, *args: Any, **kwargs: Any) -> Any:
    """As ``hornbeam_erlang.execute``. Cancelling it cancels a coroutine function where it runs."""
    return await calling.call_async(current(), Call(hook_name(path), action, args, kwargs))


def stream(path: str, action: str, *args: Any, **kwargs: Any) -> Iterator[Any]:
    """The parts of a result, from a generator or whatever else can be iterated over, as they are made.

    The time-out is for each part. Closing the iterator closes the generator where it runs.
    """
    return calling.stream(current(), Call(hook_name(path), action, args, kwargs))


def stream_async(path: str, action: str, *args: Any, **kwargs: Any) -> AsyncIterator[Any]:
    """As :func:`stream`, for ``async for``."""
    return calling.stream_async(current(), Call(hook_name(path), action, args, kwargs))


def execute_async(path: str, action: str, *args: Any, **kwargs: Any) -> str:
    """Begin an action, and give the id of a task, for :func:`await_result`. It may take a day.

    The task is this process's, and ends with it. Its result is kept for ten minutes, one of the last thousand.
    """
    return calling.begin(current(), Call(hook_name(path), action, args, kwargs))


def await_result(task_id: str, timeout_ms: float = 30000) -> Any:
    """The result of a task of any process, or the CallError that it came to.

    Raises CallTimeout when it is not there in time, which loses nothing; NotRegistered when there is no such task, any
    more. May be asked any number of times, also at once.
    """
    return current().tasks.result(task_id, timeout_ms / 1000)


async def await_result_async(task_id: str, timeout_ms: float = 30000) -> Any:
    """As ``hornbeam_erlang.await_result``."""
    return await current().tasks.result_async(task_id, timeout_ms / 1000)
