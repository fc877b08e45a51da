from dataclasses import replace

import pytest

from hornbeamd.config.declare import Apply
from hornbeamd.config.log import LogOptions
from hornbeamd.config.options import Options
from hornbeamd.config.plan import Plan, keep, plan
from hornbeamd.config.state import StateOptions

OLD = Options(app="m:app")


def test_nothing_changed_asks_for_nothing():
    assert plan(OLD, Options(app="m:app")) == Plan()
    assert plan(OLD, OLD).strongest is None


@pytest.mark.parametrize(
    ("changes", "expected", "strongest"),
    [
        ({"workers": 9}, Plan(live=("workers",)), Apply.LIVE),
        ({"timeout": 1.0, "workers": 9}, Plan(live=("workers",), workers=("timeout",)), Apply.WORKERS),
        ({"pidfile": "/p", "app": "n"}, Plan(workers=("app",), restart=("pidfile",)), Apply.RESTART),
        # The hub, the state and the runtime directory belong to the user that the daemon began with.
        ({"user": "www", "group": "www"}, Plan(workers=("group",), restart=("user",)), Apply.RESTART),
        ({"log": LogOptions(level="debug")}, Plan(live=("log.level",)), Apply.LIVE),
    ],
)
def test_changes_are_sorted_by_what_they_need(changes, expected, strongest):
    found = plan(OLD, replace(OLD, **changes))
    assert found == expected
    assert found.strongest is strongest


def test_values_are_kept_in_sections_too():
    old = Options(pidfile="/run/old", state=StateOptions(path="/old", max_size=2**21))
    new = Options(pidfile="/run/new", workers=9, state=StateOptions(path="/new", max_size=2**22))
    kept = keep(old, new, ["pidfile", "state.path"])
    assert kept == Options(pidfile="/run/old", workers=9, state=StateOptions(path="/old", max_size=2**22))
