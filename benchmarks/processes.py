"""A server under test: its own session, its process tree, what the tree has spent and holds (Linux /proc)."""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

READY_SECONDS = 20.0
STOP_SECONDS = 10.0
ROOT = Path(__file__).resolve().parent.parent
LOGS = Path(__file__).resolve().parent / "results"

_TICK = os.sysconf("SC_CLK_TCK")


class ServerFailed(Exception):
    """The server did not come up, died, or did not answer as its workload says."""


class Stat(NamedTuple):
    """The fields of /proc/PID/stat (proc(5)) that count here."""

    parent: int
    session: int
    cpu_ticks: int  # user and system, with waited-for children
    started: int  # with the pid, the identity of a process


def _stat(pid: int) -> Stat | None:
    """None when the process has gone."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    fields = text[text.rindex(")") + 2 :].split()  # the command before may hold spaces and parentheses
    if fields[0] == "Z":  # its time is in its parent's as soon as that has waited for it
        return None
    return Stat(int(fields[1]), int(fields[3]), sum(map(int, fields[11:15])), int(fields[19]))


class Tree:
    """All processes of one server: the leader's descendants and whoever shares its session."""

    def __init__(self, leader: int) -> None:
        self.leader = leader

    def members(self) -> dict[int, Stat]:
        everyone = {int(name): _stat(int(name)) for name in os.listdir("/proc") if name.isdigit()}
        alive = {pid: stat for pid, stat in everyone.items() if stat is not None}
        found = {pid for pid, stat in alive.items() if pid == self.leader or stat.session == self.leader}
        grown = True
        while grown:
            children = {pid for pid, stat in alive.items() if stat.parent in found} - found
            found |= children
            grown = bool(children)
        return {pid: alive[pid] for pid in found}

    def cpu_seconds(self) -> float:
        """User and system time spent so far, ended children included."""
        return sum(stat.cpu_ticks for stat in self.members().values()) / _TICK

    def memory(self) -> int:
        """Bytes of anonymous memory.

        Proportional (Pss), because resident sizes count a page shared by forked processes in each of them
        and do not grow when one of them writes to it; anonymous, because the share in a library's pages
        changes with whatever else runs on the machine.
        """
        total = 0
        for pid in self.members():
            try:
                lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
            except (FileNotFoundError, ProcessLookupError):
                continue
            total += sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss_Anon:"))
        return total


def free_port() -> int:
    """A port of 127.0.0.1 that was free just now; not every server can report one that it chose itself."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def running(name: str, command: list[str], port: int, cores: set[int] | None) -> Iterator[Tree]:
    """The server, from its first answer to a connection until no process of it is left.

    Raises ServerFailed, with the end of its log, when it does not accept within READY_SECONDS.
    """
    LOGS.mkdir(exist_ok=True)
    log = LOGS / f"{name}.log"
    pin = ["taskset", "-c", ",".join(map(str, sorted(cores)))] if cores else []
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*pin, *command],
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    tree = Tree(process.pid)
    try:
        _wait_until_ready(process, port, log)
        yield tree
    finally:
        _stop(process, tree)


def _wait_until_ready(process: "subprocess.Popen[bytes]", port: int, log: Path) -> None:
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise ServerFailed(f"exited with {process.returncode} before it served\n{_tail(log)}")
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            time.sleep(0.02)
    raise ServerFailed(f"does not accept connections after {READY_SECONDS:.0f} s\n{_tail(log)}")


def _tail(log: Path) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-15:])


def _stop(process: "subprocess.Popen[bytes]", tree: Tree) -> None:
    """SIGTERM to the leader; SIGKILL, process by process, to what is left of the tree after STOP_SECONDS."""
    members = tree.members()
    process.terminate()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        pass
    for pid, stat in {**members, **tree.members()}.items():
        now = _stat(pid)
        if now is not None and now.started == stat.started:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
    process.wait(STOP_SECONDS)
