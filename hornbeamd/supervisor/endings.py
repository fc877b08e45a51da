"""Why a process has ended, in one of a few words, by which endings are counted."""

from __future__ import annotations

from enum import StrEnum


class Ending(StrEnum):
    """The words. What people read in the log says more."""

    CRASH = "crash"
    """It died while it served, and nobody had told it to."""
    BOOT = "boot"
    """It could not boot, or not in time."""
    STUCK = "stuck"
    """It was replaced because it answered nothing any more."""
    MAX_REQUESTS = "max_requests"
    MAX_MEMORY = "max_memory"
    RELOAD = "reload"
    """Another generation of the code took its place, or the configuration has no place for it."""
    SCALE = "scale"
    """There were to be fewer."""
    SIGNAL = "signal"
    """SIGTERM was sent straight to it."""
    RECYCLE = "recycle"
    """An operator wanted it replaced."""
    SHUTDOWN = "shutdown"
    """The server ended."""


_ENDINGS = {
    "max_requests": Ending.MAX_REQUESTS,
    "max_memory": Ending.MAX_MEMORY,
    "reload": Ending.RELOAD,
    "reload failed": Ending.RELOAD,
    "no longer configured": Ending.RELOAD,
    "fewer workers wanted": Ending.SCALE,
    "SIGTERM": Ending.SIGNAL,
    "shutdown": Ending.SHUTDOWN,
    "shutdown at once": Ending.SHUTDOWN,
}


def told_to_end(why: str) -> Ending:
    """The word for what a process was told to end for; behind a colon *why* tells people more."""
    return _ENDINGS.get(why.partition(":")[0], Ending.RECYCLE)
