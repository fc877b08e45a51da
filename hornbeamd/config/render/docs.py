"""The table of options in ``docs/configuration.md``, between two marks; the rest of that page is written by hand."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from hornbeamd.config.declare import Option
from hornbeamd.config.render import values
from hornbeamd.config.tables import each_of, keys_of

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
        *(row for option in table for row in _rows(option)),
    ]
    return "".join((before, BEGIN, "\n", "\n".join(rows), "\n", END, after))


def _rows(option: Option) -> Iterator[str]:
    yield _row(option.key, option, option.apply.words)
    for key in keys_of(option):
        yield _row(f"{each_of(option)}.{key.key}", key, "")


def _row(name: str, option: Option, applies: str) -> str:
    default = "required"
    if option.key != "app" and not option.required:
        default = f"`{values.toml(option.plain(option.default))}` {option.kind.number_unit}".rstrip()
    meaning = " ".join(option.help.split()).replace("|", "\\|").replace("<", "&lt;")
    return f"| `{name}` | {default} | {meaning} | {applies} |"
