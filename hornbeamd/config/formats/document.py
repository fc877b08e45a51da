"""What every format gives: a plain dictionary, and the lines its keys stand in."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

Path = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Document:
    """A configuration file as data: dicts with text keys, lists, text, numbers, booleans and None, nothing
    else.

    ``lines`` holds the line, counted from 1, of each key and of each item of a list, by the path that leads to
    it: texts for keys, numbers from 0 for items.
    """

    data: dict[str, Any]
    lines: dict[Path, int] = field(default_factory=dict)


class SyntaxProblem(ValueError):
    """The text is not of its format. ``line`` and ``column`` count from 1; 0 means that it is not known."""

    def __init__(self, reason: str, line: int = 0, column: int = 0) -> None:
        self.reason = reason
        self.line = line
        self.column = column
        super().__init__(reason)


def position(text: str, offset: int) -> tuple[int, int]:
    """Give the line and the column, both counted from 1, of an offset into ``text``."""
    return text.count("\n", 0, offset) + 1, offset - text.rfind("\n", 0, offset)
