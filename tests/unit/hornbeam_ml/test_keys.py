"""hornbeam_ml/_keys.py: what is the same has the same key, and nothing else has."""

import functools
import gc
import math
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import numpy
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hornbeam_ml import _keys, batched
from hornbeam_ml._keys import key_of, prefix_of
from hornbeamd.node import alone, canonical, current, install

ROOT = Path(__file__).resolve().parents[3]


def encode(text):
    return text


def decode(text):
    return text


def key(fn, input=1, cache_key=None, prefix="ml"):
    return key_of(fn, input, cache_key, prefix)


def all_differ(keys):
    keys = list(keys)
    assert len(set(keys)) == len(keys)


def test_inputs_that_look_alike():
    vector = [0.0, 1.0, 2.0]
    inputs = [1, "1", True, 1.0, b"1", None, "None", [1], (1,), {1}, frozenset({1}), {1: 1}, {1: "1"}, "", b"", [], ()]
    inputs += [{}, [[]], [()], [[], []], ["ab", "c"], ["a", "bc"], "ab", ["ab"], vector, tuple(vector), str(vector)]
    inputs += [datetime(2026, 1, 1), datetime(2026, 1, 1, tzinfo=UTC), math.nan, math.inf, 2**70, -(2**70)]
    inputs += [numpy.array(vector), numpy.array(vector, "f4"), numpy.array([vector]), numpy.array(vector).tobytes()]
    inputs += [numpy.array([0, 1, 2]), numpy.array(vector, ">f8"), [numpy.array(vector)], numpy.array(["a"])]
    all_differ(key(encode, input) for input in inputs)


def test_the_same_input_again():
    assert key(encode, {"a": 1, "b": [2, {"c": {3}}]}) == key(encode, {"b": [2, {"c": {3}}], "a": 1})
    assert key(encode, {"x", "y", "z"}) == key(encode, {"z", "y", "x"})
    square = numpy.arange(9.0).reshape(3, 3)
    assert key(encode, square) == key(encode, numpy.asfortranarray(square)) == key(encode, square.T.copy().T)
    assert key(encode, square[:, 1]) == key(encode, square[:, 1].copy())


def test_long_inputs_that_differ_in_the_middle():
    one = numpy.zeros(100_000)
    other = one.copy()
    other[50_000] = 1e-300
    all_differ([key(encode, one), key(encode, other), key(encode, one.tolist()), key(encode, other.tolist())])
    all_differ([key(encode, "x" * 100_000), key(encode, "x" * 50_000 + "y" + "x" * 49_999)])


TERMS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary(),
    lambda inner: st.lists(inner) | st.tuples(inner, inner) | st.dictionaries(st.text() | st.integers(), inner),
    max_leaves=8,
)


@given(TERMS, TERMS)
def test_two_inputs_have_one_key_only_if_they_are_one(one, other):
    assert (key(encode, one) == key(encode, other)) == (canonical(one) == canonical(other))


@pytest.mark.parametrize("input", [object(), [object()], {"a": {1: object()}}, numpy.array([None]), bytearray(b"1")])
def test_an_input_without_a_value(input):
    with pytest.raises(TypeError, match="give a cache_key"):
        key(encode, input)
    assert key(encode, input, cache_key="it") == key(encode, None, cache_key="it")


def test_a_key_that_is_given():
    all_differ(key(encode, 1, cache_key=given, prefix=prefix) for given in ("a", "b", 1, "1") for prefix in ("x", "y"))
    assert key(encode, 1, cache_key="a") == key(decode, 2, cache_key="a") != key(encode, "a")
    with pytest.raises(TypeError, match="cache_key"):
        key(encode, 1, cache_key=object())


def test_prefixes_do_not_meet():
    all_differ(key(encode, prefix=prefix) for prefix in ("", "m", "ml", "ml:", "ml\0"))
    assert all(key(encode, prefix=prefix).startswith(prefix_of(prefix)) for prefix in ("", "ml"))
    with pytest.raises(TypeError, match="text"):
        key(encode, prefix=b"ml")


# --- functions ---


class Model:
    def __init__(self, name, weights=None):
        self.name = name
        if weights is not None:
            self.weights = weights

    def encode(self, text):
        return text

    def __call__(self, text):
        return text

    @classmethod
    def load(cls, text):
        return text

    @batched
    def many(self, texts):
        return texts


class Large(Model):
    pass


class Weights:
    """Something that is no term."""


def adder(number):
    return lambda text: text + number


def test_functions():
    model = Model("a")
    functions = [encode, decode, Model, Model.load, Large.load, model.encode, model, Large("a").encode, len, math.sqrt]
    functions += [Model("b").encode, adder(1), adder(2), adder("1"), lambda text: text, lambda text: [text], "a".join]
    functions += [functools.partial(encode, 1), functools.partial(encode, 2), functools.partial(encode, text=1)]
    functions += ["b".join, lambda text, also=1: text, lambda text, also=2: text, functools.partial(decode, 1)]
    functions += [functools.lru_cache(encode), model.many, Model.many, batched(encode), batched(decode)]
    all_differ(key(fn) for fn in functions)


def test_the_same_function_again():
    assert key(encode) == key(encode)
    assert key(adder(1)) == key(adder(1))
    assert key(Model("a").encode) == key(Model("a").encode)
    assert key(functools.partial(encode, 1)) == key(functools.partial(encode, 1))
    model = Model("a")
    before = key(model.encode)
    assert key(model.many) == key(model.many)
    assert key(model.encode) == before


def test_a_function_that_was_changed_is_another():
    versions = []
    for body in (
        "text",
        "text + 1",
        "text + 2",
        "other(text)",
        "another(text)",
        "[x for x in text]",
        "[x + 1 for x in text]",
    ):
        namespace = {"__name__": "module"}
        exec(f"def encode(text):\n    return {body}\n", namespace)
        versions.append(namespace["encode"])
    all_differ(key(fn) for fn in versions)


def test_a_model_is_told_by_its_attributes():
    assert key(Model("a").encode) == key(Model("a").encode) != key(Model("b").encode)
    weights = numpy.zeros((10, 10))
    one = key(Model("a", weights).encode)
    weights[5, 5] = 1
    assert one == key(Model("a", weights - weights).encode) != key(Model("a", weights).encode)


def test_what_is_no_term_hides_what_is():
    """Two are in use, of which not all can be told, but enough."""
    one, other = Model("a", Weights()), Model("b", Weights())
    all_differ([key(one.encode), key(other.encode)])


def test_only_what_is_at_the_same_place_could_be_confused():
    one, other = Model("a", Weights()), Model("a", Weights())
    all_differ([key(one.encode, prefix="place"), key(other.__call__, prefix="place")])

    def encodes(text):
        return one.encode(text)

    def decodes(text):
        return other.encode(text)

    all_differ([key(encodes), key(decodes)])


def test_what_a_function_carries_counts_as_it_was_when_first_seen():
    """It may count its calls, in whatever it has."""
    calls, model = [], Model("a")

    def counts(text):
        calls.append(text)

    for fn in (counts, model.encode, model):
        before = key(fn)
        counts(1)
        model.name += "x"
        assert key(fn) == before


def test_two_models_with_weights_do_not_pass_for_each_other():
    one, other = Model("a", Weights()), Model("a", Weights())
    mine = key(one.encode)
    assert key(lambda text: one.encode(text)) != mine
    with pytest.raises(TypeError, match="cache_prefix of its own"):
        key(other.encode)
    with pytest.raises(TypeError, match="cache_prefix of its own"):
        for model in (one, other):
            key(lambda text, model=model: model.encode(text))
    assert key(one.encode) == mine != key(other.encode, prefix="other")
    other.cache_identity = "other"
    assert key(other.encode) not in (mine, key(Model("a").encode))


def test_new_code_may_have_the_model_of_the_old_while_both_are_in_use():
    """A reload in place loads it again: it has the answers of the old one, as it has after a restart."""
    install(alone())
    old, new, other = (Model("a", Weights()) for _ in range(3))
    mine = key(old.encode, prefix="reloaded")
    with current().generations.prepare(2).running():
        assert key(new.encode, prefix="reloaded") == mine
        with pytest.raises(TypeError, match="cache_prefix of its own"):
            key(other.encode, prefix="reloaded")
    install(None)


def test_a_model_may_take_the_place_of_one_that_is_gone():
    model = Model("a", Weights())
    mine = key(model.encode, prefix="place")
    del model
    gc.collect()
    assert key(Model("a", Weights()).encode, prefix="place") == mine


def test_objects_that_are_gone_leave_nothing_behind():
    for number in range(100):
        key(Model(str(number), Weights()).encode, prefix="gone")
    gc.collect()
    assert not [where for (_, where) in _keys._seen if where[0] == "gone" and where[1]]
    assert not [where for (where, _) in _keys._first[Model] if where[0] == "gone"]


def test_what_a_model_says_of_itself():
    one, other = Model("a", Weights()), Model("a", Weights())
    one.cache_identity, other.cache_identity = "v1", "v2"
    all_differ([key(one.encode), key(other.encode)])
    other.cache_identity = "v1"
    assert key(one.encode) == key(other.encode)
    other.cache_identity = object()
    with pytest.raises(TypeError, match="cache_identity"):
        key(other.encode)


def test_functions_that_carry_themselves_along():
    def count(number):
        return number and count(number - 1)

    assert key(count) == key(count)


def test_what_is_not_there_yet_can_be_carried_along():
    def early(text):
        return late(text)

    before = key(early)

    def late(text):
        return text

    assert key(early) == before


class Slots:
    __slots__ = ("name",)

    def encode(self, text):
        return text


def test_objects_that_nothing_can_be_asked_of_are_told_by_their_class():
    assert key(Slots().encode) == key(Slots().encode) != key(Model("a").encode)
    all_differ([key({}.get), key([].index), key({1: object()}.get), key(functools.partial(encode, {1: Slots()}))])


def test_more_code_than_is_remembered(monkeypatch):
    monkeypatch.setattr(_keys, "_codes", dict.fromkeys(range(4096)))
    assert key(lambda text: [text])
    assert 0 < len(_keys._codes) < 10


def test_another_process_has_the_same_keys():
    """In the order of sets, too, in which processes differ."""
    script = (
        "from hornbeam_ml._keys import key_of\n"
        "def fn(text):\n    return text in {'a', 'b', 'c', 'd'}\n"
        "print(key_of(fn, [{'a', 'b', 'c'}, {'x': 1.5}], None, 'ml').hex())"
    )
    keys = set()
    for seed in "12":
        env = {"PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT)}
        run = subprocess.run([sys.executable, "-c", script], env=env, capture_output=True, text=True, check=True)
        keys.add(run.stdout)
    assert len(keys) == 1
