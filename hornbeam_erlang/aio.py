"""The same names as ``hornbeam_erlang``, for coroutines of any event loop.

All are awaited but ``subscribe``, which is entered by ``async with``, and what is iterated over by ``async for``.
What takes microseconds and waits for nobody, the state above all, runs where it is called.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from functools import wraps
from typing import Any, ParamSpec, TypeVar

import hornbeam_erlang
from hornbeam_erlang._calls import call_async as call
from hornbeam_erlang._calls import cast_async as cast
from hornbeam_erlang._hooks import await_result_async as await_result
from hornbeam_erlang._hooks import execute_in_loop as execute
from hornbeam_erlang._hooks import stream_async
from hornbeam_erlang._rpc import rpc_call_async as rpc_call
from hornbeamd.errors import CallError, CallTimeout, HubGone, NodeDown, NotRegistered, RPCError, RPCTimeout, StateFull
from hornbeamd.node import current
from hornbeamd.node.subscriptions import Subscription

P = ParamSpec("P")
R = TypeVar("R")


def _coroutine(function: Callable[P, R]) -> Callable[P, Coroutine[Any, Any, R]]:
    @wraps(function)
    async def run(*args: P.args, **kwargs: P.kwargs) -> R:
        return function(*args, **kwargs)

    return run


state_get = get = _coroutine(hornbeam_erlang.state_get)
state_set = set = _coroutine(hornbeam_erlang.state_set)
state_delete = delete = _coroutine(hornbeam_erlang.state_delete)
state_incr = incr = _coroutine(hornbeam_erlang.state_incr)
state_decr = decr = _coroutine(hornbeam_erlang.state_decr)
state_get_multi = _coroutine(hornbeam_erlang.state_get_multi)
state_set_multi = _coroutine(hornbeam_erlang.state_set_multi)
state_keys = _coroutine(hornbeam_erlang.state_keys)
state_put_new = _coroutine(hornbeam_erlang.state_put_new)
state_compare_and_set = _coroutine(hornbeam_erlang.state_compare_and_set)
state_update = _coroutine(hornbeam_erlang.state_update)
state_clear = _coroutine(hornbeam_erlang.state_clear)
state_size = _coroutine(hornbeam_erlang.state_size)

subscribe = hornbeam_erlang.subscribe
unsubscribe = _coroutine(hornbeam_erlang.unsubscribe)


async def publish(topic: str, message: Any) -> int:
    """As ``hornbeam_erlang.publish``."""
    return await current().publish_async(topic, message)


timeout = hornbeam_erlang.timeout
register_hook = hook = _coroutine(hornbeam_erlang.register_hook)
unregister_hook = unhook = _coroutine(hornbeam_erlang.unregister_hook)
execute_async = _coroutine(hornbeam_erlang.execute_async)
stream = stream_async

node = _coroutine(hornbeam_erlang.node)
nodes = _coroutine(hornbeam_erlang.nodes)
ping = _coroutine(hornbeam_erlang.ping)
rpc_cast = _coroutine(hornbeam_erlang.rpc_cast)

__all__ = [
    "CallError",
    "CallTimeout",
    "HubGone",
    "NodeDown",
    "NotRegistered",
    "RPCError",
    "RPCTimeout",
    "StateFull",
    "Subscription",
    "await_result",
    "call",
    "cast",
    "decr",
    "delete",
    "execute",
    "execute_async",
    "get",
    "hook",
    "incr",
    "node",
    "nodes",
    "ping",
    "publish",
    "register_hook",
    "rpc_call",
    "rpc_cast",
    "set",
    "state_clear",
    "state_compare_and_set",
    "state_decr",
    "state_delete",
    "state_get",
    "state_get_multi",
    "state_incr",
    "state_keys",
    "state_put_new",
    "state_set",
    "state_set_multi",
    "state_size",
    "state_update",
    "stream",
    "stream_async",
    "subscribe",
    "timeout",
    "unhook",
    "unregister_hook",
    "unsubscribe",
]
