"""Verdicts and the table of benchmarks/report.py."""

import json

import pytest

from benchmarks import report
from benchmarks.servers import SERVERS
from benchmarks.workloads import WORKLOADS, Bound, Workload

BY_NAME = {workload.name: workload for workload in WORKLOADS}


def rows(key: str, **figures: float) -> dict:
    return {name: report.row([{key: value, "errors": 0}], None) for name, value in figures.items()}


@pytest.mark.parametrize(("ours", "verdict"), [(6.0, "aim"), (6.1, "must"), (8.0, "must"), (8.1, "missed")])
def test_a_cost_is_held_to_a_share_of_the_better_peer(ours, verdict):
    found = rows("cpu_ms_per_1000", hornbeamd=ours, uvicorn=10.0, granian=12.0)
    judged = report.judge(BY_NAME["asgi-hello"], Bound(must=0.8, aim=0.6, against=("uvicorn", "granian")), found)
    assert (judged.peer, judged.must, judged.aim) == ("uvicorn", 8.0, 6.0)
    assert judged.verdict == verdict
    assert judged.ratio == pytest.approx(ours / 10)


@pytest.mark.parametrize(("ours", "verdict"), [(3000.0, "met"), (2999.0, "missed")])
def test_a_rate_is_a_floor(ours, verdict):
    found = rows("requests_per_second", hornbeamd=ours, granian=3000.0)
    judged = report.judge(BY_NAME["wsgi-blocking"], Bound(must=1.0, against=("granian",)), found)
    assert judged.verdict == verdict


def test_an_absolute_bound_needs_no_peer():
    judged = report.judge(BY_NAME["asgi-idle"], Bound(must=8.0, aim=4.0), rows("kb_per_connection", hornbeamd=5.0))
    assert (judged.verdict, judged.ratio) == ("must", None)


def test_a_row_with_one_error_counts_for_nothing():
    row = report.row([{"cpu_ms_per_1000": 1.0, "errors": 0}, {"cpu_ms_per_1000": 1.0, "errors": 1}], None)
    assert not row["valid"]
    found = {"hornbeamd": row, **rows("cpu_ms_per_1000", uvicorn=10.0)}
    assert report.judge(BY_NAME["asgi-hello"], Bound(must=0.8, against=("uvicorn",)), found).verdict == "-"


def test_a_failed_server_keeps_its_place_in_the_table():
    found = rows("requests_per_second", hornbeamd=3000.0, granian=2900.0)
    found["gunicorn"] = report.row([], "exited with 1 before it served")
    text = report.table({"workloads": {"wsgi-blocking": found}})
    assert "| 3000 | 2900 | failed | ≥ 2900 |" in text


def test_figures_are_medians_of_the_rounds():
    samples = [{"cpu_ms_per_1000": value, "errors": 0} for value in (9.0, 1.0, 2.0)]
    assert report.row(samples, None)["median"] == {"cpu_ms_per_1000": 2.0, "errors": 0}


@pytest.mark.parametrize("workload", WORKLOADS, ids=lambda workload: workload.name)
def test_every_bound_names_peers_that_are_measured(workload: Workload):
    assert workload.bounds
    for bound in workload.bounds:
        assert all(SERVERS[name].serves(workload) for name in bound.against)
        assert bound.must is not None or bound.aim is not None


@pytest.mark.parametrize("workload", WORKLOADS, ids=lambda workload: workload.name)
def test_hornbeamd_takes_part_in_every_row(workload: Workload):
    assert SERVERS["hornbeamd"].serves(workload)


def test_the_readme_is_rendered_between_its_markers():
    found = {
        "machine": dict.fromkeys(("date", "cpu", "cores", "kernel", "python", "python_build"), "?") | {"versions": {}},
        "load": {"seconds": 4, "connections": 64, "rounds": 3},
        "workloads": {},
    }
    text = report.rendered(f"before\n{report.BEGIN}\nold\n{report.END}\nafter\n", found)
    assert text.startswith("before\n")
    assert text.endswith(f"{report.END}\nafter\n")
    assert "old" not in text
    assert report.rendered(text, found) == text


def test_the_readme_shows_the_data():
    readme = report.README.read_text()
    assert report.rendered(readme, json.loads(report.LATEST.read_text())) == readme
