"""Child specifications, as in Erlang/OTP's ``supervisor``: what a child is, not how it is run."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Restart(Enum):
    """When a child that ended is started again."""

    PERMANENT = "permanent"  # always
    TRANSIENT = "transient"  # only when it ended abnormally
    TEMPORARY = "temporary"  # never


class Strategy(Enum):
    """Who is restarted together with a child that ended."""

    ONE_FOR_ONE = "one_for_one"  # nobody else
    REST_FOR_ONE = "rest_for_one"  # those started after it, because they were built on it


@dataclass(frozen=True, slots=True, kw_only=True)
class ChildSpec:
    """One child of a supervisor.

    ``id`` is unique among its siblings. ``shutdown`` is how many seconds it may take to end when asked to,
    before it is killed.
    """

    id: str
    restart: Restart = Restart.PERMANENT
    shutdown: float = 5.0

    def wanted_after(self, *, normal: bool) -> bool:
        """Whether the child is started again after it ended, ``normal``\\ ly or not."""
        if self.restart is Restart.TRANSIENT:
            return not normal
        return self.restart is Restart.PERMANENT
