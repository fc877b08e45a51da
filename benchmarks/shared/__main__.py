"""`python -m benchmarks.shared`: measure, print the table, and write it to results/shared.json and README.md."""

import argparse
import json
import os
import shutil
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

import hornbeamd

from ..processes import free_port
from . import report
from .app import MEASUREMENTS
from .awake import cores_awake

WORKERS = 3
WAKING = ("bare", "calls", "latency")  # what wakes other processes: measured on resting cores, too
Samples = dict[str, list[float]]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.shared", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", action="append", choices=list(MEASUREMENTS), help="these only; nothing is written")
    arguments = parser.parse_args()
    if shutil.which("redis-server") is None:
        print("redis-server is missing (Debian: apt install redis-server)", file=sys.stderr)
        return 2
    samples: Samples = {}
    with redis_server() as path:
        os.environ["BENCH_REDIS"] = path
        for number in range(arguments.rounds):
            print(f"round {number + 1}", file=sys.stderr)
            for name, value in measured(arguments.only or list(MEASUREMENTS)).items():
                samples.setdefault(name, []).append(value)
    found = {
        "machine": report.machine(),
        "rounds": arguments.rounds,
        "median": {name: statistics.median(values) for name, values in samples.items()},
        "samples": samples,
    }
    print(report.table(found))
    if not arguments.only:
        report.save(found)
    return 0


def measured(names: list[str]) -> dict[str, float]:
    """One round: a server of its own, started by this program, which also is the other process that is called."""
    port = free_port()
    hornbeamd.register_function("echo", _echo)
    hornbeamd.register_function("echo_soon", _echo_soon)
    hornbeamd.start(
        "benchmarks.shared.app:application",
        worker_class="asgi",
        workers=WORKERS,
        bind=f"127.0.0.1:{port}",
        timeout="120s",
        log={"level": "warning"},
        hub={"queue_size": 100_000},
    )
    figures: dict[str, float] = {}
    try:
        while _asked(port, "workers") < WORKERS:
            time.sleep(0.1)
        time.sleep(1)  # what a worker tidies up when it has started is over
        for name in names:
            found = _asked(port, name)
            if name in WAKING:
                figures |= {f"resting-{key}": value for key, value in found.items()}
                with cores_awake():
                    found = _asked(port, name)
            figures |= found
    finally:
        hornbeamd.stop()
    return figures


def _asked(port: int, path: str) -> Any:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/{path}", timeout=120) as answer:
        return json.load(answer)


def _echo(value: object) -> object:
    return value


async def _echo_soon(value: object) -> object:
    return value


@contextmanager
def redis_server() -> Iterator[str]:
    """Redis as Debian has it, on a Unix socket and nothing else, writing nothing to the disk."""
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "redis.sock")
        process = subprocess.Popen(
            ["redis-server", "--port", "0", "--unixsocket", path, "--save", "", "--appendonly", "no", "--dir", folder],
            stdout=subprocess.DEVNULL,
        )
        try:
            while not os.path.exists(path):
                assert process.poll() is None, "redis-server did not start"
                time.sleep(0.02)
            yield path
        finally:
            process.terminate()
            process.wait(10)


if __name__ == "__main__":
    sys.exit(main())
