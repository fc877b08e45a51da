"""What a pool decides: the actions of ``pool.py``, which ``workers.py`` and ``fleet.py`` carry out."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Start:
    """Fork worker ``number`` from the spawner of ``generation``."""

    number: int
    generation: int


@dataclass(frozen=True, slots=True)
class Drain:
    """Tell a worker to accept no more and to end when its requests are done, within ``timeout`` seconds.

    Idle connections stay open for ``idle`` seconds, so that a request that is already on its way finds
    someone.
    """

    number: int
    why: str
    timeout: float
    idle: float


@dataclass(frozen=True, slots=True)
class Quit:
    """Tell a worker to end now, whatever it has in hand."""

    number: int
    why: str


@dataclass(frozen=True, slots=True)
class Kill:
    """End a worker that does not listen."""

    number: int
    why: str


@dataclass(frozen=True, slots=True)
class Dump:
    """Have a worker write the stacks of its threads, which go to the log."""

    number: int
    why: str


@dataclass(frozen=True, slots=True)
class Proven:
    """The first worker of this generation serves. In a reload the others wait for ``Pool.proceed``."""

    generation: int


@dataclass(frozen=True, slots=True)
class Settled:
    """The reload is complete: only workers of this generation serve."""

    generation: int


@dataclass(frozen=True, slots=True)
class Reverted:
    """The reload failed: ``generation`` goes, the one before it serves on."""

    generation: int
    why: str


@dataclass(frozen=True, slots=True)
class Hold:
    """Workers die too often: none is started for ``seconds``."""

    seconds: float


@dataclass(frozen=True, slots=True)
class GiveUp:
    """Nothing serves and nothing will."""

    why: str


Action = Start | Drain | Quit | Kill | Dump | Proven | Settled | Reverted | Hold | GiveUp
