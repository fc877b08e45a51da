"""The pools of processes: the tables of the option ``pools``."""

from __future__ import annotations

import re
from dataclasses import dataclass

from hornbeamd.config.amounts import Duration, Int, Size
from hornbeamd.config.kind import Kind
from hornbeamd.config.kinds import Matching, Maybe, handler
from hornbeamd.config.tables import key

_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")


def pool_name() -> Kind:
    """What a pool may be called."""
    return Matching('up to 64 letters, digits, "_" and "-"', _NAME)


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolOptions:
    """A table of ``pools``: processes of their own for one handler, which is called by the name of the pool."""

    name: str
    handler: str = key(
        handler(),
        "What serves the calls: a class, of which each process makes one instance, an object, a function or a factory.",
    )
    processes: int = key(Int(1, 1024), "How many processes there are.", 1)
    threads: int = key(
        Int(1, 1024),
        "How many calls of plain functions a process runs at once; coroutine functions run in its event loop.",
        1,
    )
    concurrency: int = key(
        Int(0, 100_000),
        "How many calls a process takes at once; more wait for a free process. 0 means as many as threads, or as many"
        " as a batched method of the handler asks for.",
        0,
    )
    timeout: float | None = key(
        Maybe(Duration("ms")),
        "How long a call may take, waiting included; when empty, the option hub.call_timeout.",
        None,
    )
    max_requests: int = key(Int(0), "Replace a process after so many calls; 0 never does.", 0)
    max_requests_jitter: int = key(
        Int(0), "The largest random number added to max_requests, so that not all are replaced at once.", 0
    )
    max_memory: int = key(
        Size(0),
        "Replace a process that holds more memory than this (resident, with what it shares); 0 never does.",
        0,
    )
