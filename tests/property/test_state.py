"""Both engines against a plain dict, with the time as an input."""

import math
import shutil
import tempfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from hornbeamd.state.memory import MemoryStore
from hornbeamd.state.shared import SharedStore
from hornbeamd.state.terms import canonical, pack, unpack
from hornbeamd.state.upkeep import Upkeep

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(min_value=-(2**70), max_value=2**70)
    | st.floats()
    | st.text()
    | st.binary()
    | st.text(st.characters(categories=["Cs", "Lu"]), max_size=3)
    | st.datetimes(timezones=st.none() | st.timezones(), allow_imaginary=True)
)
HASHABLE = st.recursive(SCALARS, lambda inner: st.tuples(inner, inner) | st.frozensets(inner, max_size=3), max_leaves=4)
TERMS = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.tuples(inner, inner)
        | st.dictionaries(HASHABLE, inner, max_size=4)
        | st.sets(HASHABLE, max_size=4)
    ),
    max_leaves=20,
)


def seen(value):
    """What tells a term from all others, nan from itself not."""
    if isinstance(value, list | tuple):
        return type(value), [seen(item) for item in value]
    if isinstance(value, dict):
        return dict, [(seen(key), seen(item)) for key, item in value.items()]
    if isinstance(value, set | frozenset):
        return type(value), sorted(repr(seen(item)) for item in value)
    if isinstance(value, float):
        return float, "nan" if math.isnan(value) else (value, math.copysign(1, value))
    if hasattr(value, "tzinfo"):
        return type(value), value.replace(tzinfo=None), value.fold, str(value.tzinfo)
    return type(value), value


@given(TERMS)
def test_every_term_comes_back(value):
    assert seen(unpack(pack(value))) == seen(value)
    assert canonical(unpack(canonical(value))) == canonical(value)


@given(st.binary(max_size=60))
def test_any_bytes_are_a_term_or_refused(data):
    try:
        value = unpack(data)
    except ValueError:
        return
    assert seen(unpack(pack(value))) == seen(value)


@given(TERMS, st.data())
def test_damage_is_a_term_or_refused(value, data):
    packed = bytearray(pack(value))
    for _ in range(3):
        packed[data.draw(st.integers(0, len(packed) - 1))] = data.draw(st.integers(0, 255))
    try:
        unpack(bytes(packed))
    except ValueError:
        pass


LONG_TEXT = ["l" * 467, "l" * 468, "l" * 499, "l" * 500, "l" * 900 + "x", "l" * 900 + "y"]
OTHER_KEYS = [None, 7, 7.0, b"a", (), ("a", 1), ("k" * 600,), frozenset({1, 2, 3}), 2**80]
KEYS = st.sampled_from(["", "a", "ab", "b", "ä", "\ud800", *LONG_TEXT, *OTHER_KEYS])
VALUES = st.integers(-3, 3) | st.sampled_from([None, True, 1.0, "text", [1], "x" * 5000, {"a": (1,)}, 2**64])
TTLS = st.none() | st.sampled_from([0.5, 1, 2.5, 60])


class Model(RuleBasedStateMachine):
    """The dict holds what was stored, by the canonical form of its key, and when that is over."""

    def __init__(self):
        super().__init__()
        self.now = 1_000_000.0
        self.held = {}

    @initialize(shared=st.booleans())
    def open(self, shared):
        self.folder = tempfile.mkdtemp()
        self.upkeep = None
        if shared:
            self.store = SharedStore(self.folder, 1 << 26, lambda: self.now)
            self.upkeep = Upkeep(self.folder, 1 << 26, clock=lambda: self.now)
        else:
            self.store = MemoryStore(lambda: self.now)

    def teardown(self):
        self.store.close()
        if self.upkeep is not None:
            self.upkeep.close()
        shutil.rmtree(self.folder)

    def alive(self, key):
        _, value, end = self.held.get(canonical(key), (key, None, 0))
        return canonical(key) in self.held and end > self.now, value, end

    def put(self, key, value, ttl):
        self.held[canonical(key)] = (key, value, math.inf if ttl is None else self.now + ttl)

    @rule(seconds=st.sampled_from([0.25, 0.5, 1, 30]))
    def wait(self, seconds):
        self.now += seconds

    @rule(key=KEYS, value=VALUES, ttl=TTLS)
    def set(self, key, value, ttl):
        self.store.set(key, value, ttl)
        self.put(key, value, ttl)

    @rule(keys=st.lists(KEYS, max_size=4), value=VALUES, ttl=TTLS)
    def set_multi(self, keys, value, ttl):
        mapping = dict.fromkeys(keys, value)
        self.store.set_multi(mapping, ttl)
        for key in mapping:
            self.put(key, value, ttl)

    @rule(key=KEYS)
    def delete(self, key):
        self.store.delete(key)
        self.held.pop(canonical(key), None)

    @rule(key=KEYS, delta=st.integers(-5, 5))
    def incr(self, key, delta):
        there, value, end = self.alive(key)
        if there and type(value) is not int:
            with pytest.raises(TypeError):
                self.store.incr(key, delta)
            return
        total = (value if there else 0) + delta
        assert self.store.incr(key, delta) == total
        self.held[canonical(key)] = (key, total, end if there else math.inf)

    @rule(key=KEYS, value=VALUES, ttl=TTLS)
    def put_new(self, key, value, ttl):
        there = self.alive(key)[0]
        assert self.store.put_new(key, value, ttl) is not there
        if not there:
            self.put(key, value, ttl)

    @rule(key=KEYS, old=VALUES, new=VALUES, ttl=TTLS)
    def compare_and_set(self, key, old, new, ttl):
        there, value, _ = self.alive(key)
        equal = seen(value if there else None) == seen(old)
        assert self.store.compare_and_set(key, old, new, ttl) is equal
        if equal:
            self.put(key, new, ttl)

    @rule(key=KEYS)
    def update(self, key):
        there, value, end = self.alive(key)
        new = [value] if there else ["default"]
        assert self.store.update(key, lambda value: [value], "default") == new
        self.held[canonical(key)] = (key, new, end if there else math.inf)

    @rule()
    def clear(self):
        self.store.clear()
        self.held.clear()

    @rule(limit=st.integers(1, 5))
    def expire(self, limit):
        if self.upkeep is not None:
            self.upkeep.expire(limit)

    @rule(key=KEYS)
    def get(self, key):
        there, value, _ = self.alive(key)
        assert seen(self.store.get(key, "nothing")) == seen(value if there else "nothing")

    @rule(keys=st.lists(KEYS))
    def get_multi(self, keys):
        found = self.store.get_multi(keys)
        assert list(found) == list(dict.fromkeys(keys))
        for key, value in found.items():
            there, held, _ = self.alive(key)
            assert seen(value) == seen(held if there else None) or key == 7

    @rule(prefix=st.sampled_from(["", "a", "l", "l" * 468, "l" * 499, "l" * 500, "l" * 900, "\ud800", "zz"]))
    def prefix(self, prefix):
        expected = [key for key in self.live() if type(key) is str and key.startswith(prefix)]
        assert sorted(self.store.keys(prefix)) == sorted(expected)

    def live(self):
        return [key for key, _, end in self.held.values() if end > self.now]

    @invariant()
    def all_is_there(self):
        if hasattr(self, "store"):
            expected = self.live()
            assert self.store.size() == len(expected)
            assert sorted(map(canonical, self.store.keys())) == sorted(map(canonical, expected))


TestModel = Model.TestCase
TestModel.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)
