"""Waiting for a condition, with a deadline: the only way in which a test here waits."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

# Polling stands in for the event that another process cannot send us.
INTERVAL = 0.01


def wait_until(condition: Callable[[], T], *, deadline: float = 10.0, explain: Callable[[], object] | str = "") -> T:
    """Call ``condition`` until it gives something true, and return that.

    Raises AssertionError after ``deadline`` seconds, with what ``explain`` says by then.
    """
    end = time.monotonic() + deadline
    while True:
        if found := condition():
            return found
        if time.monotonic() > end:
            told = explain() if callable(explain) else explain
            raise AssertionError(f"not within {deadline:g} s: {told}")
        time.sleep(INTERVAL)
