"""How slow a request body may be."""

from __future__ import annotations

from typing import Final

PACE_SECONDS: Final = 5.0
"""For so long a body may be slower than ``body_min_rate``."""


def too_slow(seconds: float, received: int, rate: int) -> bool:
    """Tell whether *received* bytes in *seconds* are fewer than *rate* per second asks for."""
    return seconds >= PACE_SECONDS and received < seconds * rate
