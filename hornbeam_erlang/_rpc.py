"""Calls to other nodes. A server that is in no cluster has only itself."""

from __future__ import annotations

import asyncio
import importlib
import inspect
import logging
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, wait
from contextvars import copy_context
from typing import Any

from hornbeamd.errors import NodeDown, RPCError, RPCTimeout
from hornbeamd.node.jobs import described

log = logging.getLogger("hornbeamd.app")

ALONE = "nonode@nohost"


def node() -> str:
    """The name of this node."""
    return ALONE


def nodes() -> list[str]:
    """The names of all other nodes of the cluster."""
    return []


def ping(node: str) -> str:
    """Whether *node* answers: "pong" when it does, "pang" when not."""
    return "pong" if node == ALONE else "pang"


def rpc_call(node: str, module: str, function: str, args: Sequence[Any], timeout_ms: float = 5000) -> Any:
    """Call ``module.function(*args)`` in *node*, and give its result.

    Raises RPCError with type and text of what the function raised, RPCTimeout, NodeDown. After a time-out the
    function runs to its end; its result reaches nobody.
    """
    future = _begin(node, module, function, args)
    if not wait([future], timeout_ms / 1000).done:
        raise _late(module, function, timeout_ms)
    return future.result()


async def rpc_call_async(node: str, module: str, function: str, args: Sequence[Any], timeout_ms: float = 5000) -> Any:
    """As :func:`rpc_call`."""
    future = _begin(node, module, function, args)
    try:
        return await asyncio.wait_for(asyncio.wrap_future(future), timeout_ms / 1000)
    except TimeoutError:
        raise _late(module, function, timeout_ms) from None


def rpc_cast(node: str, module: str, function: str, args: Sequence[Any]) -> None:
    """Have ``module.function(*args)`` called in *node*, and do not wait. Never raises."""
    try:
        _begin(node, module, function, args).add_done_callback(_tell)
    except Exception as error:
        log.warning("a cast to another node came to nothing", extra={"fields": {"node": node, "why": str(error)}})


def _begin(node: str, module: str, function: str, args: Sequence[Any]) -> Future[Any]:
    """Call a function in a thread of its own, which may outlive the caller's patience."""
    if node != ALONE:
        raise NodeDown(f"there is no node {node!r}")
    future: Future[Any] = Future()
    future.set_running_or_notify_cancel()  # it is not taken back when nobody waits any more
    run = copy_context().run
    threading.Thread(target=run, args=(_run, future, module, function, args), name="rpc", daemon=True).start()
    return future


def _run(future: Future[Any], module: str, function: str, args: Sequence[Any]) -> None:
    try:
        call: Callable[..., Any] = getattr(importlib.import_module(module), function)
        result = call(*args)
        future.set_result(asyncio.run(_awaited(result)) if inspect.isawaitable(result) else result)
    except BaseException as error:
        type_, text = described(error)
        failure = RPCError(text, type_)
        failure.__cause__ = error
        future.set_exception(failure)


async def _awaited(result: Any) -> Any:
    return await result


def _late(module: str, function: str, timeout_ms: float) -> RPCTimeout:
    return RPCTimeout(f"{module}.{function} took longer than {timeout_ms:g} ms")


def _tell(future: Future[Any]) -> None:
    error = future.exception()
    if error is not None:
        log.warning("a function that was cast to raised", exc_info=error)
