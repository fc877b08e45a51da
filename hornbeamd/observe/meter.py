"""Counts the exchanges of one worker, by status and by what they took, into its row of the scoreboard.

The figures are kept here and written down with every tick of the server's clock: adding to a list costs half of adding
to shared memory. What a worker has counted since its last tick is lost when it is killed.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Callable, MutableSequence
from typing import TYPE_CHECKING

from hornbeamd.worker.scoreboard import BOUNDS, BYTES, CELLS, CLASSES, COUNTS, SECONDS, WAITING, WIDTH

if TYPE_CHECKING:
    from hornbeamd.http.exchange import Exchange

_ALL = CLASSES[-1] + 1
_FIRST = CLASSES[0] * WIDTH


class Meter:
    """Of the worker whose row of the scoreboard is *row*.

    *wanted* says whether anybody wants to know, *waiting* how many requests wait for a thread.
    """

    def __init__(
        self, row: MutableSequence[int], wanted: Callable[[], bool], waiting: Callable[[], int] = lambda: 0
    ) -> None:
        self._row = row
        self._wanted = wanted
        self._waiting = waiting
        # By the first digit of the status, which so needs no arithmetic; there is none below 2.
        self._counts = [0] * (_ALL * WIDTH)
        self._seconds = [0.0] * _ALL
        self._bytes = 0

    @property
    def wanted(self) -> bool:
        """Whether anybody wants to know."""
        return self._wanted()

    def record(self, exchange: Exchange, now: float) -> None:
        """Take note of *exchange*, which is over *now* (seconds of ``time.monotonic``).

        A WebSocket is no request that took long, and what began while nobody wanted to know is of unknown length.
        """
        self._bytes += exchange.bytes_sent
        if exchange.upgraded or not exchange.began:
            return
        seconds = now - exchange.began
        kind = exchange.status // 100
        self._counts[kind * WIDTH + bisect_left(BOUNDS, seconds)] += 1
        self._seconds[kind] += seconds

    def flush(self) -> None:
        """Write down what was counted."""
        row = self._row
        row[WAITING] = self._waiting()
        row[BYTES] = self._bytes
        for cell, kind in enumerate(CLASSES, SECONDS):
            row[cell] = int(self._seconds[kind] * 1e6)
        row[COUNTS:CELLS] = array("q", self._counts[_FIRST:])
