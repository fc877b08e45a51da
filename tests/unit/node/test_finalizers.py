"""Finalizers that want what the thread that runs them has: state/turns.py, and those who use it."""

import asyncio
import threading
from concurrent.futures import Future

import pytest

from hornbeamd.node.subscriptions import Subscription, Subscriptions
from hornbeamd.state.memory import MemoryStore
from hornbeamd.state.shared import SharedStore
from hornbeamd.state.turns import Turn


def in_thread(work):
    """Do *work* where it may wait for ever without the test doing so."""
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(10)
    assert not thread.is_alive()


def test_who_has_the_turn_already_is_told():
    turn, told = Turn(), []

    def work():
        with turn as first, turn as second:
            told.append((first, second))
        with turn as first:
            told.append(first)

    in_thread(work)
    assert told == [(True, False), True]


@pytest.fixture(params=["memory", "shared"])
def store(request, tmp_path):
    """A store whose clock, asked in the midst of a change, is a finalizer that changes it, too."""

    def clock():
        if store.finalizers:
            store.finalizers.pop()()
        return 1000.0

    store = MemoryStore(clock) if request.param == "memory" else SharedStore(str(tmp_path / "state"), 1 << 20, clock)
    store.finalizers = []
    yield store
    store.close()


def test_a_change_in_the_midst_of_another_is_an_error(store):
    def finalize():
        with pytest.raises(OSError, match="the state cannot be used"):
            store.incr("key")
        assert store.get("key") == 1
        refused.append(True)

    refused = []
    store.set("key", 1, ttl=60)
    store.finalizers.append(finalize)
    in_thread(lambda: store.incr("key"))
    assert refused
    assert store.get("key") == 2


@pytest.mark.parametrize("pattern", ["room:5", "room:*"])
def test_a_subscription_that_is_finalized_while_messages_are_delivered(pattern):
    told = []
    subscriptions = Subscriptions(told.append)
    one, other = (Subscription(subscriptions, pattern, 10) for _ in range(2))
    one._begin(), other._begin()
    look = subscriptions._topics.receivers

    def receivers(topic):
        one.close()
        return look(topic)

    subscriptions._topics.receivers = receivers
    in_thread(lambda: subscriptions.deliver("room:5", b"\x01"))
    assert subscriptions.count(pattern) == 1
    assert told == [pattern] * 3
    assert other.get(0) == 1


def test_a_block_that_is_ended_in_an_event_loop_does_not_hold_it_up():
    class Told(Future):
        def result(self, timeout=None):
            raise AssertionError("waited for")

    async def finalize():
        subscription.__exit__(None, None, None)

    subscription = Subscription(Subscriptions(lambda pattern: Told()), "t", 10)
    subscription._begin()
    asyncio.run(finalize())
    with pytest.raises(EOFError):
        subscription.get(0)
