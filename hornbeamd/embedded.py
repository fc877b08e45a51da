"""The daemon of a program that embeds it: ``python -m hornbeamd.embedded FD``, run by ``embedding.py``.

FD is the reading end of a pipe. Its first line says in JSON what to run: ``config``, a file or null, ``arguments``, and
``folder``, from which paths count. No other follows; the end of the pipe is the end of the program.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from functools import partial

from hornbeamd.cli import EX_CONFIG
from hornbeamd.config.resolve import load
from hornbeamd.errors import ConfigError
from hornbeamd.supervisor.boot import run


def main() -> int:
    """Run the daemon; gives the exit status of the process."""
    fd = int(sys.argv[1])
    os.set_inheritable(fd, False)
    setup = _first_line(fd)
    if setup is None:
        return 0
    given = json.loads(setup)
    loading = partial(load, given["config"], dict(os.environ), folder=given["folder"], arguments=given["arguments"])
    try:
        loaded = loading()
    except ConfigError as error:  # the program has found none; so a file has changed meanwhile
        sys.stderr.write("".join(f"hornbeamd: {line}\n" for line in error.problems))
        return EX_CONFIG
    threading.Thread(target=_follow, args=(fd,), name="lifeline", daemon=True).start()
    return run(loaded, loading)


def _first_line(fd: int) -> bytes | None:
    """The first line of the pipe; None when the program is gone already."""
    text = b""
    while not text.endswith(b"\n"):
        more = os.read(fd, 65536)
        if not more:
            return None
        text += more
    return text


def _follow(fd: int) -> None:
    """Drain and end when the program does."""
    while os.read(fd, 65536):
        pass
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    sys.exit(main())
