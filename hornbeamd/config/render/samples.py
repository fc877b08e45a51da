"""The sample files in ``conf/``: every option with its help and its default, commented out, in each format.

A line of help begins with a doubled comment sign, an option with a single one and no space. So taking that sign away
switches the option on; in Erlang terms the comma stands in front for that reason.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import groupby

from hornbeamd.config.declare import SECTION, Option
from hornbeamd.config.render import values
from hornbeamd.config.tables import keys_of

APP = "myapp:application"

_ABOUT = (
    "Every option of hornbeamd, commented out, with its default. See sys.toml(5).",
    "Check a change before you use it: hornbeamd check -c FILE",
)


def minimal() -> dict[str, str]:
    """The least that runs, and what most people set, by suffix."""
    return {
        "toml": f'[{SECTION}]\napp = "{APP}"\nbind = ":8000"\nworkers = 2\n',
        "yaml": f'{SECTION}:\n  app: "{APP}"\n  bind: ":8000"\n  workers: 2\n',
        "config": f'[{{{SECTION}, [\n    {{app, "{APP}"}},\n    {{bind, ":8000"}},\n    {{workers, 2}}\n]}}].\n',
    }


def full(table: Iterable[Option]) -> dict[str, str]:
    """The whole table, by suffix. ``app`` alone is switched on, for nothing runs without it."""
    options = [option for option in table if option.key != "app"]
    app = next(option for option in table if option.key == "app")
    return {
        "toml": "\n".join(_toml(app, options)) + "\n",
        "yaml": "\n".join(_yaml(app, options)) + "\n",
        "config": "\n".join(_eterms(app, options)) + "\n",
    }


def sections(options: Iterable[Option]) -> Iterator[tuple[str, list[Option]]]:
    """Group options by their sub-section, "" for none."""
    for name, members in groupby(options, lambda option: option.key.rpartition(".")[0]):
        yield name, list(members)


def _name(option: Option) -> str:
    return option.key.rpartition(".")[2]


def _help(option: Option, sign: str, indent: str = "") -> list[str]:
    lines = [*option.help.split("\n"), f"Value: {option.kind.expected}."]
    for key in keys_of(option):
        must = " (required)" if key.required else ""
        lines += [f"  {key.key}{must}: {' '.join(key.help.split())} Value: {key.kind.expected}."]
    return ["", *(f"{indent}{sign} {line}" for line in lines)]


def _toml(app: Option, options: list[Option]) -> Iterator[str]:
    yield from (f"## {line}" for line in _ABOUT)
    yield from ("", f"[{SECTION}]", *_help(app, "##"), f"app = {values.toml(APP)}")
    for name, members in sections(options):
        if name:
            yield from ("", f"[{SECTION}.{name}]")
        for option in members:
            yield from _help(option, "##")
            yield f"#{_name(option)} = {values.toml(option.plain(option.default))}"


def _yaml(app: Option, options: list[Option]) -> Iterator[str]:
    yield from (f"## {line}" for line in _ABOUT)
    yield from ("", f"{SECTION}:", *_help(app, "##", "  "), f"  app: {values.yaml(APP)}")
    for name, members in sections(options):
        indent = "    " if name else "  "
        if name:
            yield from ("", f"  {name}:")
        for option in members:
            yield from _help(option, "##", indent)
            yield f"{indent}#{_name(option)}: {values.yaml(option.plain(option.default))}"


def _eterms(app: Option, options: list[Option]) -> Iterator[str]:
    """Terms stand between commas, so the first of a list cannot be commented out: it is set to its default."""
    yield from (f"%% {line}" for line in _ABOUT)
    yield from ("", f"[{{{SECTION}, [", *_help(app, "%%", "  "), f"    {{app, {values.eterms(APP)}}}")
    for name, members in sections(options):
        if name:
            yield from ("", f"  , {{{values.atom(name)}, [")
        for option in members:
            sign = "  " if name and option is members[0] else "%,"
            yield from _help(option, "%%", "  ")
            value = values.eterms(option.plain(option.default))
            yield f"  {sign}{{{values.atom(_name(option))}, {value}}}"
        if name:
            yield "  ]}"
    yield "]}]."
