"""The man page ``hornbeamctl(1)``, from the table of commands."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from hornbeamd.config.render import roff
from hornbeamd.control import codes
from hornbeamd.control.arguments import Argument, Switch
from hornbeamd.control.command import Command
from hornbeamd.control.usage import GENERAL

_PAGE = r"""
.TH HORNBEAMCTL 1 "" hornbeamd "User Commands"
.SH NAME
hornbeamctl \- control a running hornbeamd
.SH SYNOPSIS
.B hornbeamctl
[\fB\-c \fIFILE\fR | \fB\-\-socket \fIPATH\fR] [\fB\-\-json\fR] \fICOMMAND\fR ...
.SH DESCRIPTION
Asks a daemon over its control socket, and shows what it answers: as text for people, or as JSON.
.PP
Without
.B \-c
and
.B \-\-socket
it is the socket that the variable
.B HORNBEAM_CONTROL_SOCKET
names, or else the only daemon that runs; of several, they are listed.
.PP
root, the user that the daemon runs as and, where the option
.B control.group
names a group, its members may use the socket.
.SH OPTIONS
GENERAL
.SH COMMANDS
COMMANDS
.SH EXIT STATUS
CODES
.SH JSON
With
.B \-\-json
the answer is one line, an object with the keys below.
Each progress of a command that tells how far it is comes before it, as {"progress": {...}}.
JSON
.SH FILES
.TP
.I /run/hornbeam/control.sock
The socket of the system's daemon; see
.B control.socket
in
.BR sys.toml (5)
for others.
.SH SEE ALSO
.BR hornbeamd (8),
.BR sys.toml (5)
"""


def render(table: Iterable[Command]) -> str:
    """Write the page."""
    commands = list(table)
    return roff.page(
        _PAGE,
        GENERAL=roff.definitions((f"{flags} {value}".rstrip(), text) for flags, value, text in GENERAL),
        COMMANDS=[line for command in commands for line in _command(command)],
        CODES=roff.definitions((str(code), text) for code, text in codes.MEANINGS),
        JSON=[line for command in commands if command.answer for line in _answer(command)],
    )


def _command(command: Command) -> Iterator[str]:
    yield from (".TP", f".B {roff.escaped(command.usage)}", roff.escaped_line(command.summary))
    if command.details:
        yield roff.escaped_line(command.details)
    if command.failing:
        yield f"Exit status 1: {roff.escaped(command.failing)}."
    if command.arguments:
        yield from (".RS", *roff.definitions(map(_argument, command.arguments)), ".RE")


def _argument(argument: Argument) -> tuple[str, str]:
    name = argument.flag or argument.metavar
    if argument.flag and not isinstance(argument.kind, Switch):
        name += f" {argument.metavar}"
    value = "" if isinstance(argument.kind, Switch) else f" Value: {argument.kind.expected}."
    return name, argument.help + value


def _answer(command: Command) -> Iterator[str]:
    keys = (f"{name}: {text}" for name, _, text in command.answer)
    yield from (".TP", f".B {roff.escaped(command.name)}")
    for key in keys:
        yield from (roff.escaped_line(key) + ".", ".br")
