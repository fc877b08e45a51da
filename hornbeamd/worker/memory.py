"""How much memory this process holds."""

from __future__ import annotations

import resource
import sys

_PAGE = resource.getpagesize()


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
