"""Whoever registers, commits and ends in whatever order: what is offered agrees with a naive model."""

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from hornbeamd.node.generations import Generations
from hornbeamd.node.handlers import Single
from hornbeamd.node.offers import Offers

NAMES = ("a", "b", "c")
names = st.sampled_from(NAMES)


class Board:
    """What other processes have been told is offered."""

    def __init__(self):
        self.names = set()

    def offer(self, name, slots, threads=0):
        self.names.add(name)

    def withdraw(self, name):
        self.names.remove(name)  # nobody is told twice that something is gone


class Model:
    """A generation: what it has registered, and how far it has come."""

    def __init__(self, real):
        self.real = real
        self.has = {}
        self.living = False


class Reloads(RuleBasedStateMachine):
    @initialize()
    def begin(self):
        self.generations = Generations()
        self.board = Board()
        self.offers = Offers(generations=self.generations)
        self.offers.through(self.board)
        first = Model(self.generations.current)
        first.living = True
        self.order = [first]  # as they were committed
        self.prepared = None
        self.over = []

    @property
    def all(self):
        return [*self.order, *self.over, *([self.prepared] if self.prepared else [])]

    @rule(data=st.data(), name=names)
    def register(self, data, name):
        model = data.draw(st.sampled_from(self.all))
        target = Single(lambda: None)
        with model.real.running():
            self.offers.add(name, target)
        model.has[name] = target

    @rule(data=st.data(), name=names)
    def unregister(self, data, name):
        model = data.draw(st.sampled_from(self.all))
        with model.real.running():
            self.offers.remove(name)
        older = self.order[: self.order.index(model)] if model in self.order else []
        for each in (model, *older):
            each.has.pop(name, None)

    @precondition(lambda self: self.prepared is None)
    @rule()
    def prepare(self):
        self.prepared = Model(self.generations.prepare(len(self.all) + 1))

    @precondition(lambda self: self.prepared is not None)
    @rule(good=st.booleans())
    def decide(self, good):
        model, self.prepared = self.prepared, None
        if good:
            model.real.commit()
            self.order.append(model)
        else:
            model.real.drop()
            self._end(model)

    @precondition(lambda self: len(self.order) > 1)
    @rule(data=st.data())
    def retire(self, data):
        model = data.draw(st.sampled_from(self.order[:-1]))
        self.order.remove(model)
        model.real.retire()
        self._end(model)

    def _end(self, model):
        model.has = {}
        self.over.append(model)

    def offered(self, name):
        return next((model.has[name] for model in reversed(self.order) if name in model.has), None)

    @invariant()
    def what_is_offered_is_what_the_newest_says(self):
        for name in NAMES:
            offer = self.offers.offered(name)
            assert (None if offer is None else offer.target) is self.offered(name)
        assert self.board.names == {name for name in NAMES if self.offered(name) is not None}

    @invariant()
    def each_finds_its_own_first(self):
        for model in self.all:
            with model.real.running():
                for name in NAMES:
                    assert self.offers.find(name) is model.has.get(name, self.offered(name))


TestReloads = Reloads.TestCase
TestReloads.settings = settings(max_examples=40, stateful_step_count=30)


@given(st.lists(names))
def test_nobody_is_told_what_he_knows(order):
    """However often a name is registered again, by however many generations."""
    told = []
    generations, board = Generations(), Board()
    board.offer = lambda name, slots, threads=0: told.append(name)
    offers = Offers(generations=generations)
    offers.through(board)
    for number, name in enumerate(order, start=2):
        generation = generations.prepare(number)
        with generation.running():
            offers.add(name, Single(len))
        generation.commit()
    assert sorted(told) == sorted(set(order))
