"""A throw-away copy of this system, to install packages in: what is changed there is gone with it."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

# Nobody there finds the service manager of the real one: that is known by a folder in /run.
_PREPARE = """
set -e
mount -t tmpfs -o size=1g tmpfs "$1"
cd "$1"
mkdir upper work root
mount -t overlay -o lowerdir=/,upperdir=upper,workdir=work overlay root
cd root
mount --rbind /dev dev
mount -t proc proc proc
for each in dev/shm run tmp; do mount -t tmpfs tmpfs $each; done
exec chroot . sh -c 'echo ready; exec sleep infinity'
"""


class Machine:
    """The root file system of this machine as an overlay, with mounts and processes of its own; needs root.

    ``folder`` is an empty one. The network is this machine's. On leaving all processes in it are killed.
    """

    def __init__(self, folder: Path) -> None:
        command = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-c", _PREPARE, "sh", str(folder)]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        self._pid = ""

    def __enter__(self) -> Machine:
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "ready\n"
        self._pid = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children").read_text().strip()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.communicate()

    @property
    def root(self) -> Path:
        """Its root folder, as it is seen from here."""
        return Path(f"/proc/{self._pid}/root")

    def start(self, *command: str, log: Path) -> subprocess.Popen[bytes]:
        """Start a command; what it writes goes into *log*."""
        with log.open("wb") as file:
            return subprocess.Popen(
                self._inside(command), stdin=subprocess.DEVNULL, stdout=file, stderr=subprocess.STDOUT
            )

    def run(self, *command: str, code: int = 0) -> str:
        """Run a command, which ends with *code*; gives all that it writes."""
        ended = subprocess.run(
            self._inside(command),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=120,
        )
        assert ended.returncode == code, f"{' '.join(command)} ended with {ended.returncode}: {ended.stdout}"
        return ended.stdout

    def processes(self) -> Iterator[str]:
        """The command lines of all that runs there."""
        for each in (self.root / "proc").glob("[0-9]*/cmdline"):
            try:
                yield each.read_text().replace("\0", " ").strip()
            except (FileNotFoundError, ProcessLookupError):
                pass

    def _inside(self, command: tuple[str, ...]) -> list[str]:
        where = [f"--target={self._pid}", "--mount", "--pid", "--root"]
        settings = ["PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C.UTF-8", "DEBIAN_FRONTEND=noninteractive"]
        clean = ["env", "--ignore-environment", "--chdir=/", *settings]
        return ["nsenter", *where, *clean, *command]
