"""What a kind of values is: how it is read, written back, and described.

A kind reads in two ways. ``read`` takes a value from a file, where a number is a number and text is text;
``parse`` takes text from the environment or a flag. Both give the one value the program works with, and raise
``Unfit``. ``plain`` is the way back: the value as a file would hold it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

Schema = dict[str, Any]
Place = tuple[str | int, ...]
"""Where a part of a value is: ``(1, "timeout")`` is the key ``timeout`` of the second table in a list."""


class Unfit(ValueError):
    """The value is not of this kind; the text, where there is one, says why in a few words."""


class UnfitWithin(Unfit):
    """Parts of the value are not what they should be: ``problems`` holds what is wrong, and where in the value."""

    def __init__(self, problems: list[tuple[Place, str]]) -> None:
        self.problems = problems
        super().__init__("; ".join(text for _, text in problems))


class Kind(ABC):
    """What values an option takes."""

    metavar = "TEXT"

    @property
    def number_unit(self) -> str:
        """What a bare number counts, where that needs saying."""
        return ""

    @property
    @abstractmethod
    def expected(self) -> str:
        """What a right value looks like, to stand behind "expected"."""

    @abstractmethod
    def read(self, value: object) -> Any:
        """Read a value from a file."""

    def parse(self, text: str) -> Any:
        """Read text from the environment or a flag."""
        return self.read(text)

    def plain(self, value: Any) -> Any:
        """Give the value as a file would hold it."""
        return value

    def anchor(self, value: Any, folder: str) -> Any:
        """Make relative paths in the value absolute against ``folder``."""
        return value

    @abstractmethod
    def schema(self) -> Schema:
        """Describe the spellings a file may use, as JSON Schema."""
