"""The command ``hornbeamctl``: control a running daemon.

It imports as little as it can, for it is run by hand and by scripts, many times over; ``usage.py`` says how it is read.
"""

from __future__ import annotations

import json
import os
import select
import sys
import time

from hornbeamd.control import codes
from hornbeamd.control.client import VARIABLE, Client, Failure, find
from hornbeamd.control.command import LOOK
from hornbeamd.control.usage import PROGRAM, Line, Misused, help_text, parse

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from typing import Any

    Plain = dict[str, Any]

PAUSE = 0.1
# A daemon that does not say who, or how, it is within this time hangs; what it changes takes as long as it takes.
SILENCE = 30.0
# One that has closed its socket has nothing left to do but to end.
LAST_MOMENT = 5.0


def main(words: Sequence[str] | None = None) -> int:
    """Run the command and give its exit code."""
    sys.stdout = sys.stdout or open(os.devnull, "w")  # noqa: SIM115 - it was started without
    try:
        code = _run(parse(sys.argv[1:] if words is None else words))
        sys.stdout.flush()
    except Misused as error:
        return _complain(f'{error}\ntry "{PROGRAM} --help"', codes.USAGE)
    except Failure as error:
        return _complain(str(error), error.code)
    except KeyboardInterrupt:
        return codes.INTERRUPTED
    except OSError as error:
        # Our output cannot be written. Python flushes once more at its end, and would complain.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if isinstance(error, BrokenPipeError):  # its reader has gone, and knows that
            return codes.FAILED
        return _complain(f"the output cannot be written: {error.strerror}", codes.FAILED)
    return code


def _run(line: Line) -> int:
    if line.help or line.command is None:
        sys.stdout.write(help_text(line.command))
        return codes.OK
    return _ALONE.get(line.command.name, _ask)(line)


def _ask(line: Line) -> int:
    """Have the daemon carry it out."""
    assert line.command is not None
    with Client(_socket(line), SILENCE) as client:
        if line.command.access_for(line.arguments) != LOOK:
            client.be_patient()
        return _answered(line, client.ask(line.command.name, line.arguments, _teller(line)))


def _answered(line: Line, answer: Plain) -> int:
    assert line.command is not None
    code = line.command.code(answer)
    if line.json:
        _write([json.dumps(answer)])
    else:
        _write(line.command.show(answer), sys.stderr if code else sys.stdout)
    return code


def _teller(line: Line) -> Callable[[Plain], None] | None:
    """Shows each progress as it comes."""
    step = line.command.step if line.command else None
    if step is None:
        return None

    def tell(progress: Plain) -> None:
        _write([json.dumps({"progress": progress}) if line.json else step(progress)])
        sys.stdout.flush()

    return tell


# --- which daemon ---


def _socket(line: Line) -> str:
    """Where the daemon listens. Raises Failure."""
    if line.socket is not None:
        return line.socket
    if line.config is not None:
        return _of_file(line.config)
    named = os.environ.get(VARIABLE, "auto")
    return find(os.environ) if named == "auto" else _given(named, VARIABLE)


def _of_file(config: str) -> str:
    """Where the daemon with the file *config* listens. The rest of the file, and our environment, are its own affair:
    here they could be wrong, or another daemon's. Raises Failure."""
    # Imported here: without a file, none of the readers of files is needed.
    from hornbeamd.config.resolve import peek
    from hornbeamd.errors import ConfigError

    try:
        config = os.path.abspath(config)
    except FileNotFoundError:
        raise Failure(f"{config}: the working folder has been removed", codes.CONFIG) from None
    try:
        named = peek(config, "control.socket")
    except ConfigError as error:
        try:
            return find(os.environ, config)
        except Failure as failure:
            if failure.code != codes.UNREACHABLE:
                raise
            raise Failure("\n".join([*error.problems, str(failure)]), codes.CONFIG) from None
    return find(os.environ, config) if named == "auto" else _given(named, config)


def _given(path: str | None, by: str) -> str:
    if not path:
        raise Failure(f"the control socket is off by {by}: nothing can be asked of this daemon", codes.UNREACHABLE)
    return path


# --- commands that are more than a question ---


def _stop(line: Line) -> int:
    """Stop the daemon and wait until it is gone."""
    with Client(_socket(line), SILENCE) as client:
        client.be_patient()
        answer = client.ask("stop", line.arguments)
        _write([f"process {answer['pid']} ends"] if not line.json else [])
        sys.stdout.flush()
        try:
            while True:
                client.ask("version", {})
                time.sleep(PAUSE)
        except Failure:
            _wait_gone(answer["pid"])
    return _answered(line, answer) if line.json else codes.OK


def _wait_gone(pid: int) -> None:
    """Wait for the end of a process that is about to end; not for long, since the number may be one of a container."""
    try:
        descriptor = os.pidfd_open(pid)
    except OSError:
        return
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    poll.poll(LAST_MOMENT * 1000)
    os.close(descriptor)


def _wait_ready(line: Line) -> int:
    """Wait also for a daemon that does not listen yet, or that is about to start anew."""
    assert line.command is not None
    end = time.monotonic() + line.arguments["timeout"]
    while True:
        left = max(0.0, end - time.monotonic())
        try:
            with Client(_socket(line), left + 5) as client:
                return _answered(line, client.ask("wait ready", {"timeout": left}))
        except Failure as failure:
            if failure.code != codes.UNREACHABLE:
                raise
            if time.monotonic() >= end:
                raise Failure(f"not ready within {line.arguments['timeout']:g} s: {failure}", codes.TIMED_OUT) from None
        time.sleep(PAUSE)


def _version(line: Line) -> int:
    from hornbeamd import __version__

    answer = None
    try:
        with Client(_socket(line), 3.0) as client:
            answer = client.ask("version", {})
    except Failure as failure:
        if line.socket or line.config:
            raise
        told = f"the daemon   {failure}".split("\n") if failure.code != codes.UNREACHABLE else []
    else:
        assert line.command is not None
        told = line.command.show(answer)
    if line.json:
        _write([json.dumps({PROGRAM: __version__, "daemon": answer})])
    else:
        _write([f"{PROGRAM} {__version__}", *told])
    return codes.OK


def _completion(line: Line) -> int:
    from hornbeamd.control.completion import script

    sys.stdout.write(script(line.arguments["shell"]))
    return codes.OK


def _top(line: Line) -> int:
    from hornbeamd.control.top import Top

    return Top(lambda: Client(_socket(line), 10.0), json=line.json).run(**line.arguments)


_ALONE: dict[str, Callable[[Line], int]] = {
    "stop": _stop,
    "wait ready": _wait_ready,
    "version": _version,
    "completion": _completion,
    "top": _top,
}


# --- output ---


def _write(lines: Iterable[str], stream: Any = None) -> None:
    """Write lines; what is not printable in them, and so might speak to the terminal, as escapes."""
    stream = stream or sys.stdout
    encoding = stream.encoding or "utf-8"
    for line in lines:
        shown = line if line.isprintable() else "".join(char if char.isprintable() else _escaped(char) for char in line)
        stream.write(shown.encode(encoding, "backslashreplace").decode(encoding) + "\n")


def _escaped(char: str) -> str:
    return char.encode("unicode_escape", "surrogatepass").decode("ascii")


def _complain(text: str, code: int) -> int:
    _write((f"{PROGRAM}: {line}" for line in text.split("\n")), sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
