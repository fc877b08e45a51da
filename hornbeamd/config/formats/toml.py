"""TOML 1.0, read by tomli, with the lines of its keys found again."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date, time
from typing import Any

import tomli

from hornbeamd.config.formats.document import Document, Path, SyntaxProblem

_PLACE = re.compile(r" \(at (?:line (\d+), column (\d+)|end of document)\)$")


def read(text: str) -> Document:
    """Read TOML text. Raises SyntaxProblem with line and column."""
    try:
        data = tomli.loads(text)
    except ValueError as error:  # TOMLDecodeError is one; a number of thousands of digits is another
        raise _problem(str(error), text) from None
    return Document(_plain(data), _lines(text))


def _problem(message: str, text: str) -> SyntaxProblem:
    place = _PLACE.search(message)
    reason = message[: place.start()] if place else message
    if reason == "Cannot overwrite a value":
        return SyntaxProblem("a key stands twice in one table", int(place[1]) if place and place[1] else 0)
    if place and place[1]:
        return SyntaxProblem(reason, int(place[1]), int(place[2]))
    if place and reason == "Invalid value":
        reason = "the file ends inside a value"
    return SyntaxProblem(reason, max(1, len(text.splitlines())) if place else 0)


def _plain(value: Any) -> Any:
    """Turn dates and times into text: no option takes one, and the other formats have none."""
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_plain(inner) for inner in value]
    return value.isoformat() if isinstance(value, (date, time)) else value


def _lines(text: str) -> dict[Path, int]:
    """Find the line of each key of a text that is known to be good, for tomli does not tell."""
    lines: dict[Path, int] = {}
    table: Path = ()
    counts: dict[Path, int] = {}
    for number, statement, data in _statements(text):
        opening = statement.lstrip()
        paths = list(_paths(data))
        if opening.startswith("["):
            names = [part for part in paths[-1] if isinstance(part, str)]
            table = _table(names, opening.startswith("[["), counts)
            for depth in range(1, len(table) + 1):
                lines.setdefault(table[:depth], number)
        else:
            for path in paths:
                lines.setdefault(table + path, number)
    return lines


def _table(names: list[str], one_more: bool, counts: dict[Path, int]) -> Path:
    """Give the path of the table that a header names: in an array of tables it means the latest, or *one_more*."""
    path: Path = ()
    for depth, name in enumerate(names, 1):
        path = (*path, name)
        if one_more and depth == len(names):
            counts[path] = counts.get(path, 0) + 1
        if path in counts:
            path = (*path, counts[path] - 1)
    return path


def _statements(text: str) -> Iterator[tuple[int, str, dict[str, Any]]]:
    """Cut into statements: the fewest lines that are TOML by themselves. An open bracket never is."""
    start, statement = 1, ""
    for number, line in enumerate(text.split("\n"), 1):
        statement += line + "\n"
        try:
            data = tomli.loads(statement)
        except tomli.TOMLDecodeError:
            continue
        yield start, statement, data
        start, statement = number + 1, ""


def _paths(value: Any, prefix: Path = ()) -> Iterator[Path]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield (*prefix, key)
        yield from _paths(inner, (*prefix, key))
