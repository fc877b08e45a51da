"""`python -m benchmarks.reload`: measure, print the table, and write it to results/reload.json and README.md."""

import argparse
import shutil
import sys
from typing import Any

from ..processes import ServerFailed
from . import report
from .measure import growth, under_load
from .servers import OURS, SERVERS, SWAP

RELOADS = {"swap": 20, "replace": 20, "upgrade": 5, "hup": 2}
GROWN = 300
SOCKETS = 200
QUIET = 16.0


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.reload", description=__doc__)
    parser.add_argument("--only", action="append", metavar="SERVER[:WAY]", help="these only; nothing is written")
    parser.add_argument("--quick", action="store_true", help="a tenth of everything; nothing is written")
    arguments = parser.parse_args()
    if shutil.which("wrk") is None:
        print("wrk is missing (Debian: apt install wrk)", file=sys.stderr)
        return 2
    found: dict[str, Any] = {"ways": [], "growth": []}
    for server in SERVERS.values():
        for way in server.ways:
            if _wanted(arguments.only, server.name, way.name):
                reloads = max(2, RELOADS[way.name] // 10) if arguments.quick else RELOADS[way.name]
                sockets = SOCKETS // 10 if arguments.quick else SOCKETS
                print(f"{server.name}: {way.title}, {reloads} times", file=sys.stderr)
                try:
                    found["ways"].append(under_load(server, way, reloads, sockets, QUIET))
                except ServerFailed as error:
                    print(f"  {error}", file=sys.stderr)
                    found["ways"].append({"server": server.name, "way": way.name, "failed": str(error)})
    if _wanted(arguments.only, OURS, "growth"):
        print(f"{OURS}: what is left behind", file=sys.stderr)
        found["growth"].append(growth(SERVERS[OURS], SWAP, GROWN // 10 if arguments.quick else GROWN))
    print(report.table(found))
    for line in report.told(found):
        print(line, file=sys.stderr)
    if not arguments.only and not arguments.quick:
        report.save(found)
    return 0


def _wanted(only: list[str] | None, server: str, way: str) -> bool:
    return only is None or server in only or f"{server}:{way}" in only


if __name__ == "__main__":
    sys.exit(main())
