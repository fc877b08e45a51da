"""Where a forked process learns what it is for."""

from __future__ import annotations

from hornbeamd.worker.birth import Birth
from hornbeamd.worker.life import Life
from hornbeamd.worker.web import Web


def live(birth: Birth) -> int:
    """Be what *birth* says; gives the exit status."""
    return Life(birth, f"worker {birth.number}", Web(birth)).run()
