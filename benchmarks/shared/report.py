"""Verdicts, and the second table in README.md."""

import json
import subprocess
from importlib import metadata
from pathlib import Path
from typing import Any

from .. import report as web
from .figures import FIGURES, Figure

RESULTS = Path(__file__).resolve().parents[1] / "results" / "shared.json"
BEGIN, END = "<!-- shared: begin -->", "<!-- shared: end -->"


def machine() -> dict[str, Any]:
    """What the figures were taken on."""
    about = web.machine([web.OURS])
    said = subprocess.run(["redis-server", "--version"], capture_output=True, text=True, check=True).stdout
    libraries = ("uvloop", "lmdb", "ormsgpack", "cachetools", "redis", "numpy")
    ours = {web.OURS: about["versions"][web.OURS]}
    versions = {name: metadata.version(name) for name in libraries}
    return {**about, "versions": {**ours, **versions, "redis-server": said.split("v=")[1].split()[0]}}


def table(found: dict[str, Any]) -> str:
    """The figures as markdown."""
    head = ["", "unit", "hornbeamd", "Redis", "must", "aim", "times faster", "must / aim", "verdict"]
    rows = [_row(figure, found["median"]) for figure in FIGURES if figure.name in found["median"]]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (head, ["---"] * len(head), *rows))


def _row(figure: Figure, medians: dict[str, float]) -> list[str]:
    ours, peer = medians[figure.name], medians.get(f"redis-{figure.name}")
    sign = "≥" if figure.more_is_better else "≤"
    bounds = ["" if bound is None else f"{sign} {bound:g}" for bound in (figure.must, figure.aim)]
    verdicts = [] if figure.must is None else [_verdict(ours, figure.must, figure.aim, figure.more_is_better)]
    faster = distance = ""
    if peer is not None:
        faster = f"{peer / ours:.1f}"
        if figure.times is not None:
            distance = "{:g} / {:g}".format(*figure.times)
            verdicts.append(_verdict(peer / ours, *figure.times, True))
    theirs = "" if peer is None else f"{peer:.{figure.digits}f}"
    told = ", ".join(dict.fromkeys(verdicts))
    return [figure.title, figure.unit, f"{ours:.{figure.digits}f}", theirs, *bounds, faster, distance, told]


def _verdict(value: float, must: float, aim: float | None, more: bool) -> str:
    if aim is not None and (value >= aim if more else value <= aim):
        return "aim"
    return "must" if (value >= must if more else value <= must) else "missed"


def facts(found: dict[str, Any]) -> str:
    about = found["machine"]
    versions = ", ".join(f"{name} {version}" for name, version in about["versions"].items())
    return (
        f"{about['date']}, {about['cpu']} with {about['cores']} cores, Linux {about['kernel']}, "
        f"Python {about['python']} ({about['python_build']}), medians of {found['rounds']} rounds. {versions}."
    )


def save(found: dict[str, Any]) -> None:
    """Keep the data, and write the table into README.md."""
    RESULTS.write_text(json.dumps(found, indent=1) + "\n")
    before, rest = web.README.read_text().split(BEGIN)
    after = rest.split(END)[1]
    web.README.write_text(f"{before}{BEGIN}\n{facts(found)}\n\n{table(found)}\n{END}{after}")
