"""Where a forked process learns what it is for."""

from __future__ import annotations

from hornbeamd.worker.birth import Birth
from hornbeamd.worker.life import Life
from hornbeamd.worker.pooled import Pooled
from hornbeamd.worker.web import Web


def live(birth: Birth) -> int:
    """Be what *birth* says; gives the exit status."""
    for pool in birth.options.pools:
        if pool.name == birth.pool:
            return Life(birth, f"pool {pool.name} {_role(birth, 'process')}", Pooled(birth, pool)).run()
    return Life(birth, _role(birth, "worker"), Web(birth)).run()


def _role(birth: Birth, noun: str) -> str:
    return "trial" if birth.trial else f"{noun} {birth.number}"
