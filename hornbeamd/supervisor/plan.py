"""What a supervisor does after an event, decided without doing it.

Children are given in the order in which they were started. Nothing here starts, stops, waits or asks the
time, so that every case can be tested against a naive model; ``tree.py`` carries the plans out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hornbeamd.supervisor.spec import ChildSpec, Strategy


@dataclass(frozen=True, slots=True)
class Plan:
    """Stop some, one after the other; forget those that are not wanted; start some, one after the other."""

    stop: tuple[str, ...] = ()
    start: tuple[str, ...] = ()
    forget: tuple[str, ...] = ()


def after_exit(children: Sequence[ChildSpec], ended: str, *, normal: bool, strategy: Strategy) -> Plan:
    """The plan after the child ``ended`` did so by itself.

    Under ``rest_for_one`` the children started after it are stopped, youngest first, and started again in
    their order; a temporary one among them is stopped and not started again, as OTP does it. A child that is
    not restarted takes nobody with it.
    """
    place = next(index for index, child in enumerate(children) if child.id == ended)
    if not children[place].wanted_after(normal=normal):
        return Plan(forget=(ended,))
    if strategy is Strategy.ONE_FOR_ONE:
        return Plan(start=(ended,))
    younger = children[place + 1 :]
    back = [child.id for child in younger if child.wanted_after(normal=False)]
    gone = [child.id for child in younger if not child.wanted_after(normal=False)]
    return Plan(stop=tuple(child.id for child in reversed(younger)), start=(ended, *back), forget=tuple(gone))


def shutdown(children: Sequence[ChildSpec]) -> Plan:
    """The plan for the end: the youngest first, because a child may rely on those started before it."""
    ids = tuple(child.id for child in children)
    return Plan(stop=ids[::-1], forget=ids)
