"""How often children may die: OTP's restart intensity, and the pause that follows when it is exceeded.

In OTP a supervisor whose children die too often ends, and lets its own supervisor decide. Here the decision
is known: a server that still answers requests keeps doing so and tries again later, more and more slowly; one
that answers nobody gives up, loudly, so that systemd or the orchestrator sees it.
"""

from __future__ import annotations

import random as entropy
from collections import deque
from collections.abc import Callable

FIRST_PAUSE = 1.0
LONGEST_PAUSE = 60.0


class Intensity:
    """Counts deaths: more than ``limit`` of them within ``period`` seconds are too many.

    Once there were too many, every further death is one too many as well, until children have lived for
    ``period`` seconds after a pause. ``random`` gives numbers in [0, 1); it spreads the pauses of several
    servers that fail for one common reason.
    """

    def __init__(self, limit: int, period: float, random: Callable[[], float] = entropy.random) -> None:
        self.limit = limit
        self.period = period
        self._random = random
        self._deaths: deque[float] = deque()
        self._pauses = 0
        self._paused_until = 0.0

    def record(self, now: float) -> bool:
        """Count a death; true when it was one too many."""
        if self._pauses and now > self._paused_until + self.period:
            self._pauses = 0
        self._deaths.append(now)
        while self._deaths[0] <= now - self.period:
            self._deaths.popleft()
        return self._pauses > 0 or len(self._deaths) > self.limit

    def pause(self, now: float) -> float:
        """Seconds to wait from now before the next restart: doubled each time, capped, less a quarter at
        random.

        During a pause this is what is left of it: children that die together are one misfortune, not several.
        """
        if now < self._paused_until:
            return self._paused_until - now
        length = min(FIRST_PAUSE * 2.0**self._pauses, LONGEST_PAUSE) * (1.0 - self._random() / 4.0)
        self._pauses = min(self._pauses + 1, 10)
        self._paused_until = now + length
        return length
