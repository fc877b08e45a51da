"""How problems are told: a value much as its author wrote it, what was expected, a name that is near."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from hornbeamd.config.declare import Option


def refusal(option: Option, value: Any, why: str) -> str:
    """Say that *value* is not one for *option*; *why*, in a few words or "", is what its kind says."""
    got = "a value" if option.secret else describe(value)
    detail = f": {why}" if why and not option.secret else ""
    return f"got {got}{detail}; expected {option.kind.expected}"


def describe(value: Any) -> str:
    """Show a value much as its author wrote it, cut where it is long."""
    match value:
        case bool() | None:
            text = {True: "true", False: "false", None: "null"}[value]
        case str():
            text = f'"{value}"' if value.isprintable() else repr(value)
        case dict():
            text = "a section"
        case list() | tuple():
            text = f"[{', '.join(describe(item) for item in value)}]"
        case _:
            text = repr(value)
    return text if len(text) <= 100 else f"{text[:96]} ..."


def suggest(name: str, known: Collection[str]) -> str:
    """Give "; did you mean ...?" with the one of *known* that is near, or "" where none is."""
    import difflib  # only where something is wrong; workers import this module

    close = difflib.get_close_matches(name.lower().replace("-", "_"), [word.lower() for word in known], n=1)
    found = next((word for word in known if close and word.lower() == close[0]), None)
    return f'; did you mean "{found}"?' if found else ""
