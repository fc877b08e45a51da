"""The state as an operator reads and writes it."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Iterator
from datetime import date, datetime
from typing import Any

import pytest

from hornbeamd.errors import ControlError
from hornbeamd.state.shared import SharedStore
from hornbeamd.worker.answers import LONGEST
from hornbeamd.worker.showing import Showing, is_json, spoken


@pytest.fixture
def store() -> Iterator[SharedStore]:
    with tempfile.TemporaryDirectory() as folder:
        store = SharedStore(folder, 64 * 1024 * 1024)
        yield store
        store.close()


def do(store: SharedStore, action: str, **about: Any) -> dict[str, Any]:
    return asyncio.run(Showing(store).answer({"action": action, **about}))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("3", 3),
        ("-1.5", -1.5),
        ("true", True),
        ("null", None),
        ('"3"', "3"),
        ('{"a": [1, {}]}', {"a": [1, {}]}),
        ("NaN", "NaN"),
        ("-Infinity", "-Infinity"),
        ("hello world", "hello world"),
        ("", ""),
        ("[" * 100_000, "[" * 100_000),
    ],
)
def test_what_is_json_is_stored_as_what_it_stands_for_and_all_else_as_text(text, value):
    assert repr(spoken(text)) == repr(value)


@pytest.mark.parametrize("value", [None, True, 1, 1.0, "a", [], {}, {"a": [1, "1", None]}, 2**70])
def test_json_values_are_shown_as_they_are(store, value):
    store.set("k", value)
    answer = do(store, "get", key="k")
    assert answer == {"found": True, "type": type(value).__name__, "value": value, "text": None}
    assert type(answer["value"]) is type(value)


@pytest.mark.parametrize("value", [(), (1, 2), {1: 2}, {1, 2}, b"a", float("nan"), [(1,)], {"a": {True: 1}}])
def test_others_are_shown_as_python_shows_them(store, value):
    assert not is_json(value)
    store.set("k", value)
    answer = do(store, "get", key="k")
    assert answer == {"found": True, "type": type(value).__name__, "value": None, "text": repr(value)}


def test_a_moment_is_no_json(store):
    store.set("k", datetime(2026, 1, 2))
    assert do(store, "get", key="k")["text"] == "datetime.datetime(2026, 1, 2, 0, 0)"
    assert not is_json(date(2026, 1, 2))


def test_entries_come_and_go(store):
    assert do(store, "get", key="k") == {"found": False, "type": "", "value": None, "text": None}
    assert do(store, "delete", key="k") == {"found": False}
    assert do(store, "set", key="k", value="[1]", ttl=None) == {"type": "list"}
    assert store.get("k") == [1]
    assert do(store, "set", key="k", value="text", ttl=60.0) == {"type": "str"}
    assert do(store, "delete", key="k") == {"found": True}
    store.set("null", None)
    assert do(store, "get", key="null")["found"] is True


def test_keys_are_counted_all_and_shown_in_part(store):
    store.set_multi({"b:1": 1, "b:2": 1, "a": 1, 7: 1, ("t", 1): 1})
    assert do(store, "keys", prefix="b:", limit=1) == {"keys": [{"key": "b:1", "type": "str"}], "total": 2}
    every = do(store, "keys", prefix="", limit=100)
    assert every["total"] == 5
    assert {"key": "7", "type": "int"} in every["keys"]
    assert {"key": "('t', 1)", "type": "tuple"} in every["keys"]


def test_the_size_is_what_is_used_of_what_may_be(store):
    store.set("k", "x" * 1_000_000)
    size = do(store, "size")
    assert size["entries"] == 1
    assert 1_000_000 < size["bytes"] < 1_100_000 < size["max_bytes"] <= 64 * 1024 * 1024


def test_what_cannot_be_is_told_in_words(store):
    store.set("k", "x" * LONGEST)
    with pytest.raises(ControlError, match="too long to be shown"):
        do(store, "get", key="k")
    with pytest.raises(ControlError, match="full"):
        do(store, "set", key="k", value='"' + "x" * 70_000_000 + '"', ttl=None)
    with pytest.raises(ControlError, match="ttl"):
        do(store, "set", key="k", value="1", ttl=-1.0)
