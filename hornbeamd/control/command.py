"""What a command is: one row of the table in ``commands.py``."""

from __future__ import annotations

from hornbeamd.control import codes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from hornbeamd.control.arguments import Argument

LOOK = "look"
"""Changes nothing; ``control.group_may`` can leave a group this alone."""
CHANGE = "change"

Shape = tuple[tuple[str, tuple[type, ...], str], ...]
"""The keys of an answer: name, types, and what stands there. It has all of these and no others."""


def _lines_of_text(answer: dict[str, Any]) -> list[str]:
    return str(answer["text"]).splitlines()


def _nothing_wrong(answer: dict[str, Any]) -> int:
    return codes.OK


class Command:
    """One row.

    ``operation`` is the method that the daemon answers with; a command without one is answered by the client alone.
    ``access`` is what one must be allowed for it, unless an argument changes something.
    ``show`` makes the lines for people out of an answer, ``step`` a line out of each progress of a command that
    ``streams``. ``code`` says what an answer comes to as an exit code, ``failing`` says when that is not 0.
    """

    __slots__ = (
        "access",
        "answer",
        "arguments",
        "code",
        "details",
        "failing",
        "name",
        "operation",
        "show",
        "step",
        "summary",
    )

    def __init__(
        self,
        name: str,
        summary: str,
        details: str = "",
        *,
        operation: str = "",
        access: str = LOOK,
        arguments: tuple[Argument, ...] = (),
        answer: Shape = (),
        show: Callable[[dict[str, Any]], list[str]] = _lines_of_text,
        step: Callable[[dict[str, Any]], str] | None = None,
        code: Callable[[dict[str, Any]], int] = _nothing_wrong,
        failing: str = "",
    ) -> None:
        self.name = name
        self.summary = summary
        self.details = details
        self.operation = operation
        self.access = access
        self.arguments = arguments
        self.answer = answer
        self.show = show
        self.step = step
        self.code = code
        self.failing = failing

    def access_for(self, arguments: dict[str, Any]) -> str:
        """What one must be allowed to have it done with *arguments*."""
        changes = any(each.changes and arguments.get(each.name) is not None for each in self.arguments)
        return CHANGE if changes else self.access

    @property
    def streams(self) -> bool:
        """Whether it tells how far it is."""
        return self.step is not None

    @property
    def positional(self) -> list[Argument]:
        """The arguments that are told by their place."""
        return [argument for argument in self.arguments if not argument.flag]

    @property
    def usage(self) -> str:
        """The line that shows how it is called."""
        return " ".join((self.name, *(argument.usage for argument in self.arguments)))

    def wrong_with(self, arguments: dict[str, Any]) -> str | None:
        """What is wrong with arguments that came over the socket, or None."""
        known = {argument.name: argument for argument in self.arguments}
        for name in arguments.keys() - known.keys():
            return f"{self.name} takes no argument {name!r}"
        for name, argument in known.items():
            if name not in arguments and argument.required:
                return f"{self.name} needs the argument {name!r}"
            if name in arguments and not argument.fits(arguments[name]):
                return f"{self.name}: {name!r} should be {argument.kind.expected}"
        return None

    def wrong_with_answer(self, answer: dict[str, Any]) -> str | None:
        """In what an answer is not what this row promises, or None."""
        shape = {name: types for name, types, _ in self.answer}
        if odd := answer.keys() ^ shape.keys():
            return f"the answer of {self.name} has, or lacks: {', '.join(sorted(odd))}"
        for name, types in shape.items():
            if not isinstance(answer[name], types):
                return f"in the answer of {self.name}, {name} is {type(answer[name]).__name__}"
        return None
