"""Calls and messages between processes while the code of one of them is exchanged (docs/reload.md)."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

import hornbeam_erlang
from hornbeamd.errors import CallError, NotRegistered
from hornbeamd.node import install
from tests.support.hubs import Hub
from tests.support.waiting import wait_until


class House:
    """Two processes, as it were: one that calls, and one whose code is exchanged."""

    def __init__(self, hub):
        self.caller, self.node = hub.node("caller"), hub.node("worker")
        self.offers, self.generations = self.node.offers, self.node.generations
        self.first = self.generations.current
        for node in (self.caller, self.node):
            node.connect_in_background()
        self.gate = threading.Event()
        self.started = threading.Semaphore(0)
        self.threads = ThreadPoolExecutor(4)

    def close(self):
        self.gate.set()
        self.threads.shutdown()
        for node in (self.caller, self.node):
            node.leave_background()

    def begin(self, name, *args):
        """Begin a call, and wait until it is at work."""
        future = self.threads.submit(hornbeam_erlang.call, name, *args)
        assert self.started.acquire(timeout=5)
        return future

    def exchange(self, register):
        """Commit what *register* registers; gives the new generation."""
        generation = self.generations.prepare(self.generations.current.number + 1)
        with generation.running():
            register(self.offers)
        self.in_loop(generation.commit)
        return generation

    def in_loop(self, function):
        """The result of *function* in the loop of the node, a coroutine's too."""

        async def run():
            result = function()
            return await result if asyncio.iscoroutine(result) else result

        return asyncio.run_coroutine_threadsafe(run(), self.node.post.loop).result(5)

    def plain(self, word):
        """A function that holds a thread until the gate is open."""

        def work():
            self.started.release()
            self.gate.wait(5)
            return word, self.generations.acting().number

        return work

    def coroutine(self, word):
        """The same for the loop."""

        async def work():
            self.started.release()
            await asyncio.to_thread(self.gate.wait, 5)
            return word, self.generations.acting().number

        return work


@pytest.fixture
def house():
    hub = Hub()
    house = House(hub)
    install(house.caller)
    yield house
    install(None)
    house.close()
    hub.close()


@pytest.mark.parametrize("kind", ["plain", "coroutine"])
def test_a_call_in_hand_ends_on_the_code_it_began_with(house, kind):
    make = getattr(house, kind)
    with house.first.running():
        house.offers.register_function("work", make("old"))
        house.offers.register_function("gone", make("old"))
    old, gone = house.begin("work"), house.begin("gone")
    second = house.exchange(lambda offers: offers.register_function("work", make("new")))
    new = house.begin("work")
    finished = house.threads.submit(house.in_loop, lambda: house.first.finish(5))
    # Offered no more at once: else it might never come to an end.
    wait_until(lambda: not house.caller.post.offered("function:gone"))
    with pytest.raises(NotRegistered):
        hornbeam_erlang.call("gone")
    assert not finished.done()
    house.gate.set()
    assert old.result(5) == gone.result(5) == ("old", 1)
    assert new.result(5) == ("new", 2)
    assert finished.result(5) is True
    house.in_loop(house.first.retire)
    assert hornbeam_erlang.call("work") == ("new", 2)
    assert house.generations.current is second


def test_what_does_not_end_in_time_is_stopped_where_that_can_be_done(house):
    with house.first.running():
        house.offers.register_function("work", house.coroutine("old"))
    old = house.begin("work")
    house.exchange(lambda offers: None)
    assert house.in_loop(lambda: house.first.finish(0.01)) is False
    assert not old.done()
    house.in_loop(house.first.retire)
    with pytest.raises(CallError):
        old.result(5)


def test_an_instance_belongs_to_its_generation_and_is_made_once_in_each(house):
    made = []

    class Handler:
        def __init__(self):
            made.append(house.generations.acting().number)

        def ask(self):
            return len(made), house.generations.acting().number

    with house.first.running():
        house.offers.register_hook("model", Handler)
    assert hornbeam_erlang.execute("model", "ask") == (1, 1)
    house.exchange(lambda offers: offers.register_hook("model", Handler))
    assert hornbeam_erlang.execute("model", "ask") == (2, 2)
    assert hornbeam_erlang.execute("model", "ask") == (2, 2)
    install(house.node)
    with house.first.running():  # old code goes on with the old one, in its own process
        assert hornbeam_erlang.execute("model", "ask") == (2, 1)
    assert made == [1, 2]


def test_casts_and_tasks_belong_to_whoever_has_begun_them(house):
    install(house.node)
    seen = []
    done = threading.Event()

    def note():
        seen.append(house.generations.acting().number)
        done.set()
        return seen[-1]

    with house.first.running():
        house.offers.register_function("note", note)
        house.offers.register_hook("note", lambda action: note())
    house.exchange(lambda offers: None)
    with house.first.running():
        hornbeam_erlang.cast("note")
        assert done.wait(5)
        task = hornbeam_erlang.execute_async("note", "it")
    assert hornbeam_erlang.await_result(task) == 1
    house.in_loop(house.first.retire)
    assert seen == [1, 1]
    assert hornbeam_erlang.await_result(task) == 1  # a result outlives the code
    install(house.caller)
    assert hornbeam_erlang.await_result(task) == 1


def test_messages_reach_both_generations_until_the_old_one_ends(house):
    def listen(generation):
        with generation.running():
            return house.node.subscribe("room:*").__enter__()

    old = listen(house.first)
    new = listen(house.exchange(lambda offers: None))
    assert hornbeam_erlang.publish("room:1", "both") == 2
    assert house.in_loop(lambda: house.first.finish(5))
    house.in_loop(house.first.retire)
    wait_until(lambda: hornbeam_erlang.publish("room:1", "one") == 1)
    assert new.get(5) == "both"
    assert list(old) == []  # closed: what waited is dropped
