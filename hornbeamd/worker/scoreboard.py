"""The figures of all workers in memory that they share: who has how much in hand, without asking anybody.

A worker writes only its own row, the supervisor only rows of the dead, so nothing is locked. Cells are
aligned 64-bit integers; a reader may see one that is a moment old, never a torn one.

====  =====================================================
cell  meaning
====  =====================================================
0     requests in hand
1     open connections
2     requests completed since the worker started
3     1 while the worker accepts connections
====  =====================================================

Row 0 belongs to nobody; its first cell says how many rows to look at, so that the sum over all workers, which
``max_concurrent`` asks for with every request, reads a few rows rather than all of them.
"""

from __future__ import annotations

import mmap
import os
import tempfile

CELLS = 4
ROWS = 4096
MOST_WORKERS = ROWS - 1
_BYTES = ROWS * CELLS * 8


def memory_file(name: str, size: int = 0) -> int:
    """A descriptor of a file that is in no folder and goes with its last descriptor."""
    if hasattr(os, "memfd_create"):
        fd = os.memfd_create(name, os.MFD_CLOEXEC)
    else:
        with tempfile.TemporaryFile() as file:
            fd = os.dup(file.fileno())
    os.ftruncate(fd, size)
    return fd


class Scoreboard:
    """The table behind ``fd``, mapped into this process. Workers are numbered from 1 to ``MOST_WORKERS``."""

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self._memory = mmap.mmap(fd, _BYTES)
        self._cells = memoryview(self._memory).cast("q")

    @classmethod
    def create(cls) -> Scoreboard:
        """A new table, all zero."""
        return cls(memory_file("hornbeamd scoreboard", _BYTES))

    def row(self, worker: int) -> memoryview[int]:
        """The four cells of a worker, to be read and written in place."""
        return self._cells[worker * CELLS : (worker + 1) * CELLS]

    def claim(self, worker: int) -> None:
        """Make a row ready for a worker that is about to be forked (supervisor only)."""
        self.clear(worker)
        self._cells[0] = max(self._cells[0], worker)

    def clear(self, worker: int) -> None:
        """Zero the row of a dead worker, whose requests are nobody's any more (supervisor only)."""
        row = self.row(worker)
        for cell in range(CELLS):
            row[cell] = 0

    def in_flight(self) -> int:
        """Requests in hand over all workers."""
        return sum(self._cells[CELLS : (self._cells[0] + 1) * CELLS : CELLS])

    def crowd(self) -> tuple[int, int]:
        """How many workers accept connections, and how many they have together."""
        workers = connections = 0
        for cell in range(CELLS, (self._cells[0] + 1) * CELLS, CELLS):
            if self._cells[cell + 3]:
                workers += 1
                connections += self._cells[cell + 1]
        return workers, connections

    def close(self) -> None:
        """Unmap the table and close its descriptor."""
        self._cells.release()
        self._memory.close()
        os.close(self.fd)
