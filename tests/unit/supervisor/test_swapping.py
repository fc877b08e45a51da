"""A swap over several processes: they look, one tries, all prepare, all commit; or everything is as it was."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from hornbeamd.config.options import Options
from hornbeamd.errors import ControlError, SupervisionError
from hornbeamd.supervisor.outcome import Step
from hornbeamd.supervisor.swapping import Swap, Unable


class Process:
    """A process that answers each question with what *answers* has for it, and writes it down."""

    def __init__(self, number: int, journal: list[str], pool: str = "", **answers: Any) -> None:
        self.number, self.pool, self.pid = number, pool, 1000 + number
        self.dead = anyio.Event()
        self.questions = self
        self.told: dict[str, int | None] = {}
        """The generation that was named in each question."""
        self._journal = journal
        self._answers = {
            "look": {"modules": ["app"]},
            "prepare": {"modules": ["app"], "signs": {"app": "1"}},
            **answers,
        }

    def __str__(self) -> str:
        return f"worker {self.number}"

    def how(self) -> str:
        return "exit 9"

    async def ask(self, what: str, timeout: float, **about: Any) -> Any:
        await anyio.lowlevel.checkpoint()
        self._journal.append(f"{what} {self.pool}{self.number}")
        self.told[what] = about.get("generation")
        answer = self._answers.get(what, {})
        if callable(answer):
            answer(self)
        return answer.pop(0) if isinstance(answer, list) else answer


def die(process: Process) -> None:
    process.dead.set()
    raise ControlError("it ended")


def swap(
    *processes: Process,
    journal: list[str],
    attempt: Callable[[str], None] = lambda pool: None,
    tried: Sequence[str] = (),
    others: bool = False,
) -> Any:
    """Swap; the trials load the texts *tried* of a module, one after the other, and then always the same."""
    steps: list[Step] = []
    signs = list(tried)

    async def trial(pool: str, modules: Sequence[str]) -> dict[str, str]:
        journal.append(" ".join(("try", *filter(None, (pool,)), *modules)))
        attempt(pool)
        return {"app": signs.pop(0)} if signs else {}

    one = Swap(6, 7, Options(), others=others, everything=False, attempt=trial, progress=steps.append)
    return anyio.run(one.run, processes), [(step.number, step.result) for step in steps]


def test_all_look_one_tries_all_prepare_and_then_all_commit() -> None:
    journal: list[str] = []
    first = Process(1, journal)
    moved, steps = swap(first, Process(2, journal), Process(1, journal, "models"), journal=journal)
    assert moved
    assert first.told["prepare"] == 7
    assert journal[:8] == ["look 1", "look 2", "look models1", "try app", "try models app",
                           *(f"prepare {n}" for n in (1, 2)), "prepare models1"]  # fmt: skip
    assert sorted(journal[8:]) == ["commit 1", "commit 2", "commit models1"]
    assert steps == [(1, "ready"), (2, "ready"), (1, "ready"), (1, "swapped"), (2, "swapped"), (1, "swapped")]


def test_where_nothing_changed_nothing_is_done() -> None:
    journal: list[str] = []
    moved, steps = swap(Process(1, journal, look={"modules": []}), journal=journal)
    assert (moved, journal, steps) == (False, ["look 1"], [])


def test_where_no_code_has_changed_nothing_is_tried_and_other_options_are_taken_over() -> None:
    journal: list[str] = []
    process = Process(1, journal, look={"modules": []}, prepare={"modules": [], "signs": {"app": "1"}})
    moved, steps = swap(process, journal=journal, others=True)
    assert process.told["prepare"] == 6
    assert not moved
    assert journal == ["look 1", "prepare 1", "commit 1"]
    assert steps[-1] == (1, "unchanged")


def test_a_pool_that_runs_none_of_what_changed_is_not_tried() -> None:
    journal: list[str] = []
    same = {"look": {"modules": []}, "prepare": {"modules": [], "signs": {"app": "1"}}}
    swap(Process(1, journal), Process(1, journal, "models", **same), journal=journal)
    assert [each for each in journal if each.startswith("try")] == ["try app"]


def test_what_any_process_of_a_pool_would_load_anew_is_tried() -> None:
    journal: list[str] = []
    late = {"look": {"modules": ["app", "views"]}}
    swap(Process(1, journal), Process(2, journal, **late), journal=journal)
    assert [each for each in journal if each.startswith("try")] == ["try app views"]


def test_what_cannot_be_exchanged_is_tried_before_new_processes_come() -> None:
    journal: list[str] = []
    unable = {"look": {"unable": "Django", "modules": ["views"]}}
    with pytest.raises(Unable, match="Django"):
        swap(Process(1, journal, **unable), journal=journal)
    assert journal == ["look 1", "try views"]

    def fail(pool: str) -> None:
        raise SupervisionError("SyntaxError: invalid syntax")

    with pytest.raises(SupervisionError, match="invalid syntax"):
        swap(Process(1, journal, **unable), journal=journal, attempt=fail)


def test_one_that_cannot_has_nobody_prepare() -> None:
    journal: list[str] = []
    with pytest.raises(Unable, match="a C extension"):
        swap(Process(1, journal), Process(2, journal, look={"unable": "a C extension"}), journal=journal)
    assert journal == ["look 1", "look 2", "try app"]


def test_code_that_fails_its_trial_touches_nobody() -> None:
    def fail(pool: str) -> None:
        raise SupervisionError("SyntaxError: invalid syntax")

    journal: list[str] = []
    with pytest.raises(SupervisionError, match="invalid syntax") as error:
        swap(Process(1, journal), journal=journal, attempt=fail)
    assert not isinstance(error.value, Unable)
    assert journal == ["look 1", "try app"]


@pytest.mark.parametrize(
    ("prepare", "why"),
    [({"unable": "Duplicated timeseries"}, "Duplicated timeseries"), (die, "worker 2 ended meanwhile: exit 9")],
    ids=["fails", "dies"],
)
def test_when_one_fails_all_are_reverted_and_new_processes_may_be_able(prepare: Any, why: str) -> None:
    journal: list[str] = []
    with pytest.raises(Unable, match=why):
        swap(Process(1, journal), Process(2, journal, prepare=prepare), Process(3, journal), journal=journal)
    assert "prepare 3" not in journal
    assert sorted(journal[-3:]) == ["revert 1", "revert 2", "revert 3"]
    assert not any(each.startswith("commit") for each in journal)


def test_those_who_die_before_they_touch_the_new_code_are_no_reason_to_refuse_it() -> None:
    journal: list[str] = []
    third = Process(3, journal)
    processes = (Process(1, journal), Process(2, journal, look=die), third)
    moved, steps = swap(*processes, journal=journal, attempt=lambda pool: third.dead.set())
    assert moved
    assert [each for each in journal if each.startswith("prepare")] == ["prepare 1"]
    assert steps[-1] == (1, "swapped")


def test_when_all_have_died_new_processes_come_for_nobody_is_left_who_has_moved() -> None:
    journal: list[str] = []
    with pytest.raises(Unable, match="all processes ended"):
        swap(Process(1, journal, look=die), journal=journal)
    one = Process(1, journal)
    with pytest.raises(Unable, match="all processes ended"):
        swap(one, journal=journal, attempt=lambda pool: one.dead.set())
    assert not any(each.startswith(("prepare", "commit")) for each in journal)


def loaded(*signs: str) -> dict[str, Any]:
    """Answers of one that has loaded these texts, one after the other, of a module; the other is what it was."""
    return {"prepare": [{"modules": ["app"], "signs": {"app": sign, "kept": "0"}} for sign in signs]}


def test_a_file_that_changes_between_one_and_the_next_is_loaded_once_more_by_all() -> None:
    journal: list[str] = []
    moved, steps = swap(
        Process(1, journal, **loaded("1", "2")), Process(2, journal, **loaded("2", "2")), journal=journal
    )
    assert moved
    assert journal[3:5] == ["prepare 1", "prepare 2"]
    assert sorted(journal[5:7]) == ["revert 1", "revert 2"]
    assert journal[7:12] == ["look 1", "look 2", "try app", "prepare 1", "prepare 2"]
    assert steps[-2:] == [(1, "swapped"), (2, "swapped")]


def test_nobody_serves_what_was_saved_after_the_trial() -> None:
    journal: list[str] = []
    moved, _ = swap(Process(1, journal, **loaded("2", "2")), journal=journal, tried="12")
    assert moved
    once = ["look 1", "try app", "prepare 1"]
    assert journal == [*once, "revert 1", *once, "commit 1"]


def test_nobody_serves_what_was_saved_after_the_look() -> None:
    journal: list[str] = []
    look = [{"modules": []}, {"modules": ["app"]}]
    moved, _ = swap(Process(1, journal, look=look), journal=journal, others=True)
    assert moved
    assert journal == ["look 1", "prepare 1", "revert 1", "look 1", "try app", "prepare 1", "commit 1"]


def test_what_changes_between_the_trials_of_two_pools_is_tried_again() -> None:
    journal: list[str] = []
    swap(Process(1, journal), Process(1, journal, "models"), journal=journal, tried="2111")
    assert [each for each in journal if each.startswith("try")] == ["try app", "try models app"] * 2
    assert "revert 1" not in journal


def test_files_that_never_rest_are_not_served() -> None:
    journal: list[str] = []
    with pytest.raises(SupervisionError, match="go on changing"):
        swap(Process(1, journal, **loaded(*"135")), Process(2, journal, **loaded(*"246")), journal=journal)
    assert sorted(journal[-2:]) == ["revert 1", "revert 2"]
    assert not any(each.startswith("commit") for each in journal)


def test_one_that_dies_when_all_are_prepared_holds_up_nobody() -> None:
    journal: list[str] = []
    moved, _ = swap(Process(1, journal, commit=die), Process(2, journal), journal=journal)
    assert moved
    assert "commit 2" in journal
