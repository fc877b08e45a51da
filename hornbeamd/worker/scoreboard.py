"""The figures of all workers in memory that they share: who has how much in hand, without asking anybody.

A worker writes only its own row, the supervisor only rows of the dead, so nothing is locked. Cells are
aligned 64-bit integers; a reader may see one that is a moment old, never a torn one.

===========  ======================================================================================
cell         meaning
===========  ======================================================================================
IN_FLIGHT    requests in hand
CONNECTIONS  open connections
REQUESTS     requests that are over since the worker started
ACCEPTING    1 while the worker accepts connections
WEBSOCKETS   open WebSockets
OPENED       WebSockets accepted since the worker started
BUSY         requests answered 503 because of ``max_concurrent``
INVALID      requests refused because they break a rule of HTTP, or a limit
===========  ======================================================================================

Behind these, and only while :attr:`Scoreboard.measured`, as of the worker's last tick:

===========  ======================================================================================
WAITING      requests that wait for a thread
BYTES        bytes of response bodies and WebSockets
SECONDS      microseconds that requests took, for each class of status, 2xx to 5xx
COUNTS       how many requests took how long: for each class one cell for each of ``BOUNDS``, and one for the rest
===========  ======================================================================================

Row 0 belongs to nobody. Its first cell says how many rows to look at, so that the sum over all workers, which
``max_concurrent`` asks for with every request, reads a few rows rather than all of them. Its second says whether
anybody wants to know the figures that cost something. In the cells of ``COUNTERS`` it has what workers that are dead
have counted, so that totals never go back.
"""

from __future__ import annotations

import mmap
import os
import tempfile

IN_FLIGHT, CONNECTIONS, REQUESTS, ACCEPTING, WEBSOCKETS, OPENED, BUSY, INVALID, WAITING, BYTES = range(10)

CLASSES = (2, 3, 4, 5)
"""Of status codes, by their first digit."""

BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""Of the histogram of requests by what they took, in seconds; each belongs to what is below it."""

WIDTH = len(BOUNDS) + 1
SECONDS = BYTES + 1
COUNTS = SECONDS + len(CLASSES)
CELLS = COUNTS + len(CLASSES) * WIDTH

COUNTERS = (REQUESTS, OPENED, BUSY, INVALID, *range(BYTES, CELLS))
"""The cells that only grow; the others say how it is at the moment."""

_MEASURED = 1
"""The cell of row 0 that is no row's."""

ROWS = 4096
MOST_WORKERS = ROWS - 1
_BYTES = ROWS * CELLS * 8
_NOTHING = memoryview(bytes(CELLS * 8)).cast("q")


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
        """The cells of a worker, to be read and written in place."""
        return self._cells[worker * CELLS : (worker + 1) * CELLS]

    def claim(self, worker: int) -> None:
        """Make a row ready for a worker that is about to be forked (supervisor only)."""
        self.clear(worker)
        self._cells[0] = max(self._cells[0], worker)

    def clear(self, worker: int) -> None:
        """Zero the row of a dead worker, whose requests are nobody's any more (supervisor only).

        What it has counted stays in the totals.
        """
        row, dead = self.row(worker), self.row(0)
        for cell in COUNTERS:
            dead[cell] += row[cell]
        row[:] = _NOTHING

    def totals(self) -> list[int]:
        """Each cell summed over all workers; of ``COUNTERS``, over those that are dead, too."""
        end = (self._cells[0] + 1) * CELLS
        return [sum(self._cells[cell + (0 if cell in COUNTERS else CELLS) : end : CELLS]) for cell in range(CELLS)]

    @property
    def measured(self) -> bool:
        """Whether workers are to count what costs them something with each request. Set by the supervisor."""
        return bool(self._cells[_MEASURED])

    @measured.setter
    def measured(self, wanted: bool) -> None:
        self._cells[_MEASURED] = wanted

    def in_flight(self) -> int:
        """Requests in hand over all workers."""
        return sum(self._cells[CELLS : (self._cells[0] + 1) * CELLS : CELLS])

    def crowd(self) -> tuple[int, int]:
        """How many workers accept connections, and how many they have together."""
        workers = connections = 0
        for cell in range(CELLS, (self._cells[0] + 1) * CELLS, CELLS):
            if self._cells[cell + ACCEPTING]:
                workers += 1
                connections += self._cells[cell + CONNECTIONS]
        return workers, connections

    def close(self) -> None:
        """Unmap the table and close its descriptor."""
        self._cells.release()
        self._memory.close()
        os.close(self.fd)
