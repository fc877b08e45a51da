"""What applications import to use the state, topics and calls of their hornbeamd.

Everything works in threads and in coroutines, in every process of the server. Outside the server, in tests and under
other servers, the same calls work within the one process. ``hornbeam_erlang.aio`` has the same names as coroutines.
"""

from hornbeam_erlang._calls import call, cast, timeout
from hornbeam_erlang._hooks import (
    await_result,
    execute,
    execute_async,
    register_hook,
    stream,
    stream_async,
    unregister_hook,
)
from hornbeam_erlang._rpc import node, nodes, ping, rpc_call, rpc_cast
from hornbeam_erlang._state import (
    state_clear,
    state_compare_and_set,
    state_decr,
    state_delete,
    state_get,
    state_get_multi,
    state_incr,
    state_keys,
    state_put_new,
    state_set,
    state_set_multi,
    state_size,
    state_update,
)
from hornbeam_erlang._topics import publish, subscribe, unsubscribe
from hornbeamd.errors import CallError, CallTimeout, HubGone, NodeDown, NotRegistered, RPCError, RPCTimeout, StateFull
from hornbeamd.node.subscriptions import Subscription

get = state_get
set = state_set
delete = state_delete
incr = state_incr
decr = state_decr
hook = register_hook
unhook = unregister_hook

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
