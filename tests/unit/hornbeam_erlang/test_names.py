"""What applications import: the same names for threads and for coroutines."""

import asyncio
import inspect
import math

import pytest

import hornbeam_erlang
from hornbeam_erlang import aio
from hornbeamd.errors import HornbeamError

# What is entered or iterated over, and not awaited.
NOT_AWAITED = {"subscribe", "stream", "stream_async", "timeout"}


def test_both_have_the_same_names():
    assert hornbeam_erlang.__all__ == sorted(hornbeam_erlang.__all__)
    assert aio.__all__ == hornbeam_erlang.__all__
    for name in aio.__all__:
        assert getattr(aio, name) is not None
        assert getattr(hornbeam_erlang, name) is not None


@pytest.mark.parametrize("name", hornbeam_erlang.__all__)
def test_all_names_are_explained_and_take_the_same(name):
    ours, theirs = getattr(hornbeam_erlang, name), getattr(aio, name)
    assert inspect.getdoc(ours)
    assert inspect.getdoc(theirs)
    if isinstance(ours, type):
        assert theirs is ours
        assert issubclass(ours, HornbeamError | hornbeam_erlang.Subscription)
        return
    assert inspect.iscoroutinefunction(theirs) == (name not in NOT_AWAITED)
    assert list(inspect.signature(ours).parameters.values()) == list(inspect.signature(theirs).parameters.values())


def test_the_short_names_are_the_long_ones():
    for module in (hornbeam_erlang, aio):
        for name in ("get", "set", "delete", "incr", "decr"):
            assert getattr(module, name) is getattr(module, f"state_{name}")


def test_the_state():
    state = hornbeam_erlang
    assert state.state_get("k") is None
    assert state.state_get("k", 5) == 5
    state.state_set("k", {"a": (1,)})
    assert state.state_get("k") == {"a": (1,)}
    assert state.state_incr("n") == 1
    assert state.state_incr("n", 5) == 6
    assert state.state_decr("n", 10) == -4
    assert state.state_get_multi(["n", "no"]) == {"n": -4, "no": None}
    state.state_set_multi({"a": 1, ("b",): 2})
    assert sorted(state.state_keys(""), key=str) == ["a", "k", "n"]
    assert state.state_put_new("a", 9) is False
    assert state.state_compare_and_set("a", 1, 2) is True
    assert state.state_update("a", lambda value: value * 10) == 20
    assert state.state_update("new", lambda value: value + 1, 0) == 1
    assert state.state_size() == 5
    state.state_delete("a")
    state.state_delete("a")
    state.state_clear()
    assert state.state_size() == 0


@pytest.mark.parametrize("delta", [True, 1.0, "1", None])
def test_what_is_no_integer_changes_nothing(delta):
    for count in (hornbeam_erlang.state_incr, hornbeam_erlang.state_decr):
        with pytest.raises(TypeError, match=type(delta).__name__):
            count("n", delta)
    assert hornbeam_erlang.state_keys() == []


def test_the_state_for_coroutines():
    async def main():
        await aio.state_set("k", math.inf)
        assert await aio.state_get("k") == math.inf
        assert await aio.incr("n") == 1
        assert await aio.state_update("n", lambda value: value + 1) == 2
        assert hornbeam_erlang.state_get("n") == 2

    asyncio.run(main())
