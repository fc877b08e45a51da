"""The installed command as a test sees it: a subprocess with a log, which is always ended."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

import hornbeamd
from tests.support.waiting import wait_until

T = TypeVar("T")

_LISTENING = re.compile(r"listening on ((?:https?|unix):\S+)")
_WORKER = re.compile(r"worker ready.*?\bpid=(\d+)")
_SPAWNER = re.compile(r"spawner ready.*?\bpid=(\d+)")


class Daemon:
    """``hornbeamd`` run with ``args`` in ``folder``, on a port of its own choice unless ``bind`` says otherwise.

        with Daemon("app:application", "--workers", "2", folder=tmp_path, ready=2) as daemon:
            httpx.get(daemon.url)

    It gets a process group of its own. On leaving it is stopped, then killed, together with whatever is left of
    the group; when the test failed, its log is shown.
    """

    def __init__(
        self,
        *args: str,
        folder: Path,
        bind: str | None = "127.0.0.1:0",
        env: Mapping[str, str] | None = None,
        pass_fds: Sequence[int] = (),
        prefix: Sequence[str] = (),
        ready: int = 0,
    ) -> None:
        """``prefix`` is a command that runs the daemon, as ``unshare`` does; without ``bind`` no flag is given.

        Entering waits until ``ready`` workers are.
        """
        self.folder = folder
        self.log_path = folder / "hornbeamd.log"
        self._command = [*prefix, sys.executable, "-m", "hornbeamd", *args]
        if bind is not None:
            self._command += ["--bind", bind]
        self._pass_fds = pass_fds
        self._ready = ready
        home = str(Path(hornbeamd.__file__).parents[1])
        # The paths of sockets are short, those of tests are not.
        self._control = tempfile.mkdtemp(prefix="hb-")
        self._env = {
            **os.environ,
            "PYTHONPATH": home,
            "PYTHONDONTWRITEBYTECODE": "1",
            "HORNBEAM_CONTROL_SOCKET": self.control,
            **(env or {}),
        }
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Daemon:
        with self.log_path.open("wb") as log:
            self._process = subprocess.Popen(
                self._command,
                cwd=self.folder,
                env=self._env,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                pass_fds=self._pass_fds,
                start_new_session=True,
            )
        if self._ready:
            try:
                self.wait_log("worker ready", count=self._ready, deadline=15.0)
            except BaseException as error:
                self.__exit__(type(error), error, error.__traceback__)
                raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.running:
            self.signal(signal.SIGTERM)
            try:
                self.process.wait(5)
            except subprocess.TimeoutExpired:
                self.signal(signal.SIGQUIT)
        self._kill_group()
        self.process.wait(5)
        shutil.rmtree(self._control)
        if kind is not None:
            print(f"--- log of {' '.join(self._command)}\n{self.log}\n--- end of log", file=sys.stderr)  # noqa: T201

    def _kill_group(self) -> None:
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass

    @property
    def process(self) -> subprocess.Popen[bytes]:
        """The supervisor (or the ``prefix`` command) as a subprocess."""
        assert self._process is not None, "the daemon was not started"
        return self._process

    @property
    def pid(self) -> int:
        """The process id of the supervisor."""
        return self.process.pid

    @property
    def control(self) -> str:
        """The path of its control socket."""
        return os.path.join(self._control, "control")

    def ctl(self, *words: str, code: int = 0) -> str:
        """Run ``hornbeamctl`` for this daemon, which ends with *code*; gives all that it writes."""
        command = [sys.executable, "-m", "hornbeamd.control.cli", *words]
        ended = subprocess.run(
            command,
            cwd=self.folder,
            env=self._env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=30,
        )
        assert ended.returncode == code, f"hornbeamctl {' '.join(words)} ended with {ended.returncode}: {ended.stdout}"
        return ended.stdout

    def ask(self, *words: str, code: int = 0) -> dict[str, Any]:
        """The same with ``--json``; gives the answer."""
        answer: dict[str, Any] = json.loads(self.ctl("--json", *words, code=code).splitlines()[-1])
        return answer

    @property
    def running(self) -> bool:
        """Whether the supervisor lives."""
        return self.process.poll() is None

    @property
    def log(self) -> str:
        """Everything that the daemon has written so far, to its log, stdout and stderr."""
        return self.log_path.read_text(errors="replace")

    @property
    def urls(self) -> list[str]:
        """What the daemon says it listens on."""
        return _LISTENING.findall(self.log)

    @property
    def url(self) -> str:
        """The first of them."""
        return self.wait(lambda: self.urls, "it does not say where it listens")[0]

    @property
    def port(self) -> int:
        """The port of the first of them."""
        return int(self.url.rpartition(":")[2])

    def wait_ready(self, deadline: float = 15.0) -> Daemon:
        """Wait until the first worker serves."""
        self.wait_log(" serving", deadline=deadline)
        return self

    def wait_log(self, text: str, *, count: int = 1, deadline: float = 10.0) -> None:
        """Wait until the log holds ``text`` so many times; fail at once when the daemon ends without it."""

        def seen() -> bool:
            if self.log.count(text) >= count:
                return True
            assert self.running or self.log.count(text) >= count, f"it ended without saying {text!r}"
            return False

        self.wait(seen, f"it does not say {text!r} {count} times", deadline=deadline)

    def wait(self, condition: Callable[[], T], explain: Callable[[], object] | str, *, deadline: float = 10.0) -> T:
        """``wait_until`` for this daemon."""
        return wait_until(condition, deadline=deadline, explain=explain)

    def signal(self, number: int) -> None:
        """Send a signal to the supervisor alone."""
        self.process.send_signal(number)

    def signal_group(self, number: int) -> None:
        """Send a signal to all its processes, as a terminal does."""
        os.killpg(self.process.pid, number)

    def wait_ended(self, deadline: float = 10.0) -> int:
        """Wait for the end of the supervisor; gives its exit status."""
        try:
            return self.process.wait(deadline)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"it did not end within {deadline:g} s") from None

    def workers(self) -> list[int]:
        """The process ids of the workers that were ready at some time and live, oldest first."""
        return [pid for pid in map(int, _WORKER.findall(self.log)) if alive(pid)]

    def wait_workers(self, count: int, deadline: float = 10.0) -> list[int]:
        """Wait until exactly so many workers live; gives their process ids."""
        return self.wait(
            lambda: pids if len(pids := self.workers()) == count else None,
            f"not {count} workers",
            deadline=deadline,
        )

    def group(self) -> list[int]:
        """The process ids of all that live of what it has started."""
        pids = [int(path.name) for path in Path("/proc").iterdir() if path.name.isdecimal()]
        return [pid for pid in pids if _group_of(pid) == self.process.pid and alive(pid)]

    def spawner(self) -> int:
        """The process id of the latest spawner."""
        return int(_SPAWNER.findall(self.log)[-1])


def _group_of(pid: int) -> int | None:
    try:
        return os.getpgid(pid)
    except ProcessLookupError:
        return None


def alive(pid: int) -> bool:
    """Whether a process runs; one that is dead but not yet collected does not."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return stat.rpartition(")")[2].split()[0] not in "ZX"
