"""The first process of a daemon that was upgraded: it stays, so that whoever started it sees it run.

    docker, a shell, supervisord ── keeper, once the first daemon ── the newest daemon ── hub, spawner, workers

It passes signals on to the newest daemon, collects the dead, and ends as that ends. The daemons between the first and
the newest end when they have drained; the newest is then a child of the keeper, which is a subreaper (prctl(2)).

Run as a program of its own, ``python -I -S -c ... PID FD``: by exec, in the place of the first daemon, so that nothing
of that is left in memory. FD is the reading end of a pipe into which each daemon writes the process id of its
successor, on a line. It imports nothing that is ours; its source is read when the daemon starts, for an upgrade may
have replaced the file, and comes by a file in memory, for among the arguments it would fill the screen of ps(1).
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import Collection

FORWARDED = frozenset(
    (
        signal.SIGTERM,
        signal.SIGINT,
        signal.SIGQUIT,
        signal.SIGHUP,
        signal.SIGUSR1,
        signal.SIGTTIN,
        signal.SIGTTOU,
    )
)


class Heirs:
    """Who the newest daemon is: ``pid``, until another is announced on the pipe whose reading end is ``fd``."""

    def __init__(self, pid: int, fd: int) -> None:
        self.fd = fd
        self.status: int | None = None
        """The exit status of the newest, as shells say it, once it is known."""
        self._line = [pid]
        os.set_blocking(fd, False)

    @property
    def pid(self) -> int:
        """The process id of the newest."""
        try:
            while text := os.read(self.fd, 4096):
                self._line += map(int, text.split())  # a line of few bytes is written, and read, as a whole
        except BlockingIOError:
            pass
        return self._line[-1]

    def latest(self, pids: Collection[int]) -> int | None:
        """The newest of those that are daemons among *pids*."""
        return next((pid for pid in reversed(self._line) if pid in pids), None)

    def forward(self, number: int) -> None:
        """Pass a signal on."""
        try:
            os.kill(self.pid, number)
        except ProcessLookupError:
            pass  # its end is what comes next


def keep(heirs: Heirs) -> int:
    """Wait until the newest daemon has ended; gives its exit status. Signals are held by now.

    It is a child of the one before it for as long as that drains, which collects it then, and ends as it has.
    """
    code = 1  # where nobody knows
    while heirs.status is None:
        dead = _collect()
        newest = heirs.pid  # read after that: who has died has announced his successor before
        if (latest := heirs.latest(dead)) is not None:
            code = dead[latest]
        if newest in dead or not _exists(newest):
            heirs.status = shell_status(code)
        elif (number := signal.sigwait({*FORWARDED, signal.SIGCHLD})) != signal.SIGCHLD:
            heirs.forward(number)
    return heirs.status


def shell_status(code: int) -> int:
    """An exit code, negative where a signal was the end, as shells say it."""
    return code if code >= 0 else 128 - code


def _collect() -> dict[int, int]:
    """Collect the dead; their exit codes, negative for a signal."""
    found: dict[int, int] = {}
    with contextlib.suppress(ChildProcessError):
        while (dead := os.waitpid(-1, os.WNOHANG))[0]:
            found[dead[0]] = os.waitstatus_to_exitcode(dead[1])
    return found


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def hold_signals() -> None:
    """Have them wait until there is a keeper to pass them on, or for the end of the process."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {*FORWARDED, signal.SIGCHLD})


def become(heirs: Heirs) -> int:
    """Have this process go on as the keeper alone, or, where that is not possible, as it is. Signals are held."""
    if heirs.status is not None:
        return keep(heirs)
    with contextlib.suppress(OSError, AttributeError):  # the interpreter is gone; the system has no files in memory
        if _can_run():
            os.set_inheritable(heirs.fd, True)
            os.execv(sys.executable, [*_command(_source()), str(heirs.pid), str(heirs.fd)])
    return keep(heirs)


def _can_run() -> bool:
    source = _source()
    try:
        pid = os.posix_spawn(sys.executable, _command(source), os.environ)
    finally:
        os.close(source)
    return os.waitpid(pid, 0)[1] == 0


def _command(source: int) -> list[str]:
    return [sys.executable, "-I", "-S", "-c", f"exec(open({source}, 'rb').read())  # the keeper of hornbeamd"]


def _source() -> int:
    """A descriptor from which this program can be read."""
    fd = os.memfd_create("keeper", 0)
    os.write(fd, _SOURCE.encode())
    os.lseek(fd, 0, os.SEEK_SET)
    return fd


if __name__ != "__main__":
    with open(__file__, encoding="utf-8") as _file:
        _SOURCE = _file.read()
elif sys.argv[1:]:  # without these it is only tried whether it runs
    sys.exit(keep(Heirs(int(sys.argv[1]), int(sys.argv[2]))))
