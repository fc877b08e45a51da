"""The kind of values that are values by name: ``[hornbeam.functions]`` in TOML; in the environment and flags, JSON."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hornbeamd.config.kind import Kind, Place, Schema, Unfit, UnfitWithin
from hornbeamd.config.tables import read_json
from hornbeamd.config.telling import describe


@dataclass(frozen=True)
class Named(Kind):
    """Names of the kind *names*, each with a value of the kind *values*; read as a tuple of pairs."""

    names: Kind
    values: Kind
    metavar = "JSON"

    @property
    def expected(self) -> str:
        return f"a table in which each name has {self.values.expected}"

    def read(self, value: object) -> tuple[tuple[str, Any], ...]:
        """Read the pairs. Raises UnfitWithin with all that is wrong in them."""
        if value is None or value == []:  # none at all, in YAML, and in Erlang terms
            value = {}
        if not isinstance(value, dict):
            raise Unfit
        problems: list[tuple[Place, str]] = []
        pairs = []
        for name, item in value.items():
            try:
                self.names.read(name)
            except Unfit:
                problems.append(((name,), f"got {describe(name)} for a name; expected {self.names.expected}"))
                continue
            try:
                pairs.append((name, self.values.read(item)))
            except Unfit:
                problems.append(((name,), f"got {describe(item)}; expected {self.values.expected}"))
        if problems:
            raise UnfitWithin(problems)
        return tuple(pairs)

    def parse(self, text: str) -> tuple[tuple[str, Any], ...]:
        return self.read(read_json(text)) if text.strip() else ()

    def plain(self, value: tuple[tuple[str, Any], ...]) -> dict[str, Any]:
        return {name: self.values.plain(item) for name, item in value}

    def schema(self) -> Schema:
        pairs = {"propertyNames": self.names.schema(), "additionalProperties": self.values.schema()}
        return {"type": ["object", "null"], **pairs}
