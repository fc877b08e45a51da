"""The contract of a store, for both engines; time is an input."""

import pytest

from hornbeamd.state.memory import MemoryStore
from hornbeamd.state.shared import SharedStore


class Clock:
    now = 1_000_000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture(params=["shared", "memory"])
def store(request, tmp_path, clock):
    store = SharedStore(str(tmp_path / "state"), 1 << 22, clock) if request.param == "shared" else MemoryStore(clock)
    yield store
    store.close()


LONG = "long " * 200
KEYS = [
    1,
    1.0,
    True,
    "1",
    b"1",
    None,
    0,
    False,
    (),
    (1, "a"),
    2**70,
    frozenset({1}),
    "",
    LONG,
    LONG + "x",
    "\ud800",
    (LONG,),
]


def test_each_key_has_a_value_of_its_own(store):
    for number, key in enumerate(KEYS):
        store.set(key, number)
    assert [store.get(key) for key in KEYS] == list(range(len(KEYS)))
    assert sorted(map(repr, store.keys())) == sorted(map(repr, KEYS))
    assert store.size() == len(KEYS)
    for key in KEYS:
        store.delete(key)
        assert store.get(key, "gone") == "gone"
    assert store.size() == 0
    assert store.keys() == []


def test_equal_keys_are_one(store):
    store.set(0.0, "zero")
    store.set(frozenset({"a", 1, 8, 16}), "set")
    assert store.get(-0.0) == "zero"
    assert store.get(frozenset({16, 8, 1, "a"})) == "set"


@pytest.mark.parametrize("key", [[], {}, set(), ([],), object(), 1j, bytearray(b"a")])
def test_what_no_dict_has_for_a_key_is_no_key(store, key):
    for use in (
        store.get,
        store.delete,
        store.incr,
        lambda key: store.set(key, 1),
        lambda key: store.get_multi((key,)),
    ):
        with pytest.raises(TypeError):
            use(key)


def test_get_set_delete(store):
    assert store.get("a") is None
    assert store.get("a", 5) == 5
    store.set("a", None)
    assert store.get("a", 5) is None
    value = {"list": [1]}
    store.set("a", value)
    value["list"].append(2)
    assert store.get("a") == {"list": [1]}
    assert store.get("a") is not store.get("a")
    store.delete("a")
    store.delete("a")
    assert store.get("a") is None
    with pytest.raises(TypeError, match="object"):
        store.set("a", object())
    assert store.size() == 0


def test_large_values(store):
    value = {"bytes": bytes(range(256)) * 1000, "text": "ä" * 100_000}
    store.set("a", value)
    store.set(LONG, value, 5)
    assert store.get("a") == store.get(LONG) == value


def test_incr(store):
    assert [store.incr("n"), store.incr("n", 5), store.incr("n", -10)] == [1, 6, -4]
    store.set("n", 2**63 - 1)
    assert store.incr("n") == 2**63
    assert store.incr("n", 2) == 2**63 + 2
    assert store.get("n") == 2**63 + 2
    assert store.incr("n", -(2**64)) == 2 - 2**63
    assert store.incr("n", -3) == -(2**63) - 1
    assert store.get("n") == -(2**63) - 1
    assert store.incr(LONG, 3) == 3
    assert store.incr(LONG, 3) == 6
    assert store.keys("long") == [LONG]


@pytest.mark.parametrize("value", ["1", 1.0, True, None, [1]])
def test_only_integers_are_counted(store, value):
    store.set("n", value)
    with pytest.raises(TypeError):
        store.incr("n")
    assert store.get("n") is value or store.get("n") == value
    with pytest.raises(TypeError):
        store.incr("new", value)
    assert store.get("new", "nothing") == "nothing"


def test_multi(store):
    store.set_multi({"a": 1, ("b", 1): [2], LONG: 3})
    assert store.get_multi(["a", "none", ("b", 1), LONG]) == {"a": 1, "none": None, ("b", 1): [2], LONG: 3}
    assert store.get_multi([]) == {}
    with pytest.raises(TypeError):
        store.set_multi({"a": 5, "c": object()})
    with pytest.raises(TypeError):
        store.set_multi({"a": 5, 1j: 1})
    assert store.get("a") == 1


def test_keys_by_prefix(store):
    text = ["a", "ab", "abc", "b", "ä", "äb", LONG, LONG + "x", LONG[:495], LONG[:467], LONG[:468], "", "u", "x"]
    store.set_multi(dict.fromkeys([*text, 1, b"ab", ("ab",)], 0))
    for prefix in ["", "a", "ab", "abcd", "ä", "l", LONG, LONG[:466], LONG[:480], LONG + "x", "zzz", "u", "x"]:
        assert sorted(store.keys(prefix)) == sorted(key for key in text if key.startswith(prefix))
    for prefix in (5, b"a", ("a",)):
        with pytest.raises(TypeError, match="a prefix is text"):
            store.keys(prefix)
    assert len(store.keys()) == len(text) + 3


def test_put_new(store):
    assert store.put_new("a", None)
    assert not store.put_new("a", 1)
    assert store.get("a", "nothing") is None


def test_compare_and_set(store):
    assert store.compare_and_set("a", None, 1)
    assert not store.compare_and_set("a", None, 2)
    assert not store.compare_and_set("a", True, 2)
    assert not store.compare_and_set("a", 1.0, 2)
    assert store.compare_and_set("a", 1, None)
    assert store.compare_and_set("a", None, {"x": 1, "y": {2, 3}})
    assert not store.compare_and_set("a", {"y": {2, 3}, "x": True}, 1)
    assert store.compare_and_set("a", {"y": {3, 2}, "x": 1}, 1)
    assert store.get("a") == 1
    for old, new in ((object(), 1), (1, object())):
        with pytest.raises(TypeError):
            store.compare_and_set("a", old, new)


def test_update(store):
    assert store.update("a", lambda value: [*value, 1], []) == [1]
    assert store.update("a", lambda value: [*value, 2], []) == [1, 2]
    with pytest.raises(ZeroDivisionError):
        store.update("a", lambda value: 1 / 0)
    with pytest.raises(TypeError):
        store.update("a", lambda value: object())
    assert store.get("a") == [1, 2]


def test_update_begins_again_when_somebody_else_was_there(store):
    def change(value):
        seen.append(value)
        if len(seen) == 1:
            store.set("a", 10)
        elif len(seen) == 2:
            store.delete("a")
        return value + 1

    seen = []
    store.set("a", 1)
    assert store.update("a", change, 100) == 101
    assert seen == [1, 10, 100]
    assert store.get("a") == 101


def test_clear(store):
    store.set_multi(dict.fromkeys(range(100), "x"), 50)
    store.clear()
    assert (store.size(), store.keys(), store.get(5)) == (0, [], None)
    store.set(5, 1)
    assert (store.size(), store.keys()) == (1, [5])


# --- ttl ---


def test_what_is_over_is_not_there(store, clock):
    store.set_multi({"a": 1, "b": 2, LONG: 3}, ttl=10)
    store.set("stays", 0)
    clock.now += 9.99
    assert store.get("a") == 1
    assert store.size() == 4
    clock.now += 0.02
    assert store.get("a", "over") == "over"
    assert store.get_multi(["a", LONG]) == {"a": None, LONG: None}
    assert store.keys() == store.keys("s") == ["stays"]
    assert store.keys("long") == []
    assert store.size() == 1
    assert store.incr("a") == 1
    assert store.put_new("b", 5)
    assert store.compare_and_set(LONG, None, 6)
    clock.now += 1000
    assert store.get_multi(["a", "b", LONG]) == {"a": 1, "b": 5, LONG: 6}


def test_update_of_what_is_over_begins_with_the_default(store, clock):
    store.set("a", 1, ttl=1)
    clock.now += 1
    assert store.update("a", lambda value: value + 1, 10) == 11
    clock.now += 10
    assert store.get("a") == 11


def test_counting_and_updating_keep_the_ttl(store, clock):
    for key in ("a", LONG):
        store.set(key, 1, ttl=10)
        clock.now += 5
        store.incr(key)
        store.update(key, lambda value: value + 1)
        assert store.get(key) == 3
        clock.now += 5
        assert store.get(key) is None


@pytest.mark.parametrize("change", ["set", "compare_and_set", "set_multi", "delete"])
def test_storing_anew_ends_the_ttl(store, clock, change):
    store.set("a", 1, ttl=10)
    if change == "set":
        store.set("a", 2)
    elif change == "compare_and_set":
        assert store.compare_and_set("a", 1, 2)
    elif change == "set_multi":
        store.set_multi({"a": 2})
    else:
        store.delete("a")
        store.set("a", 2)
    clock.now += 11
    assert store.get("a") == 2
    assert store.size() == 1


def test_a_ttl_can_be_changed(store, clock):
    store.set("a", 1, ttl=10)
    store.set("a", 2, ttl=20)
    clock.now += 11
    assert store.get("a") == 2
    store.set("a", 3, ttl=1)
    clock.now += 1
    assert store.get("a") is None
    assert store.size() == 0


@pytest.mark.parametrize("ttl", [0, -1, float("nan"), float("inf"), "5", True, [1]])
def test_a_ttl_is_a_number_of_seconds_to_come(store, ttl):
    for use in (store.set, store.put_new, lambda key, value, ttl: store.compare_and_set(key, None, value, ttl)):
        with pytest.raises((TypeError, ValueError), match="ttl"):
            use("a", 1, ttl)
    with pytest.raises((TypeError, ValueError), match="ttl"):
        store.set_multi({"a": 1}, ttl)
    assert store.size() == 0
