"""Reads the command line by the table, and shows what can be written there.

The standard library's parser takes longer to import than all else that ``hornbeamctl`` does, so this one reads the
table itself: a command of one or two words, its arguments, and flags anywhere.
"""

from __future__ import annotations

import re

from hornbeamd.control.arguments import Argument, Choice, Switch, Unfit
from hornbeamd.control.command import Command
from hornbeamd.control.commands import BY_NAME, TABLE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Any

PROGRAM = "hornbeamctl"

GENERAL = (
    ("--json", "", "Write the answer as JSON, for scripts. Each progress is a line of its own before it."),
    ("-c, --config", "FILE", "The daemon that runs with this configuration file."),
    ("--socket", "PATH", "The daemon that listens at this socket."),
    ("--version", "", "The same as the command version."),
    ("-h, --help", "", "Show this; behind a command, what it does."),
)
"""The flags of every command: spellings, what follows, what they mean."""

_SHORT = {"-c": "--config", "-h": "--help"}
_TAKES_VALUE = {"--config": "config", "--socket": "socket"}
_SWITCHES = {"--json": "json", "--help": "help"}
_NEGATIVE = re.compile(r"-\.?\d.*", re.ASCII)
"""A number, or text that begins like one: no flag does."""


class Misused(Exception):
    """The command line is wrong; the text says what, and what would be right."""


class Line:
    """A command line that was read. Without a ``command``, help was asked for."""

    def __init__(self) -> None:
        self.command: Command | None = None
        self.arguments: dict[str, Any] = {}
        self.json = False
        self.help = False
        self.config: str | None = None
        self.socket: str | None = None


def parse(words: Sequence[str]) -> Line:
    """Read a command line. Raises Misused."""
    line = Line()
    plain, flags = _sorted_out(words)
    line.command = _command(plain)
    if line.command is None and ("--version", None) in flags:
        line.command = BY_NAME["version"]
    for name, value in flags:
        if name in _TAKES_VALUE:
            setattr(line, _TAKES_VALUE[name], value)
        elif name in _SWITCHES:
            setattr(line, _SWITCHES[name], True)
        elif name != "--version":
            _take_flag(line, name, value)
    if line.help:
        return line
    if line.command is None:
        raise Misused(_no_command(plain))
    _take_positional(line, line.command, plain[len(line.command.name.split()) :])
    return line


def _sorted_out(words: Sequence[str]) -> tuple[list[str], list[tuple[str, str | None]]]:
    """The plain words, and the flags with their values."""
    plain: list[str] = []
    flags: list[tuple[str, str | None]] = []
    rest = iter(words)
    for word in rest:
        if word == "--":
            plain += rest
        elif not word.startswith("-") or word == "-" or _NEGATIVE.fullmatch(word):
            plain.append(word)
        else:
            name, is_given, value = word.partition("=")
            name = _SHORT.get(name, name)
            if not _takes_value(name):
                if is_given:
                    raise Misused(f"{name} takes no value")
                flags.append((name, None))
            elif is_given:
                flags.append((name, value))
            else:
                following = next(rest, None)
                if following is None:
                    raise Misused(f"{name} needs a value")
                flags.append((name, following))
    return plain, flags


def _takes_value(name: str) -> bool:
    return name in _TAKES_VALUE or any(
        argument.flag == name and not isinstance(argument.kind, Switch)
        for command in TABLE
        for argument in command.arguments
    )


def _command(plain: Sequence[str]) -> Command | None:
    """The command that *plain* begins with; of two that do, the longer one."""
    return BY_NAME.get(" ".join(plain[:2])) or BY_NAME.get(" ".join(plain[:1]))


def _no_command(plain: Sequence[str]) -> str:
    if not plain:
        return f'which command? "{PROGRAM} --help" lists them'
    below = [command.name for command in TABLE if command.name.startswith(plain[0] + " ")]
    if below:
        wrong = f'"{plain[0]} {plain[1]}" is no command' if plain[1:] else f"{plain[0]} what?"
        return f"{wrong}; there is {', '.join(below)}"
    return f'"{plain[0]}" is no command{_suggestion(plain[0], BY_NAME)}; "{PROGRAM} --help" lists them'


def _take_flag(line: Line, name: str, value: str | None) -> None:
    flags = {argument.flag: argument for argument in (line.command.arguments if line.command else ()) if argument.flag}
    argument = flags.get(name)
    if argument is None:
        of = f" of {line.command.name}" if line.command else ""
        hint = _suggestion(name, [*flags, *_TAKES_VALUE, *_SWITCHES])
        if not hint and line.command and line.command.positional:
            hint = '; what is none, and begins with a dash, goes behind "--"'
        raise Misused(f"{name} is no flag{of}{hint}")
    line.arguments[argument.name] = True if value is None else _read(argument, value)


def _take_positional(line: Line, command: Command, given: Sequence[str]) -> None:
    expected = command.positional
    if len(given) > len(expected):
        raise Misused(f'"{given[len(expected)]}" is one too many; usage: {PROGRAM} {command.usage}')
    for argument, text in zip(expected, given, strict=False):
        line.arguments[argument.name] = _read(argument, text)
    for argument in command.arguments:
        if argument.name not in line.arguments:
            if argument.required:
                raise Misused(f"{argument.metavar} is missing; usage: {PROGRAM} {command.usage}")
            line.arguments[argument.name] = argument.default


def _read(argument: Argument, text: str) -> Any:
    try:
        return argument.read(text)
    except Unfit as error:
        raise Misused(str(error)) from None


def _suggestion(name: str, known: Iterable[str]) -> str:
    import difflib  # only where something is wrong

    close = difflib.get_close_matches(name, known, n=1)
    return f'; did you mean "{close[0]}"?' if close else ""


# --- help ---


def help_text(command: Command | None = None) -> str:
    """What ``--help`` shows: of a command, or of all."""
    if command is None:
        lines = [f"usage: {PROGRAM} [-c FILE | --socket PATH] [--json] COMMAND ...", "", "Control a running hornbeamd."]
        lines += ["", "commands:", *_columns((each.usage, each.summary) for each in TABLE)]
    else:
        lines = [f"usage: {PROGRAM} {command.usage}", "", *_wrapped(f"{command.summary} {command.details}", 79)]
        lines += ["", "arguments:", *_columns(map(_described, command.arguments))] if command.arguments else []
    general = ((f"{flags} {value}".rstrip(), help) for flags, value, help in GENERAL)
    return "\n".join([*lines, "", "flags of every command:", *_columns(general)]) + "\n"


def _described(argument: Argument) -> tuple[str, str]:
    name = argument.flag or argument.metavar
    if argument.flag and not isinstance(argument.kind, Switch):
        name += f" {argument.metavar}"
    words = f" One of {argument.kind.expected}." if isinstance(argument.kind, Choice) else ""
    return name, argument.help + words


def _columns(rows: Iterable[tuple[str, str]]) -> list[str]:
    """Names and their meanings side by side; a long name has a line of its own."""
    lines = []
    for name, text in rows:
        lead = f"  {name}"
        if len(lead) > 24:
            lines.append(lead)
            lead = ""
        for part in _wrapped(text, 54):
            lines.append(f"{lead:<25} {part}")
            lead = ""
    return lines


def _wrapped(text: str, width: int) -> list[str]:
    """Lines of at most *width* characters; no word is longer."""
    lines = [""]
    for word in text.split():
        if lines[-1] and len(lines[-1]) + 1 + len(word) > width:
            lines.append("")
        lines[-1] += f" {word}" if lines[-1] else word
    return lines
