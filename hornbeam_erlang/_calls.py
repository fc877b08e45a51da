"""Functions by name, in whatever process they are registered."""

from __future__ import annotations

from typing import Any

from hornbeamd.node import calling, current
from hornbeamd.node.calling import Call, timeout
from hornbeamd.node.offers import function_name

__all__ = ["call", "call_async", "cast", "cast_async", "timeout"]


def call(name: str, *args: Any, **kwargs: Any) -> Any:
    """The result of the function that is registered as *name*, in this process if it is there, else in another.

    What it raises arrives as CallError, with ``type`` and ``text`` of the exception. Raises NotRegistered when nobody
    has the name; CallTimeout after ``call_timeout`` of ``[hornbeam.hub]``, or as :func:`timeout` says; HubGone when the
    process at work on it dies: it may have been done, and is not done again. To another process arguments and result
    are terms, copied, of ``max_message_size`` at most: else TypeError or ValueError.
    """
    return calling.call(current(), Call(function_name(name), None, args, kwargs))


def cast(name: str, *args: Any, **kwargs: Any) -> None:
    """Have the function called, and do not wait. What it raises is in the log, and so is a name that nobody has."""
    calling.cast(current(), Call(function_name(name), None, args, kwargs))


async def call_async(name: str, *args: Any, **kwargs: Any) -> Any:
    """As ``hornbeam_erlang.call``. Cancelling it cancels a coroutine function where it runs."""
    return await calling.call_async(current(), Call(function_name(name), None, args, kwargs))


async def cast_async(name: str, *args: Any, **kwargs: Any) -> None:
    """As ``hornbeam_erlang.cast``."""
    await calling.cast_async(current(), Call(function_name(name), None, args, kwargs))
