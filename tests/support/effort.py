"""How much work something is, without a clock: what is fast here may be slow there, but its calls are as many."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class Effort:
    """The calls of functions, Python's and C's, that were counted."""

    calls = 0


@contextmanager
def counted() -> Iterator[Effort]:
    """Count the calls that are made in this block, in this thread."""
    effort = Effort()

    def count(frame: Any, event: str, argument: object) -> None:
        if event in ("call", "c_call"):
            effort.calls += 1

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        yield effort
    finally:
        sys.setprofile(before)
