"""The kind of values that are lists of tables: ``[[hornbeam.mounts]]`` in TOML, each with the same keys.

What a table may hold is a frozen dataclass whose fields are made by ``key()``, as those of a section are by
``option()``. A file has such a list in the way of its format; in the environment and in flags it is JSON.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

from hornbeamd.config.declare import Apply, Option, rows
from hornbeamd.config.kind import Kind, Place, Schema, Unfit, UnfitWithin
from hornbeamd.config.telling import describe, refusal, suggest

Problems = list[tuple[Place, str]]


def key(kind: Kind, help: str, default: Any = dataclasses.MISSING, *, secret: bool = False) -> Any:
    """Declare one key of a table; without a *default* every table must have it."""
    if default is not dataclasses.MISSING:
        kind.read(kind.plain(default))
    # A changed table is a changed list, so how a change applies is said there.
    metadata = {"kind": kind, "apply": Apply.WORKERS, "help": help.strip(), "secret": secret}
    return dataclasses.field(default=default, metadata=metadata)


@dataclass(frozen=True)
class Tables(Kind):
    """A list of tables, read as objects of the dataclass *of*; a single table needs no list around it.

    A list in place of a table gives the values of the keys *by_place* in their order; behind them may stand a
    table with the other keys.
    """

    of: type
    by_place: tuple[str, ...] = ()
    metavar = "JSON"

    @property
    def keys(self) -> tuple[Option, ...]:
        """The keys of each table."""
        return rows(self.of)

    @property
    def expected(self) -> str:
        return f"a list of tables with the keys {', '.join(key.key for key in self.keys)}"

    def read(self, value: object) -> tuple[Any, ...]:
        """Read the tables. Raises UnfitWithin with all that is wrong in them."""
        items = [value] if isinstance(value, dict) else value
        if not isinstance(items, (list, tuple)):
            raise Unfit
        problems: Problems = []
        tables = tuple(self._table(item, number, problems) for number, item in enumerate(items))
        if problems:
            raise UnfitWithin(problems)
        return tables

    def _table(self, item: Any, number: int, problems: Problems) -> Any:
        """Read one table; what is wrong is added to *problems*, and then the table is None."""
        if isinstance(item, (list, tuple)):
            item = self._named(item)
        if not isinstance(item, dict):
            names = ", ".join(key.key for key in self.keys)
            problems.append(((number,), f"got {describe(item)}; expected a table with the keys {names}"))
            return None
        known = {key.key: key for key in self.keys}
        values, before = {}, len(problems)
        for name, value in item.items():
            if name not in known:
                hint = suggest(name, known) or f"; expected {', '.join(known)}"
                problems.append(((number, name), f"unknown key{hint}"))
                continue
            try:
                values[name] = known[name].kind.read(value)
            except Unfit as error:
                problems.append(((number, name), refusal(known[name], value, str(error))))
        for name, row in known.items():
            if row.required and name not in item:
                problems.append(((number,), f'"{name}" is missing; expected {row.kind.expected}'))
        return self.of(**values) if len(problems) == before else None

    def _named(self, item: Any) -> Any:
        """Give a list of values the names of their keys, where it is one that may stand for a table."""
        *values, last = item or [None]
        if not isinstance(last, dict):
            values, last = list(item), {}
        if not 0 < len(values) <= len(self.by_place) or not last.keys().isdisjoint(self.by_place[: len(values)]):
            return item
        return dict(zip(self.by_place, values, strict=False)) | last

    def parse(self, text: str) -> tuple[Any, ...]:
        import json  # workers, which read no text, import this module

        if not text.strip():
            return ()
        try:
            value = json.loads(text, object_pairs_hook=_once)
        except (ValueError, RecursionError) as error:
            raise Unfit(f"it is no JSON ({error})") from None
        return self.read(value)

    def plain(self, value: tuple[Any, ...]) -> list[dict[str, Any]]:
        return [
            {
                key.key: key.plain(found)
                for key in self.keys
                if (found := getattr(table, key.key)) != key.default or key.required
            }
            for table in value
        ]

    def anchor(self, value: tuple[Any, ...], folder: str) -> tuple[Any, ...]:
        return tuple(
            dataclasses.replace(table, **{key.key: key.kind.anchor(key.of(table), folder) for key in self.keys})
            for table in value
        )

    def schema(self) -> Schema:
        keys = self.keys
        table: Schema = {
            "type": "object",
            "additionalProperties": False,
            "properties": {key.key: {"description": " ".join(key.help.split()), **key.kind.schema()} for key in keys},
            "required": [key.key for key in keys if key.required],
        }
        forms = [table, {"type": "array", "minItems": 1}] if self.by_place else [table]
        return {"anyOf": [table, {"type": "array", "items": {"anyOf": forms}}]}


def keys_of(option: Option) -> tuple[Option, ...]:
    """The keys of each table of *option*; none where it is no list of tables."""
    return option.kind.keys if isinstance(option.kind, Tables) else ()


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key stands twice in one table")
    return found
