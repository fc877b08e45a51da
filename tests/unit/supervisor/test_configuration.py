"""The configuration as it runs, and what a reload would change in it."""

from __future__ import annotations

from typing import Any

from hornbeamd.config.declare import Apply
from hornbeamd.config.options import TABLE
from hornbeamd.config.resolve import Loaded, load
from hornbeamd.errors import ConfigError
from hornbeamd.supervisor.configuration import Configuration


def loaded(**arguments: Any) -> Loaded:
    return load(arguments={"app": "shop", **arguments})


def shown(configuration: Configuration, options: Any, key: str) -> dict[str, Any]:
    (found,) = (each for each in configuration.shown(options) if each["key"] == key)
    return found


def test_each_option_is_shown_with_its_source():
    first = loaded(workers=2)
    configuration = Configuration(first, lambda: first)
    every = configuration.shown(first.options)
    assert [each["key"] for each in every] == [option.key for option in TABLE]
    assert {each["apply"] for each in every} == {apply.name.lower() for apply in Apply}
    workers = shown(configuration, first.options, "workers")
    assert (workers["value"], workers["default"]) == (2, 4)
    assert shown(configuration, first.options, "timeout")["source"] == "default"
    assert workers["source"] != "default"


def test_what_was_read_counts_when_it_is_adopted_but_for_what_was_kept():
    first, second = loaded(), loaded(workers=2, pidfile="/run/a.pid")
    configuration = Configuration(first, lambda: second)
    assert configuration.read() is second
    assert shown(configuration, first.options, "workers")["source"] == "default"
    configuration.adopt(kept=["pidfile"])
    assert shown(configuration, second.options, "workers")["source"] != "default"
    assert shown(configuration, first.options, "pidfile")["source"] == "default"


def test_looking_at_the_difference_adopts_nothing():
    found = [loaded(), loaded(workers=2)]
    configuration = Configuration(found[0], lambda: found[-1])
    configuration.read()
    found.append(loaded(workers=3, timeout="9s"))
    assert configuration.difference(found[0].options) == {
        "changes": [
            {"key": "workers", "from": 4, "to": 3, "apply": "live"},
            {"key": "timeout", "from": 30000, "to": 9000, "apply": "workers"},
        ],
        "problems": [],
    }
    configuration.adopt(kept=[])
    assert shown(configuration, found[1].options, "timeout")["source"] == "default"


def test_problems_take_the_place_of_the_difference():
    def fail() -> Loaded:
        raise ConfigError(["a", "b"])

    first = loaded()
    assert Configuration(first, fail).difference(first.options) == {"changes": [], "problems": ["a", "b"]}
