"""The kinds of values an option takes: how each is read, written back, and described.

A kind reads in two ways. ``read`` takes a value from a file, where a number is a number and text is text;
``parse`` takes text from the environment or a flag. Both give the one value the program works with, and
raise ``Unfit``. ``plain`` is the way back: the value as a file would hold it.
"""

from __future__ import annotations

import ipaddress
import math
import os
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from hornbeamd.config import access_format
from hornbeamd.config.address import FORMS, Address

Schema = dict[str, Any]

_DURATION = re.compile(r"(?:\d+(?:\.\d+)?(?:ms|s|m|h)\s*)+")
_DURATION_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h)")
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}

_SIZE = re.compile(r"(\d+)\s*(B|KB|MB|GB|KiB|MiB|GiB)?", re.IGNORECASE)
_BYTES = {"b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "kib": 2**10, "mib": 2**20, "gib": 2**30}

_WHOLE = re.compile(r"[+-]?\d{1,18}")
_DECIMAL = re.compile(r"\d+(\.\d+)?")
_MODE = re.compile(r"0?[0-7]{3}")
_NAME = r"[^\W\d]\w*"
_DOTTED = rf"{_NAME}(\.{_NAME})*"
_APP = re.compile(rf"({_DOTTED}(:{_DOTTED}(\(\))?)?)?")
_OWNER = re.compile(r"[^\s:]+(:[^\s:]+)?|:[^\s:]+")
_TRUE = {"true", "yes", "on", "1"}
_FALSE = {"false", "no", "off", "0"}


class Unfit(ValueError):
    """The value is not of this kind; the text, where there is one, says why in a few words."""


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


@dataclass(frozen=True)
class Text(Kind):
    """Any text without control characters."""

    what: str = "text"

    @property
    def expected(self) -> str:
        return self.what

    def read(self, value: object) -> str:
        if not isinstance(value, str):
            raise Unfit
        if any(ord(char) < 32 or ord(char) == 127 for char in value):
            raise Unfit("it holds a control character")
        return value

    def schema(self) -> Schema:
        return {"type": "string"}


@dataclass(frozen=True)
class Matching(Text):
    """Text of a given form."""

    form: re.Pattern[str] = re.compile(".*")

    def read(self, value: object) -> str:
        text = super().read(value)
        if not self.form.fullmatch(text):
            raise Unfit
        return text


def app_spec() -> Kind:
    """``module``, ``module:callable``, ``module:object.attribute`` or ``module:factory()``; empty means none yet."""
    return Matching('"module:callable", "module" or "module:factory()"', _APP)


def owner() -> Kind:
    """``user``, ``user:group`` or ``:group``, names or numbers, as chown(1) takes them."""
    return Matching('"user:group", "user" or ":group"', _OWNER)


def root_path() -> Kind:
    """A URL path an application is mounted at, without the final slash (PEP 3333, SCRIPT_NAME)."""
    return Matching('a path such as "/shop", with no "/" at its end', re.compile(r"(/[^/?#]+)*"))


@dataclass(frozen=True)
class Path(Text):
    """A path; relative ones count from the file's folder, in the environment and flags from the working
    folder.

    ``words`` are texts that are no paths but have a meaning of their own.
    """

    what: str = "a path"
    words: tuple[str, ...] = ()
    metavar = "PATH"

    def read(self, value: object) -> str:
        text = super().read(value)
        if not text:
            raise Unfit("it is empty")
        return text

    def anchor(self, value: str, folder: str) -> str:
        return value if value in self.words else os.path.normpath(os.path.join(folder, value))


@dataclass(frozen=True)
class Bool(Kind):
    """True or false."""

    metavar = "BOOL"
    expected = "true or false"

    def read(self, value: object) -> bool:
        if not isinstance(value, bool):
            raise Unfit
        return value

    def parse(self, text: str) -> bool:
        word = text.lower()
        if word not in _TRUE | _FALSE:
            raise Unfit
        return word in _TRUE

    def schema(self) -> Schema:
        return {"type": "boolean"}


@dataclass(frozen=True)
class Int(Kind):
    """A whole number within bounds."""

    low: int = 0
    high: int | None = None
    metavar = "N"

    @property
    def expected(self) -> str:
        if self.high is None:
            return f"a whole number, {self.low} or more"
        return f"a whole number from {self.low} to {self.high}"

    def read(self, value: object) -> int:
        if not isinstance(value, int) or isinstance(value, bool):
            raise Unfit
        if value < self.low or (self.high is not None and value > self.high):
            raise Unfit("it is out of range")
        return value

    def parse(self, text: str) -> int:
        if not _WHOLE.fullmatch(text):
            raise Unfit
        return self.read(int(text))

    def schema(self) -> Schema:
        bounds: Schema = {"type": "integer", "minimum": self.low}
        return bounds if self.high is None else {**bounds, "maximum": self.high}


@dataclass(frozen=True)
class Duration(Kind):
    """A time in float seconds. Bare numbers are in ``unit``, "ms" or "s"; text has its own: "1m30s"."""

    unit: str
    low: float = 0.001
    high: float = 31 * 86400.0
    metavar = "TIME"

    @property
    def number_unit(self) -> str:
        return self.unit

    @property
    def expected(self) -> str:
        word = "milliseconds" if self.unit == "ms" else "seconds"
        low, high = self.plain(self.low), self.plain(self.high)
        return f'{word} from {low} to {high}, or a time such as "500ms", "30s" or "2m"'

    def read(self, value: object) -> float:
        if isinstance(value, bool) or not isinstance(value, (int, float, str)):
            raise Unfit
        seconds = self._text(value) if isinstance(value, str) else self._seconds(value, self.unit)
        if not math.isfinite(seconds) or not self.low <= seconds <= self.high:
            raise Unfit("it is out of range")
        return seconds

    def _text(self, text: str) -> float:
        if _DECIMAL.fullmatch(text):
            return self._seconds(float(text), self.unit)
        if not _DURATION.fullmatch(text):
            raise Unfit
        parts = _DURATION_PART.findall(text)
        return round(sum(self._seconds(float(number), unit) for number, unit in parts), 9)

    def _seconds(self, number: float, unit: str) -> float:
        """Convert, without the error of binary fractions: 3413 ms are 3.413 s, not 3.4130000000000003."""
        return round(number * _SECONDS[unit], 9)

    def plain(self, value: float) -> int | float:
        number = round(value / _SECONDS[self.unit], 6)
        return int(number) if number.is_integer() else number

    def schema(self) -> Schema:
        number = {"type": "number", "minimum": self.plain(self.low), "maximum": self.plain(self.high)}
        return {"anyOf": [number, {"type": "string", "pattern": rf"^({_DURATION.pattern}|\d+(\.\d+)?)$"}]}


@dataclass(frozen=True)
class Size(Kind):
    """A number of bytes; text may carry a unit: KB, MB, GB count in thousands, KiB, MiB, GiB in 1024s."""

    low: int = 0
    high: int = 2**40
    metavar = "SIZE"

    @property
    def expected(self) -> str:
        return f'a number of bytes or a size such as "64KiB" or "16MB", from {self.low} to {self.high}'

    def read(self, value: object) -> int:
        if isinstance(value, str):
            match = _SIZE.fullmatch(value)
            if match is None or len(match[1]) > 18:
                raise Unfit
            value = int(match[1]) * _BYTES[(match[2] or "B").lower()]
        if not isinstance(value, int) or isinstance(value, bool):
            raise Unfit
        if not self.low <= value <= self.high:
            raise Unfit("it is out of range")
        return value

    def schema(self) -> Schema:
        text = {"type": "string", "pattern": r"^\d+\s*([KMGkmg][Ii]?)?[Bb]?$"}
        return {"anyOf": [{"type": "integer", "minimum": self.low, "maximum": self.high}, text]}


@dataclass(frozen=True)
class Choice(Kind):
    """One of a few words."""

    words: tuple[str, ...]

    @property
    def metavar(self) -> str:  # type: ignore[override]
        return "{" + ",".join(self.words) + "}"

    @property
    def expected(self) -> str:
        *first, last = (f'"{word}"' for word in self.words)
        return f"{', '.join(first)} or {last}"

    def read(self, value: object) -> str:
        if value not in self.words:
            raise Unfit
        return str(value)

    def schema(self) -> Schema:
        return {"enum": list(self.words)}


@dataclass(frozen=True)
class Mode(Kind):
    """The permission bits of a file, as octal text; a bare number is refused, for 660 is not 0o660."""

    metavar = "MODE"
    expected = 'octal text such as "0660"'

    def read(self, value: object) -> int:
        if not isinstance(value, str) or not _MODE.fullmatch(value):
            raise Unfit
        return int(value, 8)

    def plain(self, value: int) -> str:
        return f"{value:04o}"

    def schema(self) -> Schema:
        return {"type": "string", "pattern": f"^{_MODE.pattern}$"}


@dataclass(frozen=True)
class Bind(Kind):
    """One address to listen at."""

    metavar = "ADDRESS"
    expected = FORMS

    def read(self, value: object) -> Address:
        if not isinstance(value, str):
            raise Unfit
        try:
            return Address.parse(value)
        except ValueError as error:
            raise Unfit(str(error)) from None

    def plain(self, value: Address) -> str:
        return str(value)

    def anchor(self, value: Address, folder: str) -> Address:
        if value.kind != "unix":
            return value
        return Address(kind="unix", path=os.path.normpath(os.path.join(folder, value.path)))

    def schema(self) -> Schema:
        return {"type": "string"}


@dataclass(frozen=True)
class Peers(Kind):
    """Who may be at the other end: an IP address, a network, ``unix``, or ``*``."""

    metavar = "PEER"
    expected = 'an IP address, a network such as "10.0.0.0/8", "unix", or "*" for everyone'

    def read(self, value: object) -> str:
        if not isinstance(value, str):
            raise Unfit
        if value in ("unix", "*"):
            return value
        try:
            ipaddress.ip_network(value)
        except ValueError as error:
            raise Unfit("it has bits set behind the prefix" if "host bits" in str(error) else "") from None
        return value

    def schema(self) -> Schema:
        return {"type": "string"}


@dataclass(frozen=True)
class ListOf(Kind):
    """Several values of one kind; a single one needs no brackets. Commas separate them in text."""

    item: Kind
    needs_one: bool = False

    @property
    def metavar(self) -> str:  # type: ignore[override]
        return f"{self.item.metavar}[,...]"

    @property
    def expected(self) -> str:
        return f"{self.item.expected}, or a list of such"

    def read(self, value: object) -> tuple[Any, ...]:
        return self._each(value if isinstance(value, (list, tuple)) else [value], self.item.read)

    def parse(self, text: str) -> tuple[Any, ...]:
        return self._each([part.strip() for part in text.split(",") if part.strip()], self.item.parse)

    def _each(self, values: Sequence[Any], read: Callable[[Any], Any]) -> tuple[Any, ...]:
        if self.needs_one and not values:
            raise Unfit("the list is empty")
        found = []
        for value in values:
            try:
                found.append(read(value))
            except Unfit as error:
                why = str(error) or "it is not of this kind"
                raise Unfit(f"in {value!r}, {why}" if len(values) > 1 else str(error)) from None
        return tuple(found)

    def plain(self, value: tuple[Any, ...]) -> list[Any]:
        return [self.item.plain(one) for one in value]

    def anchor(self, value: tuple[Any, ...], folder: str) -> tuple[Any, ...]:
        return tuple(self.item.anchor(one, folder) for one in value)

    def schema(self) -> Schema:
        several: Schema = {"type": "array", "items": self.item.schema()}
        if self.needs_one:
            several["minItems"] = 1
        return {"anyOf": [self.item.schema(), several]}


@dataclass(frozen=True)
class Maybe(Kind):
    """A value, or none at all: in a file null (Erlang: ``undefined``) or the text ``nothing``."""

    item: Kind
    nothing: str = ""

    @property
    def metavar(self) -> str:  # type: ignore[override]
        return self.item.metavar

    @property
    def expected(self) -> str:
        return f'{self.item.expected}, or "{self.nothing}" for none'

    def read(self, value: object) -> Any:
        return None if value is None or value == self.nothing else self.item.read(value)

    def parse(self, text: str) -> Any:
        return None if text == self.nothing else self.item.parse(text)

    def plain(self, value: Any) -> Any:
        return self.nothing if value is None else self.item.plain(value)

    def anchor(self, value: Any, folder: str) -> Any:
        return None if value is None else self.item.anchor(value, folder)

    def schema(self) -> Schema:
        return {"anyOf": [{"type": "null"}, {"const": self.nothing}, self.item.schema()]}


@dataclass(frozen=True)
class AccessFormat(Text):
    """The layout of the access log: a name, or text with fields such as ``%h`` or ``%(h)s``."""

    what: str = '"common", "combined", "json", or text with fields such as %h, %r and %s'

    def read(self, value: object) -> str:
        text = super().read(value)
        if text != "json":
            try:
                access_format.parse(text)
            except ValueError as error:
                raise Unfit(str(error)) from None
        return text
