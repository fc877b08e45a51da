"""What is measured at one moment, as plain values: the supervisor fills it in, ``metrics.py`` tells it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Worker:
    """A web worker: its number, and its row of the scoreboard."""

    number: int
    row: Sequence[int]


@dataclass(frozen=True, slots=True)
class Pool:
    """The processes of one pool, or, where *name* is "", the web workers.

    *states* tells how many boot, serve and drain, *ends* how many have ended so far, by reason.
    """

    name: str
    wanted: int
    states: Mapping[str, int]
    ends: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Usage:
    """What a process takes: bytes of *memory*, seconds of *cpu* since it began; *descriptors* where it is known."""

    memory: int
    cpu: float
    descriptors: int | None


@dataclass(frozen=True, slots=True)
class Reloads:
    """How many there have been, by result; of the last one, if there was one, when it ended and how long it took."""

    results: Mapping[str, int]
    successful: bool = True
    at: float | None = None
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Hub:
    """How often its process was started, and what it answered; None where it did not, in time or at all.

    See ``worker/figures.py`` for the keys of *answer*.
    """

    starts: int
    answer: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Figures:
    """All of it. *started* is in seconds of ``time.time``, *totals* as the scoreboard has them, *usage* by process."""

    version: str
    started: float
    generation: int
    totals: Sequence[int]
    workers: Sequence[Worker]
    pools: Sequence[Pool]
    reloads: Reloads
    hub: Hub
    usage: Mapping[str, Usage] = field(default_factory=dict)
