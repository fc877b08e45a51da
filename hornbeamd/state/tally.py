"""Counters that many processes add to without waiting for each other, as in worker/scoreboard.py.

Each process writes a row of its own, so nothing is locked between them and nothing is lost; the sum over all rows is
exact at any time, in any process. A row is held by a lock on its bytes, which the kernel takes back when the process
ends; the figures stay in it, and who has the row next adds to them.

Row 0 belongs to nobody. Its first cell is the *mark*: a number that is another one after each change of what is
counted, for those who keep copies of it.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import secrets
import threading
import weakref

CELLS = 4
ROWS = 1024
_ROW = CELLS * 8
_BYTES = ROWS * _ROW


class Tally:
    """The counters in the file at *path*, which is made when missing; without a path, those of this process alone.

    Raises OSError when there is no room for the file: memory that is mapped must be there before it is touched.
    """

    def __init__(self, path: str | None = None) -> None:
        self._lock = threading.Lock()
        self._own: memoryview[int] | None = None
        self._fd = -1
        if path is None:
            self._memory = mmap.mmap(-1, _BYTES, mmap.MAP_PRIVATE)
        else:
            self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                os.posix_fallocate(self._fd, 0, _BYTES)
                self._memory = mmap.mmap(self._fd, _BYTES)
            except BaseException:
                os.close(self._fd)
                raise
        self._cells = memoryview(self._memory).cast("q")
        _tallies.add(self)

    def _claim(self) -> memoryview[int]:
        """A row of which no living process has the lock; the last one is for all for whom there is none."""
        row = 1
        while self._fd >= 0 and row < ROWS - 1:
            try:
                fcntl.lockf(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB, _ROW, row * _ROW)
                break
            except OSError:
                row += 1
        return self._cells[row * CELLS : (row + 1) * CELLS]

    def add(self, cell: int, number: int = 1) -> None:
        """Count *number* more in a cell, 0 to 3."""
        with self._lock:
            if self._own is None:
                self._own = self._claim()
            self._own[cell] += number

    def total(self, cell: int) -> int:
        """What all processes have counted in a cell, also those that are gone."""
        return sum(self._cells[CELLS + cell :: CELLS])

    @property
    def mark(self) -> int:
        """Compare it with what it was: another one means that something has changed meanwhile."""
        return self._cells[0]

    def change(self) -> None:
        """Give the mark another number. It is drawn, for two that count up at once could end where one began."""
        self._cells[0] = secrets.randbits(63)

    def close(self) -> None:
        """Unmap the counters, and give back the row."""
        if self._own is not None:
            self._own.release()
        self._cells.release()
        self._memory.close()
        if self._fd >= 0:
            os.close(self._fd)

    def forked(self) -> None:
        """Take a row of its own, for it is a child now, and has none of its parent's locks."""
        self._lock = threading.Lock()
        self._own = None


_tallies: weakref.WeakSet[Tally] = weakref.WeakSet()


def _forked() -> None:
    for tally in _tallies:
        tally.forked()


os.register_at_fork(after_in_child=_forked)
