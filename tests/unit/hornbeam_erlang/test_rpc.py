"""Calls to other nodes, of which there are none: the own node is the only one."""

import asyncio
import gc
import threading

import pytest

from hornbeam_erlang import aio, node, nodes, ping, rpc_call, rpc_cast
from hornbeamd.errors import NodeDown, RPCError, RPCTimeout
from tests.support.waiting import wait_until

OWN = "nonode@nohost"

waited = threading.Event()
called = []


def wait():
    waited.wait(10)


def note(*args):
    called.append((args, threading.current_thread().name))


async def coroutine(value):
    await asyncio.sleep(0)
    return value


class Strange(Exception):
    """An exception of our own."""


def strange():
    raise Strange("so it is")


def wait_and_raise():
    wait()
    try:
        strange()
    finally:
        called.append("raised")


def leave():
    raise SystemExit(3)


def by_thread(*args, **kwargs):
    return rpc_call(*args, **kwargs)


def by_coroutine(*args, **kwargs):
    return asyncio.run(aio.rpc_call(*args, **kwargs))


both = pytest.mark.parametrize("call", [by_thread, by_coroutine])


def test_alone():
    assert (node(), nodes(), ping(OWN), ping("other@host")) == (OWN, [], "pong", "pang")


@both
def test_the_own_node_can_be_called(call):
    assert call(OWN, "math", "gcd", [12, 18]) == 6
    assert call(OWN, "os.path", "join", ["a", "b"]) == "a/b"
    assert call(node(), __name__, "coroutine", ["x"], timeout_ms=10_000) == "x"


@both
def test_what_it_raises_arrives_by_type_and_text(call):
    with pytest.raises(RPCError) as caught:
        call(OWN, __name__, "strange", [])
    assert (caught.value.type, caught.value.text) == (f"{__name__}.Strange", "so it is")
    assert str(caught.value) == f"{__name__}.Strange: so it is"
    for module, function, kind in (("no.such", "f", "ModuleNotFoundError"), ("math", "no", "AttributeError")):
        with pytest.raises(RPCError) as caught:
            call(OWN, module, function, [])
        assert caught.value.type == kind
    with pytest.raises(RPCError) as caught:
        call(OWN, __name__, "leave", [])
    assert caught.value.type == "SystemExit"
    with pytest.raises(RPCError) as caught:
        call(OWN, "builtins", "next", [iter(())])
    assert caught.value.type == "StopIteration"


@both
def test_it_takes_too_long(call):
    waited.clear()
    try:
        with pytest.raises(RPCTimeout, match="10 ms") as caught:
            call(OWN, __name__, "wait", [], timeout_ms=10)
        assert isinstance(caught.value, TimeoutError)
    finally:
        waited.set()


@both
def test_another_node_is_down(call):
    with pytest.raises(NodeDown) as caught:
        call("other@host", "math", "gcd", [1, 2])
    assert isinstance(caught.value, ConnectionError)


def test_a_cast_never_raises(caplog):
    called.clear()
    rpc_cast(OWN, __name__, "note", [1, 2])
    rpc_cast(OWN, __name__, "strange", [])
    rpc_cast("other@host", __name__, "note", [3])
    asyncio.run(aio.rpc_cast(OWN, __name__, "note", [4]))
    wait_until(lambda: len(called) == 2 and "that was cast to raised" in caplog.text)
    assert [args for args, _ in called] == [(1, 2), (4,)]
    assert "came to nothing" in caplog.text


def test_what_it_raises_is_told_once():
    """And not again by asyncio, of a future whose exception nobody has asked for."""
    complaints = []

    async def main():
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: complaints.append(context))
        with pytest.raises(RPCError):
            await aio.rpc_call(OWN, __name__, "strange", [])
        waited.clear()
        with pytest.raises(RPCTimeout):
            await aio.rpc_call(OWN, __name__, "wait_and_raise", [], timeout_ms=1)
        waited.set()
        await asyncio.to_thread(wait_until, lambda: "raised" in called, deadline=5)
        gc.collect()

    asyncio.run(main())
    gc.collect()
    assert not complaints
