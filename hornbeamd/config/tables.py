"""The kinds of values that are tables, each with the same keys: a list of them, or one for each of some names.

As TOML has them: ``[[hornbeam.mounts]]`` and ``[hornbeam.pools.NAME]``. What a table may hold is a frozen dataclass
whose fields are made by ``key()``, as those of a section are by ``option()``. A file has tables in the way of its
format; in the environment and in flags they are JSON.
"""

from __future__ import annotations

import dataclasses
from abc import abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

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
class SomeTables(Kind):
    """What the two kinds share: their tables become objects of the dataclass *of*, the value is a tuple of these."""

    of: type
    metavar = "JSON"
    each: ClassVar[str]
    """How one of the tables is spelled behind the name of the option, where any of them is meant."""

    @property
    def keys(self) -> tuple[Option, ...]:
        """The keys of each table."""
        return rows(self.of)

    @property
    def _names(self) -> str:
        return ", ".join(key.key for key in self.keys)

    @abstractmethod
    def read(self, value: object) -> tuple[Any, ...]:
        """Read the tables. Raises UnfitWithin with all that is wrong in them."""

    def parse(self, text: str) -> tuple[Any, ...]:
        return self.read(read_json(text)) if text.strip() else ()

    def anchor(self, value: tuple[Any, ...], folder: str) -> tuple[Any, ...]:
        return tuple(
            dataclasses.replace(table, **{key.key: key.kind.anchor(key.of(table), folder) for key in self.keys})
            for table in value
        )

    def _read(self, item: Any, place: Place, problems: Problems, **more: Any) -> Any:
        """Read the table at *place*; what is wrong is added to *problems*, and then the table is None."""
        if not isinstance(item, dict):
            problems.append((place, f"got {describe(item)}; expected a table with the keys {self._names}"))
            return None
        known = {key.key: key for key in self.keys}
        values, before = {}, len(problems)
        for name, value in item.items():
            if name not in known:
                hint = suggest(name, known) or f"; expected {', '.join(known)}"
                problems.append(((*place, name), f"unknown key{hint}"))
                continue
            try:
                values[name] = known[name].kind.read(value)
            except Unfit as error:
                problems.append(((*place, name), refusal(known[name], value, str(error))))
        for name, row in known.items():
            if row.required and name not in item:
                problems.append((place, f'"{name}" is missing; expected {row.kind.expected}'))
        return self.of(**values, **more) if len(problems) == before else None

    def _plain(self, table: Any) -> dict[str, Any]:
        return {
            key.key: key.plain(found)
            for key in self.keys
            if (found := getattr(table, key.key)) != key.default or key.required
        }

    def _schema(self) -> Schema:
        return {
            "type": "object",
            "additionalProperties": False,
            "properties": {
                key.key: {"description": " ".join(key.help.split()), **key.kind.schema()} for key in self.keys
            },
            "required": [key.key for key in self.keys if key.required],
        }


@dataclass(frozen=True)
class Tables(SomeTables):
    """A list of tables; a single one needs no list around it.

    A list in place of a table gives the values of the keys *by_place* in their order; behind them may stand a
    table with the other keys.
    """

    by_place: tuple[str, ...] = ()
    each = "[]"

    @property
    def expected(self) -> str:
        return f"a list of tables with the keys {self._names}"

    def read(self, value: object) -> tuple[Any, ...]:
        items = [value] if isinstance(value, dict) else value
        if not isinstance(items, (list, tuple)):
            raise Unfit
        problems: Problems = []
        tables = tuple(self._read(self._named(item), (number,), problems) for number, item in enumerate(items))
        if problems:
            raise UnfitWithin(problems)
        return tables

    def _named(self, item: Any) -> Any:
        """Give a list of values the names of their keys, where it is one that may stand for a table."""
        if not isinstance(item, (list, tuple)):
            return item
        *values, last = item or [None]
        if not isinstance(last, dict):
            values, last = list(item), {}
        if not 0 < len(values) <= len(self.by_place) or not last.keys().isdisjoint(self.by_place[: len(values)]):
            return item
        return dict(zip(self.by_place, values, strict=False)) | last

    def plain(self, value: tuple[Any, ...]) -> list[dict[str, Any]]:
        return [self._plain(table) for table in value]

    def schema(self) -> Schema:
        table = self._schema()
        forms = [table, {"type": "array", "minItems": 1}] if self.by_place else [table]
        return {"anyOf": [table, {"type": "array", "items": {"anyOf": forms}}]}


@dataclass(frozen=True)
class NamedTables(SomeTables):
    """Tables by name. A name is of the kind *names*, and becomes the field ``name`` of its object."""

    names: Kind
    each = ".NAME"

    @property
    def expected(self) -> str:
        return f"tables by name, each with the keys {self._names}"

    def read(self, value: object) -> tuple[Any, ...]:
        if value is None or value == []:  # none at all, in YAML, and in Erlang terms
            value = {}
        if not isinstance(value, dict):
            raise Unfit
        problems: Problems = []
        tables = []
        for name, item in value.items():
            try:
                self.names.read(name)
            except Unfit:
                problems.append(((name,), f"got {describe(name)} for a name; expected {self.names.expected}"))
            tables.append(self._read({} if item is None or item == [] else item, (name,), problems, name=name))
        if problems:
            raise UnfitWithin(problems)
        return tuple(tables)

    def plain(self, value: tuple[Any, ...]) -> dict[str, dict[str, Any]]:
        return {table.name: self._plain(table) for table in value}

    def schema(self) -> Schema:
        named = {"propertyNames": self.names.schema(), "additionalProperties": self._schema()}
        return {"type": ["object", "null"], **named}


def keys_of(option: Option) -> tuple[Option, ...]:
    """The keys of each table of *option*; none where it holds no tables."""
    return option.kind.keys if isinstance(option.kind, SomeTables) else ()


def each_of(option: Option) -> str:
    """How any of the tables of *option* is spelled: ``mounts[]``, ``pools.NAME``."""
    return option.key + (option.kind.each if isinstance(option.kind, SomeTables) else "")


def read_json(text: str) -> Any:
    """What JSON holds, in which no key may stand twice. Raises Unfit."""
    import json  # workers, which read no text, import this module

    try:
        return json.loads(text, object_pairs_hook=_once)
    except (ValueError, RecursionError) as error:
        raise Unfit(f"it is no JSON ({error})") from None


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key stands twice in one table")
    return found
