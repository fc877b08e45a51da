"""Tracebacks as the application's author wants them: no frames of the server, of importlib, of the loop."""

from __future__ import annotations

import asyncio.runners
import importlib
import traceback
from pathlib import Path

import hornbeamd

LONGEST = 64 * 1024
"""How many characters a traceback may have: what a channel takes at once, for who fails may end before it is read."""
LONGEST_LINE = 4096

_FOREIGN = (
    str(Path(hornbeamd.__file__).parent),
    asyncio.runners.__file__,
    "uvloop/loop.pyx",
    importlib.__file__,
    "<frozen importlib",
    "<frozen runpy",
)


def blame(error: BaseException) -> str:
    """The traceback of ``error`` and of what led to it, as text, with the application's frames only.

    An error that never left the server keeps its one line: class and message. What is too long is shortened.
    """
    told = traceback.TracebackException(type(error), error, error.__traceback__, compact=True)
    _trim(told, set())
    return _shortened("".join(told.format()).rstrip())


def _trim(told: traceback.TracebackException, seen: set[int]) -> None:
    if id(told) in seen:
        return
    seen.add(id(told))
    told.stack = traceback.StackSummary.from_list([frame for frame in told.stack if not _foreign(frame.filename)])
    for other in (told.__cause__, told.__context__, *(getattr(told, "exceptions", None) or ())):
        if other is not None:
            _trim(other, seen)


def _shortened(text: str) -> str:
    """Of a long line the beginning, and of many lines the first and the last."""
    text = "\n".join(line if len(line) <= LONGEST_LINE else f"{line[:LONGEST_LINE]}..." for line in text.split("\n"))
    if len(text) <= LONGEST:
        return text
    first, _, _ = text[: LONGEST // 2].rpartition("\n")
    _, _, last = text[-LONGEST // 2 :].partition("\n")
    return f"{first}\n...\n{last}"


def _foreign(filename: str) -> bool:
    return filename.startswith(_FOREIGN)
