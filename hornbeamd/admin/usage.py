"""What a process takes, as the system tells anybody in ``/proc``."""

from __future__ import annotations

import os

from hornbeamd.admin.figures import Usage

_PAGE = os.sysconf("SC_PAGE_SIZE")
_TICKS = os.sysconf("SC_CLK_TCK")


def usage(pid: int) -> Usage | None:
    """Of a process; None when it is gone, or the system has no ``/proc``. See proc(5)."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            # Behind the name, in which anything may stand, and its bracket comes the third field.
            fields = file.read().rpartition(b")")[2].split()
    except OSError:
        return None
    user, system, pages = int(fields[11]), int(fields[12]), int(fields[21])
    return Usage(pages * _PAGE, (user + system) / _TICKS, _descriptors(pid))


def _descriptors(pid: int) -> int | None:
    """How many are open; None where we may not see it, as in some containers with processes of another user."""
    path = f"/proc/{pid}/fd"
    try:
        # From Linux 6.2 on it is the size of the folder; before that, that is 0.
        return os.stat(path).st_size or len(os.listdir(path))
    except OSError:
        return None
