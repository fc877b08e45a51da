"""The table of options in ``docs/configuration.md``, between two marks; the rest of that page is written by hand."""

from __future__ import annotations

from collections.abc import Iterable

from hornbeamd.config.declare import Option
from hornbeamd.config.render import values

BEGIN = "<!-- options: written by scripts/render, do not edit -->"
END = "<!-- options: end -->"


def render(page: str, table: Iterable[Option]) -> str:
    """Put the table between the marks of ``page``. Raises ValueError where a mark is missing."""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"the page has no {BEGIN} ... {END}")
    rows = [
        "| option | default | meaning | a change applies |",
        "|---|---|---|---|",
        *(_row(option) for option in table),
    ]
    return "".join((before, BEGIN, "\n", "\n".join(rows), "\n", END, after))


def _row(option: Option) -> str:
    default = "required"
    if option.key != "app":
        default = f"`{values.toml(option.plain(option.default))}` {option.kind.number_unit}".rstrip()
    meaning = " ".join(option.help.split()).replace("|", "\\|").replace("<", "&lt;")
    return f"| `{option.key}` | {default} | {meaning} | {option.apply.words} |"
