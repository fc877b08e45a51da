"""The JSON Schema of a configuration file, for editors: the same for TOML, YAML and Erlang terms."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from hornbeamd.config.declare import SECTION, Option


def render(table: Iterable[Option]) -> str:
    """Write the schema (JSON Schema 2020-12)."""
    whole = _section("Configuration of hornbeamd")
    for option in table:
        *path, name = (SECTION, *option.key.split("."))
        place = whole
        for part in path:
            place = place["properties"].setdefault(part, _section(f"Section {part}"))
        description = " ".join(option.help.split())
        default = option.plain(option.default)
        place["properties"][name] = {"description": description, "default": default, **option.kind.schema()}
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "hornbeamd", **whole}
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def _section(description: str) -> dict[str, Any]:
    return {"description": description, "type": ["object", "null"], "additionalProperties": False, "properties": {}}
