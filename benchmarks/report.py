"""From samples to figures, verdicts and the table in README.md."""

import json
import platform
import statistics
import subprocess
import sysconfig
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from .clients import Load
from .cores import QUIET
from .measure import Sample
from .servers import OURS, SERVERS
from .workloads import WORKLOADS, Bound, Metric, Workload

HERE = Path(__file__).resolve().parent
README = HERE / "README.md"
LATEST = HERE / "results" / "latest.json"
BEGIN, END = "<!-- figures: begin -->", "<!-- figures: end -->"

Results = dict[str, Any]  # results/latest.json: {"machine": ..., "load": ..., "workloads": {name: {server: row}}}


@dataclass(frozen=True, slots=True)
class Unit:
    """Which of a sample's figures a metric is judged by."""

    key: str
    text: str
    digits: int
    more_is_better: bool = False


UNITS: dict[Metric, Unit] = {
    "cpu": Unit("cpu_ms_per_1000", "CPU ms per 1000 {counts}", 1),
    "rate": Unit("requests_per_second", "requests per second", 0, more_is_better=True),
    "memory": Unit("kb_per_connection", "kB per connection", 1),
    "scaling": Unit("scaling", "times the requests of one worker", 2, more_is_better=True),
}


def machine(servers: list[str]) -> dict[str, Any]:
    """What the figures were taken on; no name of a host, no path."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    models = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    optimised = "--enable-optimizations" in (sysconfig.get_config_var("CONFIG_ARGS") or "")
    parts = {name: SERVERS[name].version for name in servers if SERVERS[name].installed}
    for library in ("uvloop", "httptools", "hpack", "h2", "websockets", "starlette", "flask"):
        parts[library] = metadata.version(library)
    parts["wrk"] = _said_version("wrk").split()[1].removeprefix("debian/")  # wrk debian/4.1.0-3+b2 [epoll] ...
    parts["h2load"] = _said_version("h2load").removeprefix("h2load nghttp2/").strip()
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "cpu": models[0] if models else platform.machine(),
        "cores": len(models),
        "kernel": platform.release().split("-")[0],
        "python": platform.python_version(),
        "python_build": "optimised" if optimised else "built without --enable-optimizations",
        "versions": parts,
    }


def _said_version(tool: str) -> str:
    return subprocess.run([tool, "--version"], capture_output=True, text=True, check=False).stdout


def row(samples: list[Sample], failure: str | None) -> dict[str, Any]:
    """The medians of a server's rounds; `valid` only without a failure and without a single error."""
    medians: Sample = {}
    if samples:
        medians = {key: round(statistics.median(s[key] for s in samples), 4) for key in samples[0]}
        medians["errors"] = sum(s["errors"] for s in samples)
    valid = failure is None and bool(samples) and medians["errors"] == 0
    return {"valid": valid, "failure": failure, "median": medians, "rounds": samples}


def results(servers: list[str], load: Load, rounds: int, workloads: dict[str, Any]) -> Results:
    facts = {"seconds": load.seconds, "connections": load.connections, "rounds": rounds}
    return {"machine": machine(servers), "load": facts, "workloads": workloads}


@dataclass(frozen=True, slots=True)
class Judgement:
    """One bound of one workload, in figures. `ratio` is to the better peer; None for absolute bounds."""

    must: float | None
    aim: float | None
    peer: str | None
    ratio: float | None
    verdict: str  # "aim", "must", "met" (there is no aim), "missed", "-" (a figure is missing)


def figure(workload: Workload, rows: dict[str, Any], server: str) -> float | None:
    found = rows.get(server)
    if found is None or not found["valid"]:
        return None
    value: float = found["median"][UNITS[workload.metric].key]
    return value


def judge(workload: Workload, bound: Bound, rows: dict[str, Any]) -> Judgement:
    more = UNITS[workload.metric].more_is_better
    ours = figure(workload, rows, OURS)
    peer, base = None, 1.0
    if bound.against:
        known = {name: figure(workload, rows, name) for name in bound.against}
        valid = {name: value for name, value in known.items() if value is not None}
        if not valid:
            return Judgement(None, None, None, None, "-")
        peer = (max if more else min)(valid, key=valid.__getitem__)
        base = valid[peer]
    must = None if bound.must is None else bound.must * base
    aim = None if bound.aim is None else bound.aim * base
    if ours is None:
        return Judgement(must, aim, peer, None, "-")
    return Judgement(must, aim, peer, ours / base if peer else None, _verdict(ours, must, aim, more))


def _verdict(ours: float, must: float | None, aim: float | None, more: bool) -> str:
    def holds(limit: float) -> bool:
        return ours >= limit if more else ours <= limit

    if aim is not None and holds(aim):
        return "aim"
    if must is not None:
        return "missed" if not holds(must) else "met" if aim is None else "must"
    return "missed"


def table(found: Results) -> str:
    """The figures as markdown: one row per workload and bound."""
    servers = [name for name in SERVERS if any(name in rows for rows in found["workloads"].values())]
    head = ["workload", "unit", *servers, "must", "aim", "ratio", "verdict"]
    lines = [_line(head), _line(["---"] * len(head))]
    for workload in WORKLOADS:
        rows = found["workloads"].get(workload.name)
        if rows is None:
            continue
        for index, bound in enumerate(workload.bounds):
            cells = ["", "", *[""] * len(servers)]
            if index == 0:
                figures = (_cell(workload, rows, name) for name in servers)
                unit = UNITS[workload.metric].text.format(counts=workload.counts)
                cells = [workload.title, unit, *figures]
            lines.append(_line([*cells, *_judged(workload, judge(workload, bound, rows))]))
    return "\n".join(lines)


def _line(cells: list[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _cell(workload: Workload, rows: dict[str, Any], server: str) -> str:
    if server not in rows:
        return ""
    unit = UNITS[workload.metric]
    value = rows[server]["median"].get(unit.key)
    if value is None:
        return "failed"
    text = f"{value:.{unit.digits}f}"
    if workload.metric == "cpu":
        text += f" ({rows[server]['median']['requests_per_second'] / 1000:.1f}k/s)"
    if "one_worker_cores_used" in rows[server]["median"]:
        text += " ({one_worker_cores_used:.2f} → {cores_used:.2f} cores)".format(**rows[server]["median"])
    if _disturbed(workload, rows[server]):
        text += " †"
    return text if rows[server]["valid"] else f"~~{text}~~ invalid"


def _disturbed(workload: Workload, row: dict[str, Any]) -> bool:
    """Other processes had a share of the server's core."""
    return workload.metric in ("cpu", "rate") and row["median"].get("others", 0.0) > QUIET


def _judged(workload: Workload, judged: Judgement) -> list[str]:
    unit = UNITS[workload.metric]
    sign = "≥" if unit.more_is_better else "≤"
    must, aim = ("" if limit is None else f"{sign} {limit:.{unit.digits}f}" for limit in (judged.must, judged.aim))
    ratio = "" if judged.ratio is None else f"{judged.ratio:.2f} of {judged.peer}"
    return [must, aim, ratio, judged.verdict]


def facts(found: Results) -> str:
    """The machine and the versions, in one paragraph."""
    about, load = found["machine"], found["load"]
    versions = ", ".join(f"{name} {version}" for name, version in about["versions"].items())
    return (
        f"{about['date']}, {about['cpu']} with {about['cores']} cores, Linux {about['kernel']}, "
        f"Python {about['python']} ({about['python_build']}), {load['connections']} connections "
        f"where the row says nothing else, medians of {load['rounds']} rounds of {load['seconds']} s. {versions}."
    )


def save(found: Results, path: Path) -> None:
    path.write_text(json.dumps(found, indent=1) + "\n")


def rendered(readme: str, found: Results) -> str:
    """README.md's text with the figures between its markers."""
    before, rest = readme.split(BEGIN)
    after = rest.split(END)[1]
    return f"{before}{BEGIN}\n{facts(found)}\n\n{table(found)}\n{END}{after}"


def render() -> None:
    """Write the table of results/latest.json into README.md."""
    README.write_text(rendered(README.read_text(), json.loads(LATEST.read_text())))
