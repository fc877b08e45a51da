"""The command ``hornbeamd``: run an application, or check a configuration.

Every option of the table is a flag. Problems go to standard error, one a line, each behind "hornbeamd: ".
"""

from __future__ import annotations

import argparse
import difflib
import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, NoReturn

from hornbeamd import __version__
from hornbeamd.config.layers import DEFAULT
from hornbeamd.config.mounts import Mount, mounted
from hornbeamd.config.options import TABLE
from hornbeamd.config.resolve import Loaded, load
from hornbeamd.errors import ConfigError

# The codes of sysexits(3) where there is one.
EX_USAGE = 64
EX_CONFIG = 78
EX_INTERRUPTED = 130

EXAMPLES = """examples:
  hornbeamd myapp:application --bind :8000       run an application of the working folder
  hornbeamd -c /etc/hornbeam/sys.toml            run what a file describes
  hornbeamd myapp:application --reload           run it while it is being written
  hornbeamd check -c /etc/hornbeam/sys.toml      only check the file
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and give its exit code."""
    _fill_standard_descriptors()
    try:
        code = _command(list(sys.argv[1:] if arguments is None else arguments), whole=arguments is None)
        sys.stdout.flush()
    except KeyboardInterrupt:
        return EX_INTERRUPTED
    except BrokenPipeError:
        # The reader of our output has gone, as in "hornbeamd check | head -1". Python flushes once more at its
        # end and would complain; so standard output leads nowhere from here on.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return code


def _fill_standard_descriptors() -> None:
    """Open the null device for each that whoever started us has closed; else a socket would get its number, and what
    an application prints would be written there."""
    for fd, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(fd)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # the lowest number that is free is this one
            setattr(sys, name, open(fd, "w" if fd else "r", closefd=False))  # noqa: SIM115


def _command(arguments: list[str], *, whole: bool) -> int:
    """Do what *arguments* say; ``whole``: they are those that the process was started with."""
    checking = arguments[:1] == ["check"]
    given = vars(_parser().parse_args(arguments[1:] if checking else arguments))
    file: str | None = given.pop("config", None)
    app: str | None = given.pop("application", None)
    if given.pop("reload", False):
        given = {"reload.watch": True, "reload.development": True, **given}
    if app == "check":  # hornbeamd -c FILE check
        checking = True
    elif app is not None:
        given.setdefault("app", app)
    named = {"app", "mounts"} & given.keys() or {"HORNBEAM_APP", "HORNBEAM_MOUNTS"} & os.environ.keys()
    if file is None and not named:
        return _complain(
            ["there is nothing to run: name a file with -c, or an application", *_lines(EXAMPLES)], EX_USAGE
        )
    try:
        folder = os.getcwd()
    except FileNotFoundError:
        return _complain(["the working folder has been removed: change to another one"], 1)
    loading = partial(load, file, dict(os.environ), given, folder)
    try:
        loaded = loading()
    except ConfigError as error:
        return _complain(error.problems, EX_CONFIG)
    return _report(loaded) if checking else _run(loaded, loading, again=whole)


def _run(loaded: Loaded, reload: Callable[[], Loaded], *, again: bool) -> int:
    # Imported here, for the check of a file needs none of the supervisor.
    from hornbeamd.supervisor.boot import run
    from hornbeamd.supervisor.successor import Command

    return run(loaded, reload, Command.of_this_process(os.environ) if again else None)


def _complain(lines: Sequence[str], code: int) -> int:
    for line in lines:
        sys.stderr.write(f"hornbeamd: {line}\n")
    return code


def _lines(text: str) -> list[str]:
    return text.rstrip().split("\n")


def _report(loaded: Loaded) -> int:
    """Say what would run, and each value that was set, with its source."""
    options = loaded.options
    binds = ", ".join(str(address) for address in options.bind)
    what = f"{options.workers} {'worker' if options.workers == 1 else 'workers'}"
    what = ", ".join((what, *(f"pool {pool.name} of {pool.processes}" for pool in options.pools)))
    served = ", ".join(_served(mount) for mount in mounted(options))
    sys.stdout.write(f"the configuration is good: {served} at {binds}, {what}\n")
    for option in TABLE:
        source = loaded.provenance[option.key]
        if source != str(DEFAULT):
            value = json.dumps(option.plain(option.of(options)), ensure_ascii=False)
            sys.stdout.write(f"  {option.key} = {value}    ({source})\n")
    return 0


def _served(mount: Mount) -> str:
    what = f"{mount.app} ({mount.worker_class})" if mount.app else f"files of {mount.directory}"
    return what if mount.prefix == "/" else f"{what} below {mount.prefix}"


class _Parser(argparse.ArgumentParser):
    """argparse, with errors in our form and a suggestion for a flag that is not known."""

    def parse_args(self, args: Any = None, namespace: Any = None) -> Any:
        known, unknown = self.parse_known_args(args, namespace)
        if unknown:
            self.error(_unknown(unknown[0], self._option_string_actions))
        return known

    def error(self, message: str) -> NoReturn:
        raise SystemExit(_complain([message, 'try "hornbeamd --help"'], EX_USAGE))


def _unknown(argument: str, known: Mapping[str, Any]) -> str:
    if not argument.startswith("-"):
        return f'"{argument}" is one argument too many; expected one application'
    name = argument.partition("=")[0]
    close = difflib.get_close_matches(name, known, n=1)
    return f"there is no flag {name}" + (f'; did you mean "{close[0]}"?' if close else "")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="hornbeamd",
        usage="hornbeamd [check] [-c FILE] [application] [--option value ...]",
        description="Run a WSGI or ASGI application. With the word check: only check the configuration.",
        epilog=EXAMPLES + "\nAll options are explained in sys.toml(5); HORNBEAM_* variables set them as well.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        argument_default=argparse.SUPPRESS,
        allow_abbrev=False,
    )
    parser.add_argument("application", nargs="?", help='"module:callable", the same as --app')
    parser.add_argument("-c", "--config", metavar="FILE", help="a file in TOML, YAML or Erlang terms")
    parser.add_argument(
        "--reload",
        action="store_true",
        help="for development: load what is saved, and show errors in the browser; the same as --reload-watch and "
        "--reload-development",
    )
    parser.add_argument("--version", action="version", version=f"hornbeamd {__version__}")
    group = parser.add_argument_group("options")
    for option in TABLE:
        settings: dict[str, Any] = {"dest": option.key, "help": option.summary.replace("%", "%%")}
        if option.is_switch:
            settings["action"] = argparse.BooleanOptionalAction
        else:
            settings["metavar"] = option.kind.metavar
            settings["action"] = "append" if option.is_list else "store"
        group.add_argument(option.flag, **settings)
    return parser
