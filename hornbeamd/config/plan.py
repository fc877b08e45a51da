"""What a changed configuration asks for: which options changed, and what each needs to have its effect."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from operator import attrgetter
from typing import Any

from hornbeamd.config.declare import Apply
from hornbeamd.config.options import TABLE, Options


@dataclass(frozen=True, slots=True)
class Plan:
    """The keys that changed, by the way their change applies, in the order of the table."""

    live: tuple[str, ...] = ()
    workers: tuple[str, ...] = ()
    restart: tuple[str, ...] = ()

    @property
    def strongest(self) -> Apply | None:
        """The strongest of the ways that this plan needs; None when nothing changed."""
        if self.restart:
            return Apply.RESTART
        if self.workers:
            return Apply.WORKERS
        return Apply.LIVE if self.live else None


def put(options: Options, key: str, value: Any) -> Options:
    """*options*, but with *value* for *key*."""
    section, _, name = key.rpartition(".")
    if section:
        name, value = section, replace(getattr(options, section), **{name: value})
    return replace(options, **{name: value})


def keep(old: Options, new: Options, keys: Iterable[str]) -> Options:
    """*new*, but with the values that *old* has of *keys*."""
    for key in keys:
        new = put(new, key, attrgetter(key)(old))
    return new


def plan(old: Options, new: Options) -> Plan:
    """Compare two configurations."""
    changed = [option for option in TABLE if option.of(old) != option.of(new)]

    def keys(apply: Apply) -> tuple[str, ...]:
        return tuple(option.key for option in changed if option.apply is apply)

    return Plan(live=keys(Apply.LIVE), workers=keys(Apply.WORKERS), restart=keys(Apply.RESTART))
