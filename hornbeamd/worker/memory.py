"""The memory of this process: how much it holds, and from where threads take it."""

from __future__ import annotations

import ctypes
import os
import resource
import sys
from contextlib import suppress

_PAGE = resource.getpagesize()

# mallopt(3) of the GNU C library, and how many arenas there may be: one for the main thread, one for all others.
_M_ARENA_MAX = -8
_ARENAS = 2


def resident() -> int:
    """Bytes of memory that are this process's at the moment, with those that it shares.

    Where the system does not tell in ``/proc``, it is the most that they have ever been.
    """
    try:
        with open("/proc/self/statm", "rb") as file:
            return int(file.read().split()[1]) * _PAGE
    except OSError:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else peak * 1024


def share_arenas() -> None:
    """Have all threads of this process, and of those that are forked from it, take memory from a few arenas.

    To be called before there are threads. With arenas of their own, threads that come and go, as one does in each
    reload, touch pages in one after the other that nobody else can use. Who has set how many there may be, by
    MALLOC_ARENA_MAX or GLIBC_TUNABLES, wants it so.
    """
    if "MALLOC_ARENA_MAX" not in os.environ and "arena_max" not in os.environ.get("GLIBC_TUNABLES", ""):
        with suppress(AttributeError):  # another C library
            ctypes.CDLL(None).mallopt(_M_ARENA_MAX, _ARENAS)
