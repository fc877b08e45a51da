"""When changes have come to rest. Time is an argument."""

from __future__ import annotations


class Debounce:
    """Changes are due when there was none for *quiet* seconds, and at the latest *longest* seconds after the first.

    The bound is for files that never rest, such as one that a program writes every few milliseconds.
    """

    def __init__(self, quiet: float, longest: float) -> None:
        self._quiet = quiet
        self._longest = longest
        self._first: float | None = None
        self._last = 0.0

    def note(self, now: float) -> None:
        """Something has changed."""
        self._last = now
        if self._first is None:
            self._first = now

    def due_in(self, now: float) -> float | None:
        """Seconds until the changes are due, 0 when they are; None when there are none."""
        if self._first is None:
            return None
        return max(0.0, min(self._last + self._quiet, self._first + self._longest) - now)

    def take(self) -> None:
        """The changes are seen to."""
        self._first = None
