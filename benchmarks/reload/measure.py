"""One way to reload of one server under load; and what a hundred swaps leave behind."""

from __future__ import annotations

import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..clients import SCRIPT
from ..processes import ROOT, ServerFailed, Tree, free_port, running
from .project import Project
from .servers import Server, Way

PROBES = 20
"""So many answers in a row, each over a connection of its own, must be of the new version."""
ARRIVAL = 60.0
SETTLE = 0.5
"""Seconds from a reload until it is quiet again."""
WRK_CONNECTIONS = 16
WRK_DELAY = 10

Window = tuple[float, float]


class Running:
    """A server that serves the application of *project*."""

    def __init__(self, server: Server, tree: Tree, project: Project, port: int) -> None:
        self.server = server
        self.tree = tree
        self.project = project
        self.port = port

    def reload(self, way: Way) -> Window:
        """Edit the application and have it reloaded; gives when that began and when only the new version answered.

        Raises ServerFailed.
        """
        version = self.project.edit()
        began = time.monotonic()
        if isinstance(way.order, signal.Signals):
            os.kill(self.tree.leader, way.order)
        else:
            self._control(*way.order)
        arrived, in_a_row = time.monotonic(), 0
        while in_a_row < PROBES:
            found = self.version()
            in_a_row += 1
            if found != version:
                arrived, in_a_row = time.monotonic(), 0
            if arrived > began + ARRIVAL:
                raise ServerFailed(f"version {version} is not there {ARRIVAL:.0f} s after {way.title}, but {found}")
        return began, arrived

    def _control(self, *words: str) -> None:
        command = [sys.executable, "-m", "hornbeamd.control.cli", "-c", str(self.project.folder / "sys.toml"), *words]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=ARRIVAL, check=False)
        if done.returncode:
            raise ServerFailed(f"{' '.join(words)}: exit {done.returncode}\n{done.stdout}{done.stderr}")

    def version(self) -> int | None:
        """The version that answers; None when nobody does, which the checking client will have seen, too."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/", timeout=10) as answer:
                return int(answer.headers["x-version"])
        except (OSError, TypeError):
            return None


@contextmanager
def served(server: Server) -> Iterator[Running]:
    """The server with the application's first version."""
    with tempfile.TemporaryDirectory() as folder:
        project, port = Project(Path(folder)), free_port()
        with running(server.name, server.command(project.folder, port), port, None) as tree:
            found = Running(server, tree, project, port)
            deadline = time.monotonic() + ARRIVAL
            while found.version() != 1:
                if time.monotonic() > deadline:
                    raise ServerFailed("the application does not answer")
                time.sleep(0.05)
            yield found


class Load:
    """The load on one server: the checking client, and wrk at a steady pace."""

    def __init__(self, server: Running, sockets: int) -> None:
        port = str(server.port)
        http2 = [] if server.server.http2 else ["--no-http2"]
        asking = [sys.executable, "-m", "benchmarks.reload.load", port, "--sockets", str(sockets), *http2]
        self._checking = subprocess.Popen(asking, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        connections = ["-t1", f"-c{WRK_CONNECTIONS}", "-d600s", "--timeout", "20s"]
        url = [f"http://127.0.0.1:{port}/", "--", "0", "", str(WRK_DELAY)]
        self._wrk = subprocess.Popen(["wrk", *connections, "-s", str(SCRIPT), *url], stdout=subprocess.PIPE, text=True)

    def __enter__(self) -> Load:
        return self

    def stop(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """End the load; gives what the checking client and what wrk have seen."""
        self._wrk.send_signal(signal.SIGINT)
        seen, _ = self._checking.communicate(timeout=30)
        wrk, _ = self._wrk.communicate(timeout=30)
        if self._checking.returncode:
            raise ServerFailed("the checking client ended with an error")
        return json.loads(seen), json.loads(wrk.splitlines()[-1])

    def __exit__(self, *_: object) -> None:
        for process in (self._checking, self._wrk):
            if process.poll() is None:
                process.kill()
            process.communicate()


def under_load(server: Server, way: Way, reloads: int, sockets: int, quiet: float) -> dict[str, Any]:
    """Reload so many times, and tell what clients noticed of it. Raises ServerFailed.

    It is *quiet* for so many seconds in all, a part of them before each reload: what else the machine does changes.
    """
    with served(server) as serving, Load(serving, sockets) as load:
        time.sleep(2.0)  # connections are opened
        still: list[Window] = []
        windows: list[Window] = []
        for _ in range(reloads):
            still.append(_rest(quiet / reloads))
            windows.append(serving.reload(way))
            time.sleep(SETTLE)
        seen, wrk = load.stop()
    quiet_p99, during_p99 = p99(seen["latencies"], still), p99(seen["latencies"], windows)
    return {
        "server": server.name,
        "way": way.name,
        "reloads": reloads,
        "seconds": round(statistics.median(end - began for began, end in windows), 3),
        "answers": seen["answers"],
        "failures": seen["failures"],
        "told": seen["told"],
        "wrk": {"requests": wrk["requests"], "errors": wrk["errors"]},
        "p99_quiet_ms": quiet_p99,
        "p99_during_ms": during_p99,
    }


def _rest(seconds: float) -> Window:
    began = time.monotonic()
    time.sleep(seconds)
    return began, time.monotonic()


def p99(latencies: list[tuple[float, float]], windows: list[Window]) -> float | None:
    """The 99th percentile, in ms, of the answers that were waited for during *windows*."""
    found = sorted(
        took for began, took in latencies if any(began < end and began + took > start for start, end in windows)
    )
    return round(found[int(len(found) * 0.99)] * 1000, 2) if found else None


def growth(server: Server, way: Way, reloads: int) -> dict[str, Any]:
    """What each reload leaves behind, in the first third from the third on, and in the last third: descriptors, threads
    and bytes of all processes."""
    samples: list[tuple[int, int, int, int]] = []
    with served(server) as serving, Load(serving, 0) as load:
        for number in range(1, reloads + 1):
            serving.reload(way)
            if number >= 3:
                time.sleep(0.05)
                samples.append((number, *held(serving.tree)))
        load.stop()
    third = reloads // 3
    left = {"first": left_by_each(samples[:third]), "last": left_by_each(samples[-third:])}
    return {"server": server.name, "way": way.name, "reloads": reloads, "left": left, "samples": samples}


def left_by_each(samples: list[tuple[int, int, int, int]]) -> dict[str, float]:
    """Descriptors, threads and bytes that each reload leaves behind."""
    numbers, *columns = zip(*samples, strict=True)
    names = ("descriptors", "threads", "bytes")
    return {name: round(slope(numbers, column), 3) for name, column in zip(names, columns, strict=True)}


def held(tree: Tree) -> tuple[int, int, int]:
    """Descriptors, threads, and bytes of anonymous memory of all processes."""
    descriptors = threads = 0
    for pid in tree.members():
        try:
            descriptors += len(os.listdir(f"/proc/{pid}/fd"))
            threads += len(os.listdir(f"/proc/{pid}/task"))
        except OSError:
            continue
    return descriptors, threads, tree.memory()


def slope(numbers: tuple[int, ...], values: tuple[int, ...]) -> float:
    """By how much values grow with each number, by least squares."""
    if len(numbers) < 2:
        return 0.0
    return statistics.linear_regression(numbers, values).slope
