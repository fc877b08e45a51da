"""The kinds of values that are amounts: whole numbers, times, sizes, and the permission bits of a file."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from hornbeamd.config.kind import Kind, Schema, Unfit

_DURATION = re.compile(r"(?:\d+(?:\.\d+)?(?:ms|s|m|h)\s*)+")
_DURATION_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h)")
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}

_SIZE = re.compile(r"(\d+)\s*(B|KB|MB|GB|KiB|MiB|GiB)?", re.IGNORECASE)
_BYTES = {"b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "kib": 2**10, "mib": 2**20, "gib": 2**30}

_WHOLE = re.compile(r"[+-]?\d{1,18}")
_DECIMAL = re.compile(r"\d+(\.\d+)?")
_MODE = re.compile(r"0?[0-7]{3}")


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
