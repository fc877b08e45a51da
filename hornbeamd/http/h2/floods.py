"""What a client may ask of us beyond requests: frames that cost us more than they cost it.

Each kind of nuisance has a budget of its own, so generous that no client in earnest reaches its end, which refills with
time. Whoever has used it up is told ENHANCE_YOUR_CALM, and the connection ends. Known attacks by their names: Rapid
Reset and MadeYouReset (streams reset, by the client or because of it), ping, settings and priority floods, empty
frames, window updates of a byte each.
"""

from __future__ import annotations

from hornbeamd.http.h2.frames import Code, ConnectionFault

RESETS, CONTROLS, EMPTIES, WINDOWS = range(4)

_NAMES = ("streams reset", "control frames", "frames without content", "window updates")
_BURST = (1000, 1000, 100, 2000)
# Per second.
_REFILL = (33.0, 100.0, 10.0, 200.0)


class Floods:
    """The budgets of one connection. Times are seconds of any clock."""

    __slots__ = ("_controls", "_left", "_since", "_updates")

    def __init__(self, now: float) -> None:
        self._left = list(map(float, _BURST))
        self._since = now
        self._controls = self._updates = 0

    def control(self, opened: int, now: float) -> None:
        """A control frame has come; a client that has *opened* many streams may send many. Raises as :meth:`spend`."""
        self._controls += 1
        if self._controls > 2 * opened:
            self.spend(CONTROLS, now)

    def update(self, sent: int, now: float) -> None:
        """A WINDOW_UPDATE has come; who was *sent* many DATA frames may send many. Raises as :meth:`spend`."""
        self._updates += 1
        if self._updates > 4 * sent:
            self.spend(WINDOWS, now)

    def spend(self, kind: int, now: float) -> None:
        """Take one from the budget of *kind*. Raises :class:`ConnectionFault` where nothing is left."""
        left = self._left
        left[kind] -= 1.0
        if left[kind] < 0.0:
            self._refill(now)
            if left[kind] < 0.0:
                raise ConnectionFault(Code.ENHANCE_YOUR_CALM, f"too many {_NAMES[kind]}")

    def _refill(self, now: float) -> None:
        seconds = now - self._since
        self._since = now
        for kind, rate in enumerate(_REFILL):
            self._left[kind] = min(self._left[kind] + seconds * rate, _BURST[kind])
