"""Tracebacks as the application's author wants them: no frames of the server, of importlib, of the loop."""

from __future__ import annotations

import asyncio.runners
import importlib
import traceback
from pathlib import Path

import hornbeamd

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

    An error that never left the server keeps its one line: class and message.
    """
    told = traceback.TracebackException(type(error), error, error.__traceback__, compact=True)
    _trim(told, set())
    return "".join(told.format()).rstrip()


def _trim(told: traceback.TracebackException, seen: set[int]) -> None:
    if id(told) in seen:
        return
    seen.add(id(told))
    told.stack = traceback.StackSummary.from_list([frame for frame in told.stack if not _foreign(frame.filename)])
    for other in (told.__cause__, told.__context__, *(getattr(told, "exceptions", None) or ())):
        if other is not None:
            _trim(other, seen)


def _foreign(filename: str) -> bool:
    return filename.startswith(_FOREIGN)
