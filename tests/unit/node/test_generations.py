"""What follows its generation of the application's code (node/generations.py)."""

import asyncio
import threading
from contextvars import Context

import pytest

from hornbeamd.node import alone
from hornbeamd.node.generations import Generations, own_context
from hornbeamd.node.handlers import Hook, Single
from hornbeamd.node.offers import Offers


class Post:
    """Remembers what it was told."""

    def __init__(self):
        self.said = []

    def offer(self, name, slots, threads):
        self.said.append(("offer", name))

    def withdraw(self, name):
        self.said.append(("withdraw", name))

    def news(self):
        said, self.said = self.said, []
        return said


class House:
    """The offers of a process, and what other processes are told of them."""

    def __init__(self):
        self.generations = Generations()
        self.post = Post()
        self.offers = Offers(generations=self.generations)
        self.offers.through(self.post)
        self.first = self.generations.current

    def found(self, name, generation=None):
        """The function of *name* for code of *generation*, or for code of nobody knows whom."""
        context = Context() if generation is None else generation.context()
        target = context.run(self.offers.find, f"function:{name}")
        return None if target is None else target.function(None)

    def offered(self, name):
        """The function of *name* for other processes."""
        offer = self.offers.offered(f"function:{name}")
        return None if offer is None else offer.target.function(None)

    def register(self, generation, **functions):
        with generation.running():
            for name, function in functions.items():
                self.offers.register_function(name, function)


@pytest.fixture
def house():
    return House()


def test_what_is_prepared_is_seen_by_itself_alone_until_it_is_committed(house):
    house.register(house.first, both=len, old=len)
    house.post.news()
    second = house.generations.prepare(2)
    house.register(second, both=max, new=max)
    assert house.post.news() == []
    assert house.offered("both") is house.found("both") is house.found("both", house.first) is len
    assert house.offered("new") is house.found("new") is house.found("new", house.first) is None
    assert house.found("both", second) is house.found("new", second) is max
    assert house.found("old", second) is len
    second.commit()
    assert house.post.news() == [("offer", "function:new")]
    assert house.offered("both") is house.offered("new") is house.found("both") is max
    assert house.found("both", house.first) is len
    assert house.found("new", house.first) is max
    assert house.offered("old") is house.found("old", second) is len


def test_what_is_dropped_leaves_nothing(house):
    house.register(house.first, both=len)
    house.post.news()
    second = house.generations.prepare(2)
    house.register(second, both=max, new=max)
    second.drop()
    assert house.post.news() == []
    assert house.offered("both") is len
    assert house.found("new", second) is None
    assert house.generations.current is house.first
    house.register(second, both=min, new=min)  # a thread of it that nobody has stopped
    assert house.post.news() == []
    assert house.offered("both") is len


def test_names_that_nobody_took_over_are_withdrawn_when_the_old_one_is_finished(house):
    house.register(house.first, both=len, old=len)
    second = house.generations.prepare(2)
    house.register(second, both=max)
    second.commit()
    house.post.news()
    assert asyncio.run(house.first.finish(1.0))
    assert house.post.news() == [("withdraw", "function:old")]
    assert house.offered("both") is max
    assert house.offered("old") is None
    assert house.found("old", house.first) is len  # its shutdown may want it
    house.first.retire()
    assert house.found("old", house.first) is None
    assert house.first.offers == {}


def test_old_code_takes_nothing_away_and_takes_nothing_over(house):
    house.register(house.first, both=len, old=len)
    second = house.generations.prepare(2)
    house.register(second, both=max)
    second.commit()
    house.post.news()
    with house.first.running():
        house.offers.unregister_function("both")
        house.offers.unregister_function("old")
    assert house.post.news() == [("withdraw", "function:old")]
    assert house.offered("both") is max
    house.register(house.first, both=min, late=min)
    assert house.offered("both") is max
    assert house.offered("late") is min
    assert house.found("both", house.first) is min
    house.register(second, late=max)
    assert house.offered("late") is max
    house.first.retire()
    assert house.offered("late") is max


def test_what_the_current_code_unregisters_does_not_come_back_from_an_older_one(house):
    house.register(house.first, name=len)
    second = house.generations.prepare(2)
    house.register(second, name=max)
    second.commit()
    house.offers.unregister_function("name")  # by a thread of nobody knows whom
    assert house.offered("name") is house.found("name") is None


def test_three_live_and_the_middle_one_ends_first(house):
    house.register(house.first, name=len, old=len)
    second, third = house.generations.prepare(2), house.generations.prepare(3)
    house.register(second, name=max, middle=max)
    second.commit()
    house.register(third, other=min)
    third.commit()
    assert house.offered("name") is max
    second.retire()
    assert house.offered("name") is len
    assert house.offered("middle") is None
    house.first.retire()
    assert house.offered("name") is None
    assert house.offered("other") is min


def test_what_is_not_the_applications_outlives_generations(house):
    with house.first.running():
        house.offers.add("task:x", Single(len), lasting=True)
    second = house.generations.prepare(2)
    second.commit()
    house.first.retire()
    assert house.offers.offered("task:x") is not None


def test_a_class_that_was_imported_for_a_call_is_imported_again_by_new_code(house):
    old, new = Hook(dict), Hook(dict)
    with house.first.running():
        assert house.offers.add_here("hook:m:C", old) is old
    second = house.generations.prepare(2)
    with second.running():
        assert house.offers.add_here("hook:m:C", new) is new
    assert house.offers.find("hook:m:C") is old
    second.commit()
    assert house.offers.find("hook:m:C") is new
    with house.first.running():
        assert house.offers.find("hook:m:C") is old
    third = house.generations.prepare(3)
    third.commit()
    with third.running():
        assert house.offers.find("hook:m:C") is None
    assert house.post.news() == []


# --- whose code is running ---


def test_tasks_and_threads_belong_to_whoever_has_made_them(house):
    acting = house.generations.acting
    second = house.generations.prepare(2)

    async def run():
        with house.first.running():
            inherited = asyncio.create_task(later())
            thread = asyncio.create_task(asyncio.to_thread(acting))
        with second.running():
            other = asyncio.create_task(later())
        return [await task for task in (inherited, thread, other)]

    async def later():
        await asyncio.sleep(0)
        return acting()

    assert asyncio.run(run()) == [house.first, house.first, second]
    assert acting() is house.first
    second.commit()
    assert acting() is second  # nobody knows whose this is


def test_a_context_of_ones_own_holds_the_generation_and_nothing_else(house):
    second = house.generations.prepare(2)
    assert list(own_context()) == []
    with second.running():
        context = own_context()
    assert len(context) == 1
    assert context.run(house.generations.acting) is second


def test_generations_of_another_node_are_nobodys(house):
    with Generations().prepare(2).running():
        assert house.generations.acting() is house.first


# --- subscriptions ---


def test_subscriptions_end_with_their_generation():
    node = alone()
    first, second = node.generations.current, node.generations.prepare(2)
    with first.running():
        old = node.subscribe("t").__enter__()
    with second.running():
        new = node.subscribe("t").__enter__()
    second.commit()
    assert node.publish("t", 1) == 2
    first.retire()
    assert node.publish("t", 2) == 1
    assert list(old) == []
    assert [new.get(0), new.get(0)] == [1, 2]
    with first.running(), pytest.raises(RuntimeError, match="replaced by a reload"):
        node.subscribe("t").__enter__()


def test_subscriptions_of_what_is_dropped_are_closed():
    node = alone()
    second = node.generations.prepare(2)
    with second.running():
        subscription = node.subscribe("t").__enter__()
    ended = threading.Thread(target=lambda: list(subscription))
    ended.start()
    second.drop()
    ended.join(5)
    assert not ended.is_alive()
    assert node.publish("t", 1) == 0
