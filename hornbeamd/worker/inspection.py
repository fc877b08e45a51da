"""What this process is doing: the stacks of its threads, and of the tasks of its event loop.

It is asked in the event loop, so the loop turns; of one that is blocked faulthandler writes the stacks of the threads.
"""

from __future__ import annotations

import asyncio
import sys
import threading
import traceback
from collections.abc import Iterable, Iterator
from types import FrameType
from typing import Any

from hornbeamd.worker.channel import Message

MOST = 100
"""How many different stacks of threads, and of tasks, are told."""
DEEPEST = 40


async def stacks(message: Message) -> dict[str, Any]:
    """Answer the question ``stacks``: of each thread and each task its name and its stack, the outermost call first."""
    names = {thread.ident: thread.name for thread in threading.enumerate()}
    this = threading.get_ident()
    threads = [
        (names.get(ident, str(ident)), ["runs the event loop"] if ident == this else _lines(_outwards(frame)))
        for ident, frame in sys._current_frames().items()
    ]
    others = asyncio.all_tasks() - {asyncio.current_task()}
    tasks = [(task.get_name(), _lines(_awaited(task))) for task in sorted(others, key=_age)]
    return {"threads": _joined(threads), "tasks": _joined(tasks)}


def _age(task: asyncio.Task[Any]) -> tuple[int, str]:
    """In the order in which they were made, as far as their names tell: "Task-9" before "Task-10"."""
    return len(task.get_name()), task.get_name()


def _joined(found: Iterable[tuple[str, list[str]]]) -> list[dict[str, Any]]:
    """Those that do the same told once: of a thousand WebSockets that wait for their clients there is one stack."""
    alike: dict[tuple[str, ...], list[str]] = {}
    for name, lines in found:
        alike.setdefault(tuple(lines), []).append(name)
    told = [
        {"name": names[0] + (f" and {len(names) - 1} more" if names[1:] else ""), "stack": list(lines)}
        for lines, names in list(alike.items())[:MOST]
    ]
    if len(alike) > MOST:
        told.append({"name": f"{len(alike) - MOST} more stacks", "stack": []})
    return told


def _outwards(frame: FrameType | None) -> Iterator[tuple[FrameType, int]]:
    """The frames of a thread, the innermost first, which is how they are linked; here the other way round."""
    frames = []
    while frame is not None:
        frames.append((frame, frame.f_lineno))
        frame = frame.f_back
    return reversed(frames)


def _awaited(task: asyncio.Task[Any]) -> Iterator[tuple[FrameType, int]]:
    """The frames of a task: of its coroutine, of what that awaits, and so on, as far as it is written in Python."""
    waits: Any = task.get_coro()
    while waits is not None:
        frame = next((found for name in _FRAMES if (found := getattr(waits, name, None))), None)
        if frame is not None:
            yield frame, frame.f_lineno
        waits = next((found for name in _NEXT if (found := getattr(waits, name, None))), None)


_FRAMES = ("cr_frame", "gi_frame", "ag_frame")
_NEXT = ("cr_await", "gi_yieldfrom", "ag_await")


def _lines(frames: Iterable[tuple[FrameType, int]]) -> list[str]:
    """Each frame as a line, with the source behind it; of many the innermost."""
    told = [
        f"{frame.filename}:{frame.lineno} in {frame.name}" + (f": {frame.line}" if frame.line else "")
        for frame in traceback.StackSummary.extract(iter(frames))
    ]
    return ["...", *told[-DEEPEST:]] if len(told) > DEEPEST else told
