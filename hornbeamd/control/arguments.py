"""What a command's argument can be: how it is read from the command line, and checked where it arrives."""

from __future__ import annotations

import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

REQUIRED: Any = object()
"""The default of an argument that has none."""


class Unfit(ValueError):
    """Text is not what an argument can be; the text of the error says what it can."""


class Kind:
    """What values an argument takes. This one: any text."""

    metavar = "TEXT"
    words: tuple[str, ...] = ()
    """All that there are, where they can be counted."""
    expected = "text"

    def read(self, text: str) -> Any:
        """The value that *text* of the command line stands for. Raises Unfit."""
        return text

    def fits(self, value: object) -> bool:
        """Whether *value*, as it came over the socket, is one of this kind."""
        return isinstance(value, str)


class Matching(Kind):
    """Text of a form, described by *expected*."""

    def __init__(self, pattern: str, expected: str) -> None:
        self.expected = expected
        self._pattern = re.compile(pattern, re.ASCII)

    def read(self, text: str) -> str:
        if not self.fits(text):
            raise Unfit
        return text

    def fits(self, value: object) -> bool:
        return isinstance(value, str) and self._pattern.fullmatch(value) is not None


class Choice(Kind):
    """One of a few words."""

    def __init__(self, *words: str) -> None:
        self.words = words
        self.expected = ", ".join(words[:-1]) + " or " + words[-1]

    def read(self, text: str) -> str:
        if text not in self.words:
            raise Unfit
        return text

    def fits(self, value: object) -> bool:
        return value in self.words


class Number(Kind):
    """A whole number within bounds."""

    metavar = "N"

    def __init__(self, low: int, high: int) -> None:
        self._low, self._high = low, high
        self.expected = f"a whole number from {low} to {high}"

    def read(self, text: str) -> int:
        if re.fullmatch(r"\d{1,18}", text, re.ASCII) is None or not self.fits(int(text)):
            raise Unfit
        return int(text)

    def fits(self, value: object) -> bool:
        return type(value) is int and self._low <= value <= self._high


_UNITS = {"ms": 0.001, "": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0}


class Seconds(Kind):
    """A time: seconds, or with a unit "500ms", "30s", "2m", "1h"."""

    metavar = "SECONDS"

    def __init__(self, low: float, high: float) -> None:
        self._low, self._high = low, high
        self.expected = f'seconds from {low:g} to {high:g}, or a time such as "500ms" or "2m"'

    def read(self, text: str) -> float:
        found = re.fullmatch(r"(\d{1,12}(?:\.\d{1,12})?)(ms|s|m|h|)", text, re.ASCII)
        if found is None:
            raise Unfit
        seconds = float(found[1]) * _UNITS[found[2]]
        if not self.fits(seconds):
            raise Unfit
        return seconds

    def fits(self, value: object) -> bool:
        return type(value) in (int, float) and self._low <= value <= self._high  # type: ignore[operator]


class Switch(Kind):
    """A flag that is there, or is not."""

    expected = "true or false"

    def fits(self, value: object) -> bool:
        return isinstance(value, bool)


class Argument:
    """One argument of a command. *name* is what the operation calls it; with a *flag* it is not told by its place.

    One whose *default* is None may be left out, and then is None. What *changes* something makes its command one that
    does, where it is given.
    """

    __slots__ = ("changes", "default", "flag", "help", "kind", "metavar", "name")

    def __init__(
        self,
        name: str,
        kind: Kind,
        help: str,
        *,
        default: Any = REQUIRED,
        flag: str = "",
        metavar: str = "",
        changes: bool = False,
    ) -> None:
        self.name = name
        self.kind = kind
        self.help = help
        self.default = default
        self.flag = flag
        self.metavar = metavar or kind.metavar
        self.changes = changes

    @property
    def required(self) -> bool:
        """Whether it must be given."""
        return self.default is REQUIRED

    @property
    def usage(self) -> str:
        """How it stands in the line that shows the usage of its command."""
        if self.flag:
            return f"[{self.flag}]" if isinstance(self.kind, Switch) else f"[{self.flag} {self.metavar}]"
        return self.metavar if self.required else f"[{self.metavar}]"

    def read(self, text: str) -> Any:
        """The value that *text* stands for. Raises Unfit with the whole complaint."""
        try:
            return self.kind.read(text)
        except Unfit:
            raise Unfit(f'{self.flag or self.metavar}: got "{text}"; expected {self.kind.expected}') from None

    def fits(self, value: object) -> bool:
        """Whether *value* may come over the socket."""
        return (value is None and self.default is None) or self.kind.fits(value)
