from dataclasses import replace

import pytest

from hornbeamd.config.declare import Apply
from hornbeamd.config.options import TABLE, LogOptions, Options
from hornbeamd.config.plan import Plan, plan

OLD = Options(app="m:app")


def test_nothing_changed_asks_for_nothing():
    assert plan(OLD, Options(app="m:app")) == Plan()
    assert plan(OLD, OLD).strongest is None


@pytest.mark.parametrize(
    ("changes", "expected", "strongest"),
    [
        ({"workers": 9}, Plan(live=("workers",)), Apply.LIVE),
        ({"timeout": 1.0, "workers": 9}, Plan(live=("workers",), workers=("timeout",)), Apply.WORKERS),
        ({"backlog": 9, "app": "n"}, Plan(workers=("app",), restart=("backlog",)), Apply.RESTART),
        ({"log": LogOptions(level="debug")}, Plan(workers=("log.level",)), Apply.WORKERS),
    ],
)
def test_changes_are_sorted_by_what_they_need(changes, expected, strongest):
    found = plan(OLD, replace(OLD, **changes))
    assert found == expected
    assert found.strongest is strongest


def test_what_needs_a_restart_has_no_section():
    """The supervisor puts the old values back by ``dataclasses.replace``, which knows no dots."""
    assert not [option.key for option in TABLE if option.apply is Apply.RESTART and "." in option.key]
