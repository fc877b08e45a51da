"""Section ``hornbeam.hub``."""

from __future__ import annotations

from dataclasses import dataclass

from hornbeamd.config.amounts import Duration, Int, Size
from hornbeamd.config.declare import Apply, option

WORKERS, RESTART = Apply.WORKERS, Apply.RESTART


@dataclass(frozen=True, slots=True, kw_only=True)
class HubOptions:
    """Section ``hornbeam.hub``: messages and calls between processes."""

    call_timeout: float = option(
        30.0,
        Duration("ms"),
        WORKERS,
        "How long a call of a function or a hook may take, waiting included; then CallTimeout is raised.",
    )
    queue_size: int = option(
        1000,
        Int(1, 10_000_000),
        WORKERS,
        "How many messages wait for a slow subscriber; beyond it new ones are dropped, and it is told how many.",
    )
    max_waiting_calls: int = option(
        10_000,
        Int(1, 10_000_000),
        RESTART,
        "How many calls wait for one name whose processes are all busy; beyond it calls are refused at once.",
    )
    max_message_size: int = option(
        64 * 1024 * 1024,
        Size(low=64 * 1024, high=1024 * 1024 * 1024),
        RESTART,
        "The largest message, argument or result that goes from one process to another.",
    )
