"""The pool: each rule by an example, then all of them at once against random histories."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from hornbeamd.config.options import Options
from hornbeamd.supervisor import pool as pools
from hornbeamd.supervisor.actions import (
    Action,
    Drain,
    Dump,
    GiveUp,
    Hold,
    Kill,
    Proven,
    Quit,
    Reverted,
    Settled,
    Start,
)
from hornbeamd.supervisor.intensity import Intensity
from hornbeamd.supervisor.pool import Pool, State


def make_pool(workers: int = 3, *, essential: bool = True, **options) -> Pool:
    chosen = Options(**options)
    intensity = Intensity(chosen.restart_intensity, chosen.restart_period, random=lambda: 0.0)
    return Pool(chosen, intensity, workers, essential=essential)


def serving_pool(workers: int = 3, *, essential: bool = True, **options) -> Pool:
    """A pool after its first boot, at time 0."""
    pool = make_pool(workers, essential=essential, **options)
    for action in pool.plan(0.0):
        pool.ready(action.number, 0.0)
    assert pool.plan(0.0) == [Proven(1)]
    return pool


def numbers(actions: list[Action], kind: type) -> list[int]:
    return [action.number for action in actions if isinstance(action, kind)]


class TestStart:
    def test_all_workers_start_at_once(self) -> None:
        assert make_pool().plan(0.0) == [Start(1, 1), Start(2, 1), Start(3, 1)]

    def test_each_action_is_given_once(self) -> None:
        pool = make_pool()
        pool.plan(0.0)
        assert pool.plan(0.0) == []

    def test_a_worker_that_cannot_boot_ends_a_server_that_never_served(self) -> None:
        pool = make_pool()
        pool.plan(0.0)
        pool.exited(1, "ImportError: x", 1.0)
        assert pool.plan(1.0) == [GiveUp("the first workers could not boot: ImportError: x")]

    def test_a_worker_that_cannot_boot_does_not_end_a_server_that_serves(self) -> None:
        pool = make_pool()
        pool.plan(0.0)
        pool.ready(1, 1.0)
        pool.exited(2, "ImportError: x", 1.0)
        assert pool.plan(1.0) == [Proven(1), Start(2, 1)]

    def test_booting_too_long_ends_in_stacks_and_death(self) -> None:
        pool = make_pool(1, boot_timeout=5.0)
        pool.plan(0.0)
        for now in (2.0, 4.0, 5.0):
            pool.tick(now)
            assert pool.plan(now) == []
        pool.tick(5.5)
        assert pool.plan(5.5) == [Dump(1, "not ready within 5 s"), Kill(1, "not ready within 5 s")]
        pool.exited(1, "SIGKILL", 5.6)
        assert pool.plan(5.6) == [GiveUp("the first workers could not boot: not ready within 5 s")]


class TestSwap:
    def test_while_it_is_frozen_nobody_is_started_and_afterwards_all_that_is_missing(self) -> None:
        pool = serving_pool()
        pool.frozen = True
        pool.exited(2, "SIGKILL", 5.0)
        pool.wear(3, "max_requests")
        assert pool.plan(5.0) == []
        pool.frozen = False
        assert numbers(pool.plan(5.0), Start) == [2, 4]

    def test_while_it_is_frozen_nobody_has_to_go_and_afterwards_who_is_too_many(self) -> None:
        pool = serving_pool()
        pool.frozen = True
        pool.scale(-1)
        assert pool.plan(5.0) == []
        pool.frozen = False
        assert numbers(pool.plan(5.0), Drain) == [3]

    def test_those_that_serve_move_and_nobody_is_replaced_for_it(self) -> None:
        pool = serving_pool()
        pool.scale(-1)
        assert numbers(pool.plan(1.0), Drain) == [3]
        pool.swapped(7)
        assert pool.plan(1.0) == []
        assert {member.number: member.generation for member in pool.members.values()} == {1: 7, 2: 7, 3: 1}
        pool.exited(1, "SIGKILL", 2.0)
        assert pool.plan(2.0) == [Start(1, 7)]

    def test_what_a_reload_that_failed_has_left_does_not_move_and_has_to_go(self) -> None:
        pool = reloading_pool(2)
        pool.plan(1.0)
        pool.plan(1.0)
        pool.exited(4, "startup failed", 2.0)
        pool.plan(2.0)
        pool.frozen = True
        pool.ready(4, 3.0)
        assert pool.plan(3.0) == []
        assert [member.number for member in pool.current] == [2, 4]
        pool.swapped(7)
        pool.frozen = False
        assert numbers(pool.plan(3.0), Drain) == [3]

    def test_new_code_does_not_wait_for_what_the_old_has_done(self) -> None:
        pool = serving_pool(restart_intensity=1)
        pool.exited(1, "SIGSEGV", 0.0)
        pool.exited(2, "SIGSEGV", 0.0)
        assert pool.plan(0.0) == [Hold(1.0)]
        pool.swapped(7)
        assert pool.plan(0.0) == [Start(1, 7), Start(2, 7)]

    def test_who_boots_is_known(self) -> None:
        pool = serving_pool()
        assert not pool.booting
        pool.scale(1)
        pool.plan(1.0)
        assert pool.booting


class TestCrash:
    def test_a_dead_worker_is_replaced_at_once(self) -> None:
        pool = serving_pool()
        pool.exited(2, "SIGKILL", 5.0)
        assert pool.plan(5.0) == [Start(2, 1)]

    def test_an_exit_without_an_error_is_a_death_as_well(self) -> None:
        pool = serving_pool()
        pool.exited(2, "exit 0", 5.0)
        assert pool.plan(5.0) == [Start(2, 1)]

    def test_too_many_deaths_hold_restarts_back_while_others_serve(self) -> None:
        pool = serving_pool(restart_intensity=1)
        pool.exited(1, "SIGKILL", 0.0)
        pool.exited(2, "SIGKILL", 0.0)
        assert pool.plan(0.0) == [Hold(1.0)]
        assert pool.plan(0.5) == []
        assert pool.plan(1.0) == [Start(1, 1), Start(2, 1)]

    def test_too_many_deaths_while_nothing_serves_are_the_end(self) -> None:
        pool = serving_pool(1, restart_intensity=0)
        pool.exited(1, "SIGKILL", 0.0)
        (action,) = pool.plan(0.0)
        assert action == GiveUp("more than 0 workers died within 10 s and none serves; the last one: SIGKILL")

    def test_a_pool_that_the_server_can_do_without_is_tried_again_and_again(self) -> None:
        pool = serving_pool(1, essential=False, restart_intensity=0)
        pool.exited(1, "SIGKILL", 0.0)
        assert pool.plan(0.0) == [Hold(1.0)]
        assert pool.plan(1.0) == [Start(1, 1)]
        pool.exited(1, "ImportError: x", 1.0)
        assert pool.plan(1.0) == [Hold(2.0)]
        assert pool.plan(3.0) == [Start(1, 1)]

    def test_its_first_processes_must_boot_all_the_same(self) -> None:
        pool = make_pool(1, essential=False)
        pool.plan(0.0)
        pool.exited(1, "ImportError: x", 1.0)
        assert pool.plan(1.0) == [GiveUp("the first workers could not boot: ImportError: x")]


class TestReplacement:
    def test_a_worn_worker_drains_when_its_replacement_is_ready_and_not_before(self) -> None:
        pool = serving_pool()
        pool.wear(2, "max_requests")
        assert pool.plan(1.0) == [Start(4, 1)]
        assert pool.plan(2.0) == []
        pool.ready(4, 3.0)
        assert pool.plan(3.0) == [Drain(2, "max_requests", 30.0, 2.0)]

    def test_worn_workers_are_replaced_one_after_the_other(self) -> None:
        pool = serving_pool()
        for number in (1, 2, 3):
            pool.wear(number, "max_requests")
        assert pool.plan(1.0) == [Start(4, 1)]
        pool.ready(4, 1.0)
        assert pool.plan(1.0) == [Drain(1, "max_requests", 30.0, 2.0)]
        assert pool.plan(1.0) == [Start(5, 1)]

    def test_stuck_workers_are_replaced_all_at_once(self) -> None:
        pool = serving_pool()
        for number in (1, 2):
            pool.wear(number, "stuck", stuck=True)
        assert numbers(pool.plan(1.0), Start) == [4, 5]

    def test_a_stuck_worker_goes_before_a_worn_one(self) -> None:
        pool = serving_pool()
        pool.wear(1, "max_requests")
        pool.wear(2, "stuck", stuck=True)
        assert numbers(pool.plan(1.0), Start) == [4, 5]
        pool.ready(5, 1.0)
        assert numbers(pool.plan(1.0), Drain) == [2]

    def test_nobody_asks_about_a_worker_that_drains(self) -> None:
        pool = serving_pool(1)
        pool.leaving(1, 0.0)
        pool.wear(1, "stuck", stuck=True)
        assert pool.plan(0.0) == [Start(2, 1)]

    def test_a_silent_worker_is_killed_when_its_replacement_is_ready(self) -> None:
        pool = serving_pool(1, heartbeat_timeout=2.0)
        pool.tick(0.0)
        pool.tick(2.5)
        assert pool.plan(2.5) == [Dump(1, "no heartbeat for 2.5 s"), Start(2, 1)]
        pool.ready(2, 3.0)
        assert pool.plan(3.0) == [Kill(1, "no heartbeat for 2.5 s")]

    def test_a_silent_worker_that_came_back_drains_instead(self) -> None:
        pool = serving_pool(1, heartbeat_timeout=2.0)
        pool.tick(0.0)
        pool.tick(2.5)
        pool.plan(2.5)
        pool.heard(1, 2.75)
        pool.ready(2, 3.0)
        assert numbers(pool.plan(3.0), Drain) == [1]

    def test_time_in_which_the_supervisor_stood_still_is_nobodys_silence(self) -> None:
        pool = serving_pool(1, heartbeat_timeout=2.0)
        pool.tick(0.0)
        pool.tick(3600.0)
        assert pool.plan(3600.0) == []
        pool.tick(3600.25)
        assert pool.plan(3600.25) == []

    def test_a_worker_that_leaves_by_itself_is_replaced_now(self) -> None:
        pool = serving_pool()
        pool.leaving(1, 5.0)
        assert pool.plan(5.0) == [Start(4, 1)]
        pool.exited(1, "exit 0", 6.0)
        assert pool.plan(6.0) == []

    def test_a_drain_without_end_is_ended(self) -> None:
        pool = serving_pool(1, graceful_timeout=2.0)
        pool.wear(1, "max_requests")
        pool.plan(0.0)
        pool.ready(2, 0.0)
        pool.plan(0.0)
        pool.tick(2.5)
        assert pool.plan(2.5) == []
        pool.tick(3.25)
        assert pool.plan(3.25) == [Dump(1, "did not end in time"), Kill(1, "did not end in time")]


class TestScaling:
    def test_up(self) -> None:
        pool = serving_pool(1)
        assert pool.scale(1) == 2
        assert pool.plan(1.0) == [Start(2, 1)]

    def test_down_takes_the_youngest(self) -> None:
        pool = serving_pool()
        pool.scale(-1)
        assert pool.plan(1.0) == [Drain(3, "fewer workers wanted", 30.0, 2.0)]

    def test_down_takes_a_worn_one_first(self) -> None:
        pool = serving_pool()
        pool.wear(1, "max_requests")
        pool.scale(-1)
        assert numbers(pool.plan(1.0), Drain) == [1]

    def test_never_below_one(self) -> None:
        assert serving_pool(1).scale(-1) == 1


def reloading_pool(workers: int = 3, **options) -> Pool:
    """A pool that moves to generation 2: its canary serves and it was told to proceed, at time 1."""
    pool = serving_pool(workers, **options)
    pool.replace(2)
    (canary,) = pool.plan(1.0)
    pool.ready(canary.number, 1.0)
    assert pool.plan(1.0) == [Proven(2)]
    pool.proceed()
    return pool


class TestReload:
    def test_a_canary_goes_first_and_all_wait_until_it_goes_on(self) -> None:
        pool = serving_pool(2)
        pool.replace(2)
        assert pool.plan(1.0) == [Start(3, 2)]
        pool.ready(3, 1.0)
        assert pool.plan(1.0) == [Proven(2)]
        assert pool.plan(2.0) == []
        assert pool.generations == {1, 2}

    def test_then_all_follow_one_by_one(self) -> None:
        pool = reloading_pool(2)
        assert numbers(pool.plan(1.0), Drain) == [1]
        assert pool.plan(1.0) == [Start(4, 2)]
        pool.ready(4, 1.0)
        assert pool.plan(1.0) == [Drain(2, "reload", 30.0, 2.0)]
        pool.closed(1)
        assert pool.plan(1.0) == []
        pool.closed(2)
        assert pool.plan(1.0) == [Settled(2)]
        pool.exited(1, "exit 0", 2.0)
        assert pool.generations == {1, 2}
        pool.exited(2, "exit 0", 2.0)
        assert pool.plan(2.0) == []
        assert pool.generations == {2}

    def test_a_canary_that_fails_leaves_the_old_workers_alone(self) -> None:
        pool = serving_pool(2)
        pool.replace(2)
        pool.plan(1.0)
        pool.exited(3, "ImportError: x", 2.0)
        assert pool.plan(2.0) == [Reverted(2, "ImportError: x")]
        assert [member.number for member in pool.serving] == [1, 2]
        assert pool.generations == {1}

    def test_new_processes_have_the_time_to_boot_that_comes_with_them(self) -> None:
        pool = serving_pool(1, boot_timeout=5.0)
        pool.replace(2, boot_timeout=20.0)
        pool.plan(1.0)
        pool.tick(20.5)
        assert pool.plan(20.5) == []
        pool.tick(21.5)
        assert Kill(2, "not ready within 20 s") in pool.plan(21.5)
        pool.exited(2, "SIGKILL", 22.0)
        pool.exited(1, "SIGKILL", 22.0)
        pool.plan(22.0)
        for now in (26.5, 27.5):
            pool.tick(now)
        assert numbers(pool.plan(27.5), Kill) == [1]

    def test_until_it_goes_on_vacancies_are_filled_with_the_old_code(self) -> None:
        pool = serving_pool(2)
        pool.replace(2)
        pool.plan(1.0)
        pool.exited(1, "SIGKILL", 2.0)
        assert pool.plan(2.0) == [Start(1, 1)]
        pool.ready(3, 3.0)
        pool.exited(2, "SIGKILL", 3.0)
        assert pool.plan(3.0) == [Proven(2), Start(2, 1)]

    def test_until_it_goes_on_stuck_workers_are_replaced_with_the_old_code(self) -> None:
        pool = serving_pool(1)
        pool.replace(2)
        assert pool.plan(1.0) == [Start(2, 2)]
        pool.wear(1, "stuck", stuck=True)
        assert numbers(pool.plan(1.0), Start) == [3]
        assert pool.members[3].generation == 1

    def test_a_canary_that_dies_later_is_replaced_by_another(self) -> None:
        pool = serving_pool(2)
        pool.replace(2)
        pool.plan(1.0)
        pool.ready(3, 1.0)
        pool.plan(1.0)
        pool.exited(3, "SIGKILL", 2.0)
        assert pool.plan(2.0) == [Start(3, 2)]
        pool.ready(3, 3.0)
        assert pool.plan(3.0) == []

    def test_scaling_down_meanwhile_spares_the_canary(self) -> None:
        pool = serving_pool(2)
        pool.replace(2)
        pool.plan(1.0)
        pool.ready(3, 1.0)
        pool.scale(-1)
        assert pool.plan(1.0) == [Proven(2), Drain(2, "fewer workers wanted", 30.0, 2.0)]
        assert pool.plan(2.0) == []

    def test_as_soon_as_it_goes_on_vacancies_are_filled_with_the_new_code(self) -> None:
        pool = reloading_pool(3)
        pool.plan(1.0)
        pool.exited(3, "SIGKILL", 2.0)
        assert Start(3, 2) in pool.plan(2.0)

    def test_a_later_worker_that_fails_brings_the_old_generation_back(self) -> None:
        pool = reloading_pool(2)
        pool.plan(1.0)
        pool.plan(1.0)
        pool.exited(4, "startup failed", 2.0)
        assert pool.plan(2.0) == [Reverted(2, "startup failed"), Start(4, 1)]
        pool.ready(4, 3.0)
        assert numbers(pool.plan(3.0), Drain) == [3]

    def test_a_failure_elsewhere_brings_it_back_as_well(self) -> None:
        pool = serving_pool(2)
        pool.replace(2)
        pool.plan(1.0)
        pool.go_back(1, 2.0)
        assert pool.plan(2.0) == [Quit(3, "reload failed")]

    def test_even_a_reload_that_is_complete_can_be_taken_back(self) -> None:
        pool = reloading_pool(1)
        assert numbers(pool.plan(1.0), Drain) == [1]
        pool.exited(1, "exit 0", 1.0)
        assert pool.plan(1.0) == [Settled(2)]
        pool.go_back(1, 2.0)
        assert pool.plan(2.0) == [Start(1, 1)]
        pool.ready(1, 3.0)
        assert numbers(pool.plan(3.0), Drain) == [2]
        pool.exited(2, "exit 0", 3.0)
        assert pool.generations == {1}

    def test_to_go_back_to_where_it_is_changes_nothing(self) -> None:
        pool = serving_pool(1)
        pool.scale(1)
        pool.plan(1.0)
        pool.go_back(1, 1.0)
        assert pool.plan(1.0) == []

    def test_a_reload_is_not_complete_while_workers_are_missing(self) -> None:
        pool = reloading_pool(2, restart_intensity=0)
        pool.plan(1.0)
        pool.exited(2, "SIGKILL", 1.0)  # the last old one, and the first death: restarts pause
        assert pool.plan(1.0) == [Hold(1.0)]
        assert pool.plan(2.0) == [Start(2, 2)]
        pool.closed(1)
        pool.ready(2, 3.0)
        assert Settled(2) in pool.plan(3.0)

    def test_a_reload_does_not_wait_for_a_pause_that_the_old_code_has_earned(self) -> None:
        pool = serving_pool(2, restart_intensity=0)
        pool.exited(1, "SIGKILL", 0.0)
        assert pool.plan(0.0) == [Hold(1.0)]
        pool.replace(2)
        assert Start(3, 2) in pool.plan(0.0)


class TestEnd:
    def test_stop_drains_those_that_serve_and_ends_those_that_boot(self) -> None:
        pool = serving_pool(2)
        pool.scale(1)
        pool.plan(0.0)
        pool.stop(1.0)
        assert pool.plan(1.0) == [
            Drain(1, "shutdown", 30.0, pools.STOP_IDLE),
            Drain(2, "shutdown", 30.0, pools.STOP_IDLE),
            Quit(3, "shutdown"),
        ]

    def test_there_may_be_less_time_than_usual(self) -> None:
        pool = serving_pool(1)
        pool.stop(1.0, within=5.0, why="no longer configured")
        assert pool.plan(1.0) == [Drain(1, "no longer configured", 5.0, pools.STOP_IDLE)]
        pool.tick(6.5 + pools.LAST_SECOND)
        assert numbers(pool.plan(7.0), Kill) == [1]

    def test_nobody_is_replaced_any_more(self) -> None:
        pool = serving_pool(2)
        pool.stop(1.0)
        pool.plan(1.0)
        pool.exited(1, "SIGKILL", 2.0)
        assert pool.plan(2.0) == []

    def test_quit_overtakes_stop(self) -> None:
        pool = serving_pool(1)
        pool.stop(1.0)
        pool.plan(1.0)
        pool.quit(2.0)
        assert pool.plan(2.0) == [Quit(1, "shutdown at once")]
        pool.tick(2.0 + pools.QUIT_TIMEOUT + 0.25)
        assert numbers(pool.plan(5.0), Kill) == [1]


class TestEndings:
    """What each end is counted as."""

    def counted(self, pool: Pool) -> dict[str, int]:
        return {str(ending): number for ending, number in pool.endings.items() if number}

    def test_one_that_dies_unasked(self) -> None:
        pool = serving_pool(2)
        pool.exited(1, "SIGSEGV", 1.0)
        (start,) = pool.plan(1.0)
        pool.exited(start.number, "ImportError", 2.0)
        assert self.counted(pool) == {"crash": 1, "boot": 1}

    def test_one_that_is_replaced(self) -> None:
        for why, ending in [
            ("max_requests", "max_requests"),
            ("max_memory: it holds 9 bytes", "max_memory"),
            ("an operator says so", "recycle"),
        ]:
            pool = serving_pool(1)
            pool.wear(1, why)
            pool.ready(numbers(pool.plan(1.0), Start)[0], 1.0)
            assert numbers(pool.plan(1.0), Drain) == [1]
            pool.exited(1, "exit 0", 2.0)
            assert self.counted(pool) == {ending: 1}

    def test_one_that_is_stuck(self) -> None:
        pool = serving_pool(2)
        pool.wear(1, "all threads hang", stuck=True)
        pool.plan(1.0)
        pool.exited(1, "SIGKILL", 2.0)
        assert self.counted(pool) == {"stuck": 1}

    def test_one_that_leaves_by_itself(self) -> None:
        pool = serving_pool(2)
        pool.leaving(1, 1.0)
        pool.exited(1, "exit 0", 1.5)
        assert self.counted(pool) == {"signal": 1}

    def test_one_too_many(self) -> None:
        pool = serving_pool(2)
        pool.scale(-1)
        (drained,) = numbers(pool.plan(1.0), Drain)
        pool.exited(drained, "exit 0", 1.5)
        assert self.counted(pool) == {"scale": 1}

    def test_old_and_failed_new_code(self) -> None:
        pool = serving_pool(1)
        pool.replace(2)
        (canary,) = numbers(pool.plan(1.0), Start)
        pool.go_back(1, 1.5)
        pool.exited(canary, "exit 0", 1.5)
        pool.replace(3)
        (canary,) = numbers(pool.plan(2.0), Start)
        pool.ready(canary, 2.5)
        pool.proceed()
        assert numbers(pool.plan(2.5), Drain) == [1]
        pool.exited(1, "exit 0", 3.0)
        assert self.counted(pool) == {"reload": 2}

    def test_the_end_of_the_server(self) -> None:
        pool = make_pool(2)
        pool.plan(0.0)
        pool.ready(1, 0.5)
        pool.stop(1.0)
        pool.exited(1, "exit 0", 1.5)
        pool.quit(2.0)
        pool.exited(2, "SIGQUIT", 2.0)
        assert self.counted(pool) == {"shutdown": 2}


class PoolMachine(RuleBasedStateMachine):
    """Random events; the model is the set of processes that the pool's actions would have made.

    The reloads are as in a fleet: others may fail at any time, also when this pool has settled.
    """

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.pool = make_pool(3, restart_intensity=5)
        self.before: int | None = None
        self.stage: type | None = None
        self.alive: dict[int, str] = {}
        self.closed: set[int] = set()
        self.spawners = {1}
        self.latest = 1
        self.over = False
        self.most_wanted = self.pool.wanted
        self.carry_out()

    def carry_out(self) -> None:
        for action in self.pool.plan(self.now):
            match action:
                case Start(number, generation):
                    assert number not in self.alive
                    assert generation in self.spawners
                    self.alive[number] = "booting"
                case Drain(number):
                    assert self.alive[number] == "serving"
                    self.alive[number] = "ending"
                    if action.why not in ("shutdown", "shutdown at once"):
                        # Replacement first: whoever is told to go leaves enough behind.
                        assert self.count("serving") >= self.pool.wanted
                case Quit(number) | Kill(number):
                    assert number in self.alive
                    self.alive[number] = "ending"
                case Dump(number):
                    assert number in self.alive
                case Proven() | Settled():
                    self.stage = type(action)
                    letting_in = {number for number in self.alive if number not in self.closed}
                    if type(action) is Settled:
                        assert {self.pool.members[number].generation for number in letting_in} == {self.latest}
                case Reverted():
                    assert self.pool.generation == self.before
                    self.before = None
                case GiveUp():
                    assert all(member.stuck for member in self.pool.serving)
                    self.over = True
        if self.before is None:
            self.spawners &= self.pool.generations

    def count(self, state: str) -> int:
        return sum(each == state for each in self.alive.values())

    def some(self, data: st.DataObject, *states: str) -> int:
        return data.draw(st.sampled_from(sorted(n for n, state in self.alive.items() if state in states)))

    @precondition(lambda self: not self.over and self.count("booting"))
    @rule(data=st.data())
    def boots(self, data: st.DataObject) -> None:
        number = self.some(data, "booting")
        self.alive[number] = "serving"
        self.pool.ready(number, self.now)
        self.carry_out()

    @precondition(lambda self: not self.over and self.alive)
    @rule(data=st.data())
    def dies(self, data: st.DataObject) -> None:
        number = self.some(data, "booting", "serving", "ending")
        del self.alive[number]
        self.closed.discard(number)
        self.pool.exited(number, "SIGKILL", self.now)
        self.carry_out()

    @precondition(lambda self: not self.over and self.count("ending"))
    @rule(data=st.data())
    def closes(self, data: st.DataObject) -> None:
        number = self.some(data, "ending")
        self.closed.add(number)
        self.pool.closed(number)
        self.carry_out()

    @precondition(lambda self: not self.over and self.count("serving"))
    @rule(data=st.data(), stuck=st.booleans())
    def wears(self, data: st.DataObject, stuck: bool) -> None:
        self.pool.wear(self.some(data, "serving"), "worn", stuck=stuck)
        self.carry_out()

    @precondition(lambda self: not self.over)
    @rule(by=st.sampled_from([-1, 1]))
    def scales(self, by: int) -> None:
        self.most_wanted = max(self.most_wanted, self.pool.scale(by))
        self.carry_out()

    @precondition(lambda self: not self.over and self.before is None and self.count("serving"))
    @rule()
    def reloads(self) -> None:
        self.latest += 1
        self.spawners.add(self.latest)
        self.before, self.stage = self.pool.generation, None
        self.pool.replace(self.latest)
        self.carry_out()

    @precondition(lambda self: not self.over and self.before is not None and self.stage is not None)
    @rule()
    def goes_on(self) -> None:
        if self.stage is Proven:
            self.pool.proceed()
        else:
            self.before = None
        self.carry_out()

    @precondition(lambda self: not self.over and self.before is not None)
    @rule()
    def another_pool_fails(self) -> None:
        self.pool.go_back(self.before, self.now)
        self.before = None
        self.carry_out()

    @rule(seconds=st.sampled_from([0.25, 1.0, 2.5]))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds
        for number, state in self.alive.items():
            if state == "serving":
                self.pool.heard(number, self.now)
        self.pool.tick(self.now)
        self.carry_out()

    @invariant()
    def the_pool_knows_exactly_the_living(self) -> None:
        assert set(self.pool.members) == set(self.alive)

    @invariant()
    def there_are_never_many_more_than_wanted(self) -> None:
        stuck = sum(member.stuck for member in self.pool.members.values())
        serving = sum(member.state is State.SERVING for member in self.pool.members.values())
        canary = self.before is not None and self.stage is not Settled
        assert serving <= self.pool.wanted + canary or self.over
        assert self.count("booting") <= self.most_wanted + stuck + 2

    @invariant()
    def every_living_worker_has_its_spawner(self) -> None:
        assert {member.generation for member in self.pool.members.values()} <= self.spawners

    def teardown(self) -> None:
        """Left alone for long enough, any pool that goes on has what is wanted, and nothing else."""
        for _ in range(200):
            if self.over or self.settled:
                return
            for number, state in list(self.alive.items()):
                if state == "ending":
                    del self.alive[number]
                    self.closed.discard(number)
                    self.pool.exited(number, "exit 0", self.now)
                elif state == "booting":
                    self.alive[number] = "serving"
                    self.pool.ready(number, self.now)
                else:
                    self.pool.heard(number, self.now)
            self.carry_out()
            if self.before is not None and self.stage is not None:
                self.goes_on()
            self.now += 2.0
            self.pool.tick(self.now)
            self.carry_out()
        raise AssertionError(f"it does not come to rest: {self.pool}")

    @property
    def settled(self) -> bool:
        return (
            list(self.alive.values()) == ["serving"] * self.pool.wanted
            and all(each.generation == self.pool.generation and not each.worn for each in self.pool.serving)
            and self.spawners == {self.pool.generation}
            and self.pool.previous is None
        )


TestPoolMachine = PoolMachine.TestCase
TestPoolMachine.settings = settings(max_examples=100, stateful_step_count=30, deadline=None)
