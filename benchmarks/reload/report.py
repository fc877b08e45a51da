"""The third table in README.md."""

import json
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

from .. import report as web
from .servers import SERVERS, Way

RESULTS = Path(__file__).resolve().parents[1] / "results" / "reload.json"
BEGIN, END = "<!-- reload: begin -->", "<!-- reload: end -->"

P99_TIMES = 3.0
"""How many times the quiet p99 it may be while code is exchanged."""

HEAD = [
    "server",
    "way",
    "reloads",
    "s each",
    "requests",
    "refused",
    "reset",
    "wrong",
    "mixed",
    "WebSockets told",
    "WebSockets cut",
    "p99 quiet",
    "p99 during",
    "verdict",
]


def machine() -> dict[str, Any]:
    """What the figures were taken on."""
    about = web.machine(list(SERVERS))
    about["versions"]["fastapi"] = metadata.version("fastapi")
    return about


def table(found: dict[str, Any]) -> str:
    """The figures as markdown."""
    lines = [HEAD, ["---"] * len(HEAD), *map(_row, found["ways"])]
    return "\n".join(["\n".join(f"| {' | '.join(cells)} |" for cells in lines), "", *map(_growth, found["growth"])])


def _row(way: dict[str, Any]) -> list[str]:
    title = _way(way).title
    if "failed" in way:
        return [way["server"], title, "failed", *[""] * (len(HEAD) - 3)]
    failures = [str(way["failures"].get(kind, 0)) for kind in ("refused", "reset", "wrong", "mixed", "told", "dead")]
    failures[1] = f"{failures[1]} + {way['wrk']['errors']}" if way["wrk"]["errors"] else failures[1]
    return [
        way["server"],
        title,
        str(way["reloads"]),
        f"{way['seconds']:.2f}",
        str(way["answers"] + way["wrk"]["requests"]),
        *failures,
        f"{way['p99_quiet_ms']:.1f} ms",
        f"{way['p99_during_ms']:.1f} ms",
        verdict(way),
    ]


def verdict(way: dict[str, Any]) -> str:
    """Whether nobody noticed: no failures, no WebSocket ended where code is exchanged, and p99 within its bound."""
    if "failed" in way:
        return "missed"
    exchanges = _way(way).exchanges
    allowed = set() if exchanges else {"told"}
    if way["wrk"]["errors"] or set(way["failures"]) - allowed:
        return "missed"
    slow = exchanges and way["p99_during_ms"] > P99_TIMES * way["p99_quiet_ms"]
    return "missed" if slow else "met"


def _way(found: dict[str, Any]) -> Way:
    return next(way for way in SERVERS[found["server"]].ways if way.name == found["way"])


def _growth(found: dict[str, Any]) -> str:
    first, last = (_left(found["left"][part]) for part in ("first", "last"))
    third = found["reloads"] // 3
    return (
        f"{found['server']}, {found['reloads']} times `{_way(found).title}`: each of {third} from the third on leaves "
        f"behind {first}, each of the last {third} {last}, in all processes together."
    )


def _left(each: dict[str, float]) -> str:
    return f"{each['descriptors']:+.2f} descriptors, {each['threads']:+.2f} threads and {each['bytes'] / 1024:+.1f} KiB"


def told(found: dict[str, Any]) -> Iterator[str]:
    """What clients saw go wrong, of hornbeamd and of whoever else."""
    for way in found["ways"]:
        for line in way.get("told", []):
            yield f"{way['server']}, {way['way']}: {line}"


def facts(found: dict[str, Any]) -> str:
    about = found["machine"]
    versions = ", ".join(f"{name} {version}" for name, version in about["versions"].items())
    return (
        f"{about['date']}, {about['cpu']} with {about['cores']} cores, Linux {about['kernel']}, "
        f"Python {about['python']} ({about['python_build']}). {versions}."
    )


def save(found: dict[str, Any]) -> None:
    """Keep the data, and write the table into README.md."""
    found = {"machine": machine(), **found}
    RESULTS.write_text(json.dumps(found, indent=1) + "\n")
    before, rest = web.README.read_text().split(BEGIN)
    after = rest.split(END)[1]
    web.README.write_text(f"{before}{BEGIN}\n{facts(found)}\n\n{table(found)}\n{END}{after}")
