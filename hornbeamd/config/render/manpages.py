"""The man pages ``sys.toml(5)`` and ``hornbeamd(8)``, in the macros of man(7)."""

from __future__ import annotations

from collections.abc import Iterable

from hornbeamd.config.declare import Option
from hornbeamd.config.render import roff, samples, values
from hornbeamd.config.tables import keys_of

SIGNALS = (
    ("SIGTERM", "Drain: accept no more, finish the requests in hand within graceful_timeout, and end."),
    ("SIGINT, SIGQUIT", "End at once."),
    ("SIGHUP", "Reload code and configuration, refusing and cutting no request."),
    ("SIGUSR1", "Open the log files anew, after they were rotated."),
    ("SIGTTIN, SIGTTOU", "One worker more, one worker fewer."),
)

EXIT_CODES = (
    ("0", "The daemon ended as it was told to, or the configuration is good."),
    ("1", "The first start failed; the traceback of the application is shown. Or no worker could be kept alive."),
    ("64", "The command line is wrong."),
    ("78", "The configuration is wrong; every problem is shown, one a line."),
)


_SYS_TOML = r"""
.TH SYS.TOML 5 "" hornbeamd "File Formats"
.SH NAME
sys.toml, sys.config, sys.yaml \- configuration of hornbeamd
.SH DESCRIPTION
One table of options in three spellings: TOML (a name that ends in .toml), Erlang terms (.config) and YAML
(.yaml or .yml). All options stand in the section
.BR hornbeam ;
those written below with a dot stand in a section of their own inside it.
EXAMPLES
.PP
The variable of the environment that an option names wins over the file, and its flag over both.
In a variable or a flag, commas separate the items of a list; tables are JSON there.
.PP
A bare number has the unit that the option names; text carries its own: times ms, s, m and h ("1m30s"),
sizes B, KB, MB, GB (thousands) and KiB, MiB, GiB (1024s).
Relative paths count from the folder of the file; in variables and flags, from the working folder.
.PP
An option that is not known, a value of the wrong type or out of range, and options that contradict each other
are errors.
.SH OPTIONS
OPTIONS
.SH SEE ALSO
.BR hornbeamd (8),
.BR hornbeamctl (1)
"""

_HORNBEAMD = r"""
.TH HORNBEAMD 8 "" hornbeamd "System Administration"
.SH NAME
hornbeamd \- application server for Python: WSGI and ASGI under supervision
.SH SYNOPSIS
.B hornbeamd
\-c \fIFILE\fR [\fIoption\fR ...]
.br
.B hornbeamd
\fImodule:callable\fR [\fIoption\fR ...]
.br
.B hornbeamd check
[\-c \fIFILE\fR] [\fImodule:callable\fR] [\fIoption\fR ...]
.SH DESCRIPTION
Runs an application in the foreground, as systemd and containers want it.
What is run, and how, a file, variables of the environment and flags tell; the later of these win.
No file is read that is not named.
.PP
.B hornbeamd check
reads the configuration and runs nothing.
It shows every problem at once, or what would run and each value that is set, with its source.
.SH OPTIONS
.TP
.B \-c \fIFILE\fR, \-\-config \fIFILE\fR
The configuration, in TOML, YAML or Erlang terms.
.TP
.B \-\-reload
For development: load what is saved, and show errors in the browser;
the same as \-\-reload\-watch and \-\-reload\-development.
.TP
.B \-\-version
Show the version.
.TP
.B \-h, \-\-help
Show a summary of the flags.
.PP
Every option of
.BR sys.toml (5)
is a flag. A list may be given by repeating the flag, or with commas.
FLAGS
.SH SIGNALS
SIGNALS
.SH EXIT STATUS
EXIT_CODES
.SH FILES
.TP
.I /etc/hornbeam/sys.toml
The configuration of the system's daemon, which the unit hornbeamd.service runs.
.TP
.I /run/hornbeam, /var/log/hornbeam, /var/lib/hornbeam
Where that daemon may write: control socket, logs, and the state, if
.B state.path
in
.BR sys.toml (5)
says so.
.SH SEE ALSO
.BR hornbeamctl (1),
.BR sys.toml (5)
"""


def sys_toml(table: Iterable[Option]) -> str:
    """Write the page of the file and its options."""
    examples = [line for name, text in samples.minimal().items() for line in roff.example(f"sys.{name}:", text)]
    options = [line for option in table for line in _option(option)]
    return roff.page(_SYS_TOML, EXAMPLES=examples, OPTIONS=options)


def hornbeamd(table: Iterable[Option]) -> str:
    """Write the page of the command."""
    flags = [line for option in table for line in (".TP", f".B {_flag(option)}", roff.escaped_line(option.summary))]
    signals, codes = roff.definitions(SIGNALS), roff.definitions(EXIT_CODES)
    return roff.page(_HORNBEAMD, FLAGS=flags, SIGNALS=signals, EXIT_CODES=codes)


def _option(option: Option) -> list[str]:
    keys = [line for key in keys_of(option) for line in _described(key)]
    return [
        *_described(option),
        f"A change applies {option.apply.words}.",
        ".br",
        f".BR {roff.escaped(option.environment)} , {roff.escaped(option.flag)}",
        *([".RS", *keys, ".RE"] if keys else []),
    ]


def _described(option: Option) -> list[str]:
    default = "required"
    if option.key != "app" and not option.required:
        default = roff.escaped(f"{values.toml(option.plain(option.default))} {option.kind.number_unit}".rstrip())
    return [
        ".TP",
        f".B {roff.escaped(option.key)}",
        *map(roff.escaped_line, option.help.split("\n")),
        ".br",
        roff.escaped_line(f"Value: {option.kind.expected}."),
        ".br",
        f"Default: {default}.",
    ]


def _flag(option: Option) -> str:
    flag = roff.escaped(option.flag)
    if option.is_switch:
        return f"{flag}, \\-\\-no\\-{roff.escaped(option.flag[2:])}"
    return f"{flag} \\fI{roff.escaped(option.kind.metavar)}\\fR"
