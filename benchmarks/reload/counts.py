"""What a client has seen go wrong, and how long answers took."""

from __future__ import annotations

import time
from collections import Counter
from typing import Any

from .answers import Judged

# As many are kept as text; all are counted.
TOLD = 20


class Refused(Exception):
    """The connection was not accepted."""


class Cut(Exception):
    """The connection ended where an answer, or the rest of one, was due, and nothing had said that it would."""


class Counts:
    """Refused and cut connections, wrong and mixed answers, and the times of all others.

    Times are seconds of the system's monotonic clock, which all its processes share.
    """

    def __init__(self) -> None:
        self.answers = 0
        self.failures: Counter[str] = Counter()
        self.told: list[str] = []
        self.latencies: list[tuple[float, float]] = []
        """When a request began, and how long its answer took."""

    def fail(self, kind: str, what: str) -> None:
        """Count a failure of *kind*: refused, reset, wrong, mixed, or one of WebSockets."""
        self.failures[kind] += 1
        if kind != "told" and len(self.told) < TOLD:
            self.told.append(f"{time.monotonic():.3f} {kind}: {what}")

    def take(self, judged: Judged, what: str) -> None:
        """Count an answer."""
        self.answers += 1
        if judged.verdict:
            self.fail(judged.verdict, what)

    def failed(self, error: BaseException, what: str) -> None:
        """Count what a request came to that has no answer."""
        self.fail("refused" if isinstance(error, Refused) else "reset", f"{what}: {error!r}")

    def plain(self) -> dict[str, Any]:
        """All of it as JSON has it."""
        return {
            "answers": self.answers,
            "failures": dict(self.failures),
            "told": self.told,
            "latencies": self.latencies,
        }
