"""`python -m benchmarks [render]`: hornbeamd against its peers, in one run on one machine."""

import argparse
import fcntl
import os
import resource
import shutil
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from . import cores, report
from .clients import Load
from .measure import Sample, sample
from .processes import ServerFailed
from .servers import SERVERS
from .workloads import WORKLOADS, Workload

TOOLS = {"wrk": "wrk", "h2load": "nghttp2-client", "openssl": "openssl", "taskset": "util-linux"}
"""The programs beside the servers, and Debian's names for their packages."""


def main() -> int:
    arguments = parse()
    if arguments.command == "render":
        report.render()
        return 0
    missing = what_is_missing(arguments.servers)
    if missing:
        print("\n".join(missing), file=sys.stderr)
        return 2
    # A plain SIGTERM would leave the servers behind.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    allow_many_files()
    try:
        with alone():
            found = run(arguments)
    except KeyboardInterrupt:
        return 130
    print(f"\n{report.facts(found)}\n\n{report.table(found)}")
    if arguments.output:
        report.save(found, arguments.output)
    if arguments.output == report.LATEST:
        report.render()
    rows = (row for rows in found["workloads"].values() for row in rows.values())
    return 0 if all(row["valid"] for row in rows) else 1


def parse() -> argparse.Namespace:
    names = [workload.name for workload in WORKLOADS]
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Measure hornbeamd and its peers; a complete run is written to results/ and README.md.",
        epilog=f"workloads: {', '.join(names)}; servers: {', '.join(SERVERS)}",
    )
    parser.add_argument("command", nargs="?", choices=("run", "render"), default="run", help="render: README.md only")
    parser.add_argument("--only", type=known(names), default=names, metavar="WORKLOAD,...")
    parser.add_argument("--servers", type=known(SERVERS), default=list(SERVERS), metavar="SERVER,...")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=4, help="length of one load (default: %(default)s)")
    parser.add_argument("--connections", type=int, default=64, help="keep-alive connections (default: %(default)s)")
    parser.add_argument(
        "--patience", type=int, default=60, help="seconds to wait for a quiet machine before each load (%(default)s)"
    )
    parser.add_argument("--output", type=Path, metavar="FILE", help="where the data go; not given: see above")
    arguments = parser.parse_args()
    complete = arguments.only == names and set(arguments.servers) == set(SERVERS)
    if complete and arguments.output is None:
        arguments.output = report.LATEST
    return arguments


def known(names: Any) -> Any:
    """An argparse type: a comma-separated choice of names."""

    def split(text: str) -> list[str]:
        chosen = text.split(",")
        unknown = set(chosen) - set(names)
        if unknown:
            raise argparse.ArgumentTypeError(f"unknown: {', '.join(sorted(unknown))}")
        return chosen

    return split


def what_is_missing(servers: list[str]) -> list[str]:
    """One line for each thing that has to be installed first."""
    lines = []
    if sys.platform != "linux":
        lines.append("the measurements read /proc and pin with taskset: they need Linux")
    for tool, package in TOOLS.items():
        if shutil.which(tool) is None:
            lines.append(f"{tool} is missing: apt-get install {package}")
    absent = [name for name in servers if not SERVERS[name].installed]
    if absent:
        lines.append(f"not installed: {', '.join(absent)}: pip install --group bench --group test")
    return lines


@contextmanager
def alone() -> Iterator[None]:
    """Wait until no other run on this machine is under way: two would measure each other."""
    folder = os.open(report.HERE, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


def allow_many_files() -> None:
    """For 2000 idle connections, here and in the servers, which inherit it."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def run(arguments: argparse.Namespace) -> report.Results:
    load = Load(arguments.seconds, arguments.connections, *cores.choose())
    if load.server_core is None:
        print("only one core: server and load generator share it", file=sys.stderr)
    rows = {}
    for workload in WORKLOADS:
        if workload.name in arguments.only:
            servers = [name for name in arguments.servers if SERVERS[name].serves(workload)]
            rows[workload.name] = measured(workload, servers, load, arguments)
    return report.results(arguments.servers, load, arguments.rounds, rows)


def measured(workload: Workload, servers: list[str], load: Load, arguments: argparse.Namespace) -> dict[str, Any]:
    """Interleaved rounds: whatever else the machine does meets all servers. A server that failed sits out."""
    samples: dict[str, list[Sample]] = {name: [] for name in servers}
    failures: dict[str, str] = {}
    for number in range(1, arguments.rounds + 1):
        for name in servers:
            if name in failures:
                continue
            cores.wait_until_quiet(arguments.patience)
            try:
                got = sample(workload, SERVERS[name], load)
            except ServerFailed as error:
                failures[name] = str(error).splitlines()[0]
                print(f"{workload.name} {number} {name}: {error}", file=sys.stderr)
            else:
                samples[name].append(got)
                figures = "  ".join(f"{key} {value:.5g}" for key, value in got.items())
                print(f"{workload.name:16} {number} {name:10} {figures}", flush=True)
    return {name: report.row(samples[name], failures.get(name)) for name in servers}


if __name__ == "__main__":
    sys.exit(main())
