from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from hornbeamd.supervisor.intensity import LONGEST_PAUSE, Intensity


def intensity(limit: int = 2, period: float = 10.0) -> Intensity:
    return Intensity(limit, period, random=lambda: 0.0)


def test_as_many_deaths_as_the_limit_are_allowed_within_the_period() -> None:
    counter = intensity()
    assert [counter.record(now) for now in (0.0, 1.0, 2.0)] == [False, False, True]


def test_deaths_older_than_the_period_do_not_count() -> None:
    counter = intensity()
    assert [counter.record(now) for now in (0.0, 1.0, 10.0, 11.0)] == [False] * 4


def test_pauses_double_up_to_the_longest() -> None:
    counter = intensity()
    now, pauses = 0.0, []
    for _ in range(8):
        pauses.append(counter.pause(now))
        now += pauses[-1]
    assert pauses == [1, 2, 4, 8, 16, 32, LONGEST_PAUSE, LONGEST_PAUSE]


def test_deaths_during_a_pause_do_not_lengthen_it() -> None:
    counter = intensity()
    assert counter.pause(5.0) == 1.0
    assert counter.pause(5.25) == 0.75


def test_after_a_pause_a_single_death_is_too_many_until_there_was_quiet() -> None:
    counter = intensity()
    counter.pause(0.0)
    assert counter.record(9.0)
    counter.pause(9.0)  # until 11.0
    assert not counter.record(21.5)
    assert counter.pause(30.0) == 1.0


@given(st.floats(0, 1, exclude_max=True))
def test_jitter_takes_at_most_a_quarter(jitter: float) -> None:
    assert 0.75 <= Intensity(1, 1.0, random=lambda: jitter).pause(0.0) <= 1.0
