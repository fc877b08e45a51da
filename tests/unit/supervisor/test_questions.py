"""Questions over a channel: answered, refused, too late, never; and at most so many at once."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from hornbeamd.control import codes
from hornbeamd.errors import ControlError
from hornbeamd.supervisor.questions import MOST, Questions

LONG = 60.0


class Other:
    """The process at the other end, which does with each question what *react* does."""

    def __init__(self, react: Any) -> None:
        self.sent: list[dict[str, Any]] = []
        self.questions = Questions("worker 3", self.send)
        self._react = react

    def send(self, message: dict[str, Any]) -> None:
        self.sent.append(message)
        self._react(self.questions, message)


def asked(react: Any, timeout: float = LONG) -> Any:
    other = Other(react)
    try:
        return anyio.run(lambda: other.questions.ask("stacks", timeout, deep=True))
    finally:
        assert [(each["do"], each["what"], each["deep"]) for each in other.sent] == [("ask", "stacks", True)]


def test_an_answer_goes_to_the_question_with_its_number() -> None:
    def react(questions: Questions, message: dict[str, Any]) -> None:
        questions.hear({"event": "answer", "id": message["id"] + 1, "answer": {"whose": "of another"}})
        questions.hear({"event": "answer", "id": message["id"], "answer": {"whose": "its own"}})

    assert asked(react) == {"whose": "its own"}


def test_a_refusal_arrives_with_its_code() -> None:
    def react(questions: Questions, message: dict[str, Any]) -> None:
        questions.hear({"event": "answer", "id": message["id"], "error": "no", "code": codes.DENIED})

    with pytest.raises(ControlError, match=r"^no$") as error:
        asked(react)
    assert error.value.code == codes.DENIED


def test_the_end_of_the_process_ends_the_wait() -> None:
    with pytest.raises(ControlError, match="worker 3 ended before it answered"):
        asked(lambda questions, message: questions.end())


def test_who_has_ended_is_not_waited_for() -> None:
    other = Other(lambda questions, message: None)
    other.questions.end()
    with pytest.raises(ControlError, match="worker 3 ended before it answered"):
        anyio.run(other.questions.ask, "stacks", LONG)


def test_silence_is_told_as_such_and_a_late_answer_disturbs_nobody() -> None:
    late = []
    with pytest.raises(ControlError, match=r"did not answer within 0\.01 s") as error:
        asked(lambda questions, message: late.append((questions, message)), timeout=0.01)
    assert error.value.code == codes.TIMED_OUT
    ((questions, message),) = late
    questions.hear({"event": "answer", "id": message["id"], "answer": {}})


def test_there_is_a_bound() -> None:
    async def ask() -> None:
        other = Other(lambda questions, message: None)
        async with anyio.create_task_group() as group:
            for _ in range(MOST):
                group.start_soon(other.questions.ask, "status", LONG)
            await anyio.wait_all_tasks_blocked()
            with pytest.raises(ControlError, match="too many questions"):
                await other.questions.ask("status", LONG)
            assert len(other.sent) == MOST
            group.cancel_scope.cancel()

    anyio.run(ask)
