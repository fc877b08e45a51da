"""Which road a reload takes, what it came to, and that those who ask meanwhile share the next one."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import anyio
import pytest

from hornbeamd.config.options import Options
from hornbeamd.errors import ConfigError, SupervisionError
from hornbeamd.supervisor.outcome import Outcome, Road, Step
from hornbeamd.supervisor.reloading import Reloading
from hornbeamd.supervisor.swapping import Unable

OPTIONS = Options(app="shop:app")


class Fleet:
    """One that swaps and replaces as it is told to, and writes down what it was asked for."""

    def __init__(self, *, moved: bool = True, swap: Exception | None = None, replace: Exception | None = None) -> None:
        self.options = OPTIONS
        self.generation = 1
        self.asked: list[str] = []
        self.gate: anyio.Event | None = None
        self._moved = moved
        self._errors = {"swap": swap, "replace": replace}

    async def swap(self, options: Options, *, everything: bool, progress: Any) -> bool:
        await self._do("swap all" if everything else "swap", options)
        progress(Step("", 1, 4711, "ready", ("shop",), 3))
        progress(Step("", 1, 4711, "swapped", ("shop",), 3))
        return self._moved

    async def replace(self, options: Options, progress: Any) -> None:
        await self._do("replace", options)

    async def _do(self, what: str, options: Options) -> None:
        self.asked.append(what)
        if self.gate is not None:
            await self.gate.wait()
        error = self._errors[what.partition(" ")[0]]
        if error is not None:
            raise error
        self.options = options
        self.generation += 1


class Change:
    """What the daemon itself holds, and has prepared for the new options."""

    def __init__(self, told: list[Any]) -> None:
        self._told = told

    async def commit(self) -> None:
        self._told.append("commit")

    def revert(self) -> None:
        self._told.append("revert")


class Host:
    unreloadable = ""

    def __init__(self) -> None:
        self.told: list[Any] = []

    def reload_begins(self) -> None:
        self.told.append("begins")

    def reload_is_impossible(self) -> None:
        self.told.append("impossible")

    def prepare(self, options: Options) -> Change:
        return Change(self.told)

    def reload_ends(self, outcome: Outcome) -> None:
        self.told.append(outcome.road)


class Loaded:
    def __init__(self, options: Options) -> None:
        self.options = options


def reloading(test: Any, fleet: Fleet, *configurations: Options | Exception, host: Host | None = None) -> None:
    """Run *test* with a Reloading; each reload reads the next configuration."""
    left = list(configurations)

    def read() -> Any:
        found = left.pop(0) if left else OPTIONS
        if isinstance(found, Exception):
            raise found
        return Loaded(found)

    async def run() -> None:
        with anyio.fail_after(5):
            async with anyio.create_task_group() as group:
                await test(Reloading(group, host or Host(), fleet, read))  # type: ignore[arg-type]

    anyio.run(run)


def outcome(fleet: Fleet, *configurations: Options | Exception, host: Host | None = None, **wishes: bool) -> Outcome:
    found: list[Outcome] = []

    async def test(reloads: Reloading) -> None:
        found.append(await reloads.reload(**wishes))
        assert reloads.last is found[0] or (host or Host()).unreloadable
        assert not reloads.running

    reloading(test, fleet, *configurations, host=host)
    return found[0]


def test_code_that_changed_is_swapped_and_each_process_is_told_of_once() -> None:
    fleet = Fleet()
    came_to = outcome(fleet)
    assert (came_to.road, came_to.generation, fleet.asked) == (Road.SWAPPED, 2, ["swap"])
    assert [(step.number, step.result) for step in came_to.steps] == [(1, "swapped")]


def test_nothing_to_do_is_said() -> None:
    assert outcome(Fleet(moved=False)).road is Road.UNCHANGED


def test_everything_is_passed_on() -> None:
    fleet = Fleet()
    outcome(fleet, everything=True)
    assert fleet.asked == ["swap all"]


@pytest.mark.parametrize(
    ("options", "wishes", "why"),
    [
        (OPTIONS, {"replace": True}, "asked for"),
        (replace(OPTIONS, threads=9), {}, "changed options need new processes: threads"),
        (replace(OPTIONS, reload=replace(OPTIONS.reload, in_place=False)), {}, "reload.in_place is off"),
    ],
    ids=["asked", "option", "off"],
)
def test_new_processes_come_where_they_must(options: Options, wishes: dict[str, bool], why: str) -> None:
    fleet = Fleet()
    came_to = outcome(fleet, options, **wishes)
    assert (came_to.road, came_to.why, fleet.asked) == (Road.REPLACED, why, ["replace"])
    assert fleet.options == options


def test_what_cannot_be_swapped_is_replaced() -> None:
    fleet = Fleet(swap=Unable("a C extension"))
    came_to = outcome(fleet)
    assert (came_to.road, came_to.why, fleet.asked) == (Road.REPLACED, "a C extension", ["swap", "replace"])


def test_a_live_option_needs_no_new_processes() -> None:
    fleet = Fleet(moved=False)
    came_to = outcome(fleet, replace(OPTIONS, graceful_timeout=5.0))
    assert (came_to.changed.live, fleet.asked) == (("graceful_timeout",), ["swap"])
    assert fleet.options.graceful_timeout == 5.0


def test_an_option_that_needs_a_restart_keeps_its_value_and_is_named() -> None:
    fleet = Fleet()
    came_to = outcome(fleet, replace(OPTIONS, pidfile="/run/other.pid", graceful_timeout=5.0))
    assert came_to.changed.restart == ("pidfile",)
    assert (fleet.options.pidfile, fleet.options.graceful_timeout) == (OPTIONS.pidfile, 5.0)


def test_a_broken_configuration_is_refused_and_stays_visible_until_a_good_one() -> None:
    fleet, host = Fleet(), Host()

    async def test(reloads: Reloading) -> None:
        refused = await reloads.reload()
        assert (refused.road, refused.problems) == (Road.REFUSED, ("sys.toml: worker is no option",))
        assert reloads.failure is refused
        await reloads.reload()
        assert reloads.failure is None

    reloading(test, fleet, ConfigError(["sys.toml: worker is no option"]), OPTIONS, host=host)
    assert host.told == ["begins", Road.REFUSED, "begins", "commit", Road.SWAPPED]
    assert fleet.asked == ["swap"]


@pytest.mark.parametrize(
    "fleet",
    [
        Fleet(swap=SupervisionError("Traceback (most recent call last):\nValueError: no")),
        Fleet(swap=Unable("x"), replace=SupervisionError("Traceback (most recent call last):\nValueError: no")),
    ],
    ids=["swap", "replace"],
)
def test_code_that_fails_is_refused_with_its_traceback(fleet: Fleet) -> None:
    host = Host()
    came_to = outcome(fleet, host=host)
    assert (came_to.road, came_to.why, came_to.generation) == (Road.REFUSED, "ValueError: no", 1)
    assert host.told == ["begins", "revert", Road.REFUSED]
    assert came_to.problems == ("Traceback (most recent call last):\nValueError: no",)


def test_a_server_that_is_about_to_end_is_not_reloaded() -> None:
    host, fleet = Host(), Fleet()
    host.unreloadable = "the daemon is about to end"
    came_to = outcome(fleet, host=host)
    assert (came_to.road, came_to.why) == (Road.REFUSED, "the daemon is about to end")
    assert came_to.at > 0
    assert (fleet.asked, host.told) == ([], ["impossible"])


def test_those_who_ask_meanwhile_share_the_next_one_which_does_what_any_of_them_wants() -> None:
    fleet = Fleet()

    async def test(reloads: Reloading) -> None:
        fleet.gate = anyio.Event()
        results: list[Outcome] = []

        async def ask(**wishes: bool) -> None:
            results.append(await reloads.reload(**wishes))

        async with anyio.create_task_group() as group:
            group.start_soon(ask)
            while not fleet.asked:
                await anyio.lowlevel.checkpoint()
            group.start_soon(ask)
            group.start_soon(lambda: ask(everything=True))
            await anyio.lowlevel.checkpoint()
            fleet.gate.set()
        assert fleet.asked == ["swap", "swap all"]
        assert [result.generation for result in results] == [2, 3, 3]
        assert results[1] is results[2]

    reloading(test, fleet)


def test_a_reload_goes_on_when_nobody_waits_for_it_any_more() -> None:
    fleet = Fleet()

    async def test(reloads: Reloading) -> None:
        fleet.gate = anyio.Event()
        async with anyio.create_task_group() as group:
            group.start_soon(reloads.reload)
            while not fleet.asked:
                await anyio.lowlevel.checkpoint()
            group.cancel_scope.cancel()
        fleet.gate.set()
        while reloads.running:
            await anyio.lowlevel.checkpoint()
        assert fleet.generation == 2

    reloading(test, fleet)
