"""How an option is declared, and what can be known about it.

A section is a frozen dataclass whose fields are made by ``option()``; one with the metadata ``section`` is
a sub-section. ``rows()`` lays a section out as a flat table of ``Option``; everything else (validation,
flags, environment, the plan of a reload, man pages, samples, schema) reads that table.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from enum import IntEnum
from operator import attrgetter
from typing import Any

from hornbeamd.config.kind import Kind
from hornbeamd.config.kinds import Bool, ListOf

SECTION = "hornbeam"


class Apply(IntEnum):
    """What it takes for a changed option to have its effect; the higher, the stronger."""

    LIVE = 0  # at once, in the running daemon
    WORKERS = 1  # by replacing the workers, without refusing a request
    RESTART = 2  # only by starting the daemon anew

    @property
    def words(self) -> str:
        return ("at once", "by replacing workers", "by a restart")[self]


@dataclass(frozen=True, slots=True)
class Option:
    """One row of the table.

    ``key`` is the name below ``hornbeam`` in a file, with a dot for a sub-section (``log.level``); ``flag``
    and ``environment`` are its other two spellings. ``default`` is the value the program works with,
    ``help`` is text whose first line stands on its own.
    """

    key: str
    kind: Kind
    default: Any
    apply: Apply
    help: str
    secret: bool = False

    @property
    def flag(self) -> str:
        return "--" + self.key.replace(".", "-").replace("_", "-")

    @property
    def environment(self) -> str:
        return "HORNBEAM_" + self.key.replace(".", "_").upper()

    @property
    def summary(self) -> str:
        return self.help.partition("\n")[0]

    @property
    def required(self) -> bool:
        """Whether it must be given, for want of a default; so keys of tables may be."""
        return self.default is dataclasses.MISSING

    @property
    def is_list(self) -> bool:
        return isinstance(self.kind, ListOf)

    @property
    def is_switch(self) -> bool:
        return isinstance(self.kind, Bool)

    def of(self, options: Any) -> Any:
        """Give the value of this option in an ``Options`` object."""
        return attrgetter(self.key)(options)

    def plain(self, value: Any) -> Any:
        """Give ``value`` as a file would hold it; a secret only as stars, for it may end in a log."""
        return "***" if self.secret and value else self.kind.plain(value)


def option(default: Any, kind: Kind, apply: Apply, help: str, *, secret: bool = False) -> Any:
    """Declare one option of a section. Raises ValueError when its own default does not pass its kind."""
    kind.read(kind.plain(default))
    metadata = {"kind": kind, "apply": apply, "help": help.strip(), "secret": secret}
    return dataclasses.field(default=default, metadata=metadata)


def rows(of: Any, prefix: str = "") -> tuple[Option, ...]:
    """Lay a section out as a flat table, in the order of declaration."""
    table: list[Option] = []
    for field in dataclasses.fields(of):
        inner = field.metadata.get("section")
        if inner is not None:
            table.extend(rows(inner, f"{prefix}{field.name}."))
        elif "kind" in field.metadata:
            table.append(Option(key=prefix + field.name, default=field.default, **field.metadata))
    return tuple(table)
