"""Plans against what OTP's documentation says, and against a naive model of a supervisor's children."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hornbeamd.supervisor.plan import Plan, after_exit, shutdown
from hornbeamd.supervisor.spec import ChildSpec, Restart, Strategy

ALL = [ChildSpec(id=name) for name in "abcd"]


@pytest.mark.parametrize(
    ("restart", "normal", "comes_back"),
    [
        (Restart.PERMANENT, True, True),
        (Restart.PERMANENT, False, True),
        (Restart.TRANSIENT, True, False),
        (Restart.TRANSIENT, False, True),
        (Restart.TEMPORARY, True, False),
        (Restart.TEMPORARY, False, False),
    ],
)
def test_restart_types(restart: Restart, normal: bool, comes_back: bool) -> None:
    children = [ChildSpec(id="a", restart=restart)]
    expected = Plan(start=("a",)) if comes_back else Plan(forget=("a",))
    assert after_exit(children, "a", normal=normal, strategy=Strategy.ONE_FOR_ONE) == expected


def test_one_for_one_touches_nobody_else() -> None:
    assert after_exit(ALL, "b", normal=False, strategy=Strategy.ONE_FOR_ONE) == Plan(start=("b",))


def test_rest_for_one_stops_the_younger_in_reverse_and_starts_them_in_order() -> None:
    plan = after_exit(ALL, "b", normal=False, strategy=Strategy.REST_FOR_ONE)
    assert plan == Plan(stop=("d", "c"), start=("b", "c", "d"))


def test_rest_for_one_does_not_bring_back_a_temporary_child() -> None:
    children = [*ALL[:3], ChildSpec(id="d", restart=Restart.TEMPORARY)]
    plan = after_exit(children, "b", normal=False, strategy=Strategy.REST_FOR_ONE)
    assert plan == Plan(stop=("d", "c"), start=("b", "c"), forget=("d",))


def test_a_child_that_may_go_takes_nobody_with_it() -> None:
    children = [ChildSpec(id="a", restart=Restart.TRANSIENT), *ALL[1:]]
    assert after_exit(children, "a", normal=True, strategy=Strategy.REST_FOR_ONE) == Plan(forget=("a",))


def test_shutdown_is_the_start_in_reverse() -> None:
    assert shutdown(ALL).stop == ("d", "c", "b", "a")


specs = st.lists(st.sampled_from(list(Restart)), min_size=1, max_size=6).map(
    lambda kinds: [ChildSpec(id=str(index), restart=kind) for index, kind in enumerate(kinds)]
)


@given(specs, st.data(), st.booleans(), st.sampled_from(list(Strategy)))
def test_carried_out_on_a_model_the_right_children_run(
    children: list[ChildSpec], data: st.DataObject, normal: bool, strategy: Strategy
) -> None:
    ended = data.draw(st.sampled_from(children))
    running = [child.id for child in children if child is not ended]
    known = [child.id for child in children]
    plan = after_exit(children, ended.id, normal=normal, strategy=strategy)
    for name in plan.stop:
        # Whoever is stopped must not be needed by one that still runs: it is the youngest.
        assert name == running[-1]
        running.remove(name)
    for name in plan.forget:
        known.remove(name)
    for name in plan.start:
        assert name not in running
        running.append(name)
    assert sorted(running) == sorted(known)
    if strategy is Strategy.REST_FOR_ONE and ended.id in running:
        # Everyone was started after all those that were there before it.
        assert running == sorted(running, key=int)
    if plan.start:
        assert ended.wanted_after(normal=normal)
