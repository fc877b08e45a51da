"""Who gets a topic, held against the plainest way to find out."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hornbeamd.hub import topics
from hornbeamd.hub.topics import Topics, is_pattern, matches


@pytest.mark.parametrize(
    ("pattern", "topic", "expected"),
    [
        ("room", "room", True),
        ("room", "rooms", False),
        ("room:*", "room:5", True),
        ("room:*", "room:", True),
        ("room:*", "room", False),
        ("room:*", "room:5:typing", False),
        ("room:*:typing", "room:5:typing", True),
        ("room:*:typing", "room:5:left", False),
        ("*", "room", True),
        ("*", "", True),
        ("*", "room:5", False),
        ("*:*", "room:5", True),
        ("room:*", "room:*", True),
        ("room:5", "room:*", False),
        ("ro*m", "room", False),
        ("", "", True),
        ("", "room", False),
    ],
)
def test_a_star_stands_for_one_segment(pattern, topic, expected):
    assert matches(pattern, topic) is expected
    table = Topics()
    table.set("me", pattern, 1)
    assert (table.receivers(topic) == {"me": 1}) is expected


def test_only_a_whole_segment_makes_a_pattern():
    assert is_pattern("a:*")
    assert not is_pattern("a*:b")


def test_subscriptions_of_one_client_add_up():
    table = Topics()
    table.set("me", "room:5", 2)
    table.set("me", "room:*", 1)
    table.set("you", "*:5", 1)
    assert table.receivers("room:5") == {"me": 3, "you": 1}
    assert sorted(table.of("me", "room:5")) == ["room:*", "room:5"]
    assert table.of("me", "room:6") == ["room:*"]
    assert table.count("room:5") == 2
    table.leave("me")
    assert table.receivers("room:5") == {"you": 1}
    assert table.of("me") == []


def test_who_is_subscribed_is_told_once():
    table = Topics()
    for who, pattern in (("me", "room"), ("you", "room"), ("me", "room:*"), ("they", "hall")):
        table.set(who, pattern, 1)
    table.leave("they")
    assert table.subscribers() == ["me", "you"]


def test_nothing_is_left_of_what_nobody_wants():
    table = Topics()
    for pattern in ("a", "a:*", "a:*:b", "*", "a:b"):
        table.set("me", pattern, 1)
        table.set("me", pattern, 0)
        table.set("me", pattern, 0)  # harmless
    assert vars(table) == vars(Topics())


def test_what_is_remembered_is_bounded(monkeypatch):
    monkeypatch.setattr(topics, "REMEMBERED", 10)
    table = Topics()
    table.set("me", "room:*", 1)
    for number in range(100):
        assert table.receivers(f"room:{number}") == {"me": 1}
        assert len(table._remembered) <= 10


SEGMENTS = st.lists(st.sampled_from(["a", "b", "*", ""]), min_size=1, max_size=3).map(":".join)
CHANGES = st.tuples(st.sampled_from("xyz"), SEGMENTS, st.integers(0, 2))


@given(st.lists(st.one_of(CHANGES, SEGMENTS, st.sampled_from("xyz").map(lambda who: (who,))), max_size=40))
def test_any_history_gives_what_a_plain_list_gives(history):
    table, plain = Topics(), {}
    for step in history:
        if isinstance(step, str):
            expected = {}
            for (who, pattern), number in plain.items():
                if matches(pattern, step):
                    expected[who] = expected.get(who, 0) + number
            assert table.receivers(step) == expected
        elif len(step) == 1:
            table.leave(*step)
            plain = {key: number for key, number in plain.items() if key[0] != step[0]}
        else:
            table.set(*step)
            plain[step[:2]] = step[2]
            plain = {key: number for key, number in plain.items() if number}
        assert set(table) == {pattern for _, pattern in plain}
