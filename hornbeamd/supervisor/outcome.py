"""What a reload came to: which road it took, what every process said, and why it was refused, if it was."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

from hornbeamd.config.plan import Plan


class Road(StrEnum):
    """How a reload was carried out, or was not."""

    SWAPPED = "swapped"
    """The code was exchanged inside the processes."""
    REPLACED = "replaced"
    """New processes took the place of the old."""
    UNCHANGED = "unchanged"
    """There was nothing to do."""
    REFUSED = "refused"
    """Something failed, and everything is as it was."""


@dataclass(frozen=True, slots=True)
class Step:
    """What one process has come to in a reload: *result* in a word, in *ms* milliseconds.

    *pool* is "" for a web worker. *modules* are those of the application that it has loaded anew.
    """

    pool: str
    number: int
    pid: int
    result: str
    modules: tuple[str, ...] = ()
    ms: int = 0

    def plain(self) -> dict[str, Any]:
        """The same as JSON can hold it."""
        return asdict(self)


Progress = Callable[[Step], None]
"""Is told each step when it is done."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of a reload; *generation* is what serves after it.

    *why* is one line: why the processes had to be replaced, or what was wrong. *changed* are the options that changed;
    those which need a restart have kept their values. *problems* is the whole story of a refusal: what is wrong with
    the configuration, or the application's traceback. *at* is when it was over, in seconds since the epoch.
    """

    road: Road
    generation: int
    why: str = ""
    changed: Plan = field(default_factory=Plan)
    steps: tuple[Step, ...] = ()
    problems: tuple[str, ...] = ()
    ms: int = 0
    at: float = 0.0

    def plain(self) -> dict[str, Any]:
        """The same as JSON can hold it."""
        return {**asdict(self), "road": str(self.road)}
