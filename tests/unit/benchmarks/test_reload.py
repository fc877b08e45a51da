"""What is wrong with an answer, and with a reload, is found."""

import pytest

from benchmarks.reload.answers import PIECES, judge, judge_download, size
from benchmarks.reload.measure import left_by_each, p99, slope
from benchmarks.reload.project import STATING, Project
from benchmarks.reload.report import table, verdict

ROW = {
    "server": "hornbeamd",
    "way": "swap",
    "reloads": 20,
    "seconds": 0.2,
    "answers": 1000,
    "failures": {},
    "wrk": {"requests": 500, "errors": 0},
    "p99_quiet_ms": 5.0,
    "p99_during_ms": 14.0,
}


def body(version, length=None):
    return f"version {version} ".encode().ljust(size(length or version), b".")


@pytest.mark.parametrize(
    ("head", "text", "verdict"),
    [
        (b"7", body(7), ""),
        (b"8", body(7), "mixed"),
        (b"7", body(7, length=8), "mixed"),
        (b"7", body(7) + b"!", "wrong"),
        (b"7", b"Internal Server Error", "wrong"),
        (None, body(7), "wrong"),
    ],
)
def test_an_answer_is_of_one_version(head, text, verdict):
    assert judge(head, text).verdict == verdict


def test_a_download_is_of_one_version():
    lines = [b"version 7 piece %d\n" % number for number in range(PIECES)]
    assert judge_download(b"7", b"".join(lines)).verdict == ""
    assert judge_download(b"7", b"".join(lines[:-1])).verdict == "wrong"
    lines[-1] = lines[-1].replace(b"version 7", b"version 8")
    assert judge_download(b"7", b"".join(lines)).verdict == "mixed"


def test_an_edit_writes_the_next_version_into_all_modules(tmp_path):
    project = Project(tmp_path)
    assert project.edit() == 2
    assert project.edit() == 3
    assert all("\nVERSION = 3\n" in (tmp_path / name).read_text() for name in STATING)


def test_the_slowest_of_a_hundred_of_those_that_were_waited_for():
    latencies = [(float(second), 0.01) for second in range(100)] + [(99.5, 2.0)]
    assert p99(latencies, [(0.0, 50.0)]) == 10.0
    assert p99(latencies, [(101.0, 102.0)]) == 2000.0
    assert p99(latencies, [(200.0, 300.0)]) is None


def test_growth_is_a_slope():
    assert slope((3, 4, 5, 6), (100, 110, 120, 130)) == pytest.approx(10.0)
    assert slope((3,), (100,)) == 0.0
    samples = [(3, 10, 5, 2000), (4, 10, 6, 3000), (5, 10, 7, 4000)]
    assert left_by_each(samples) == {"descriptors": 0.0, "threads": 1.0, "bytes": 1000.0}


def test_what_reloads_leave_behind_is_told_of_the_first_and_the_last():
    left = {"descriptors": 0.0, "threads": 0.0}
    grown = {
        "server": "hornbeamd",
        "way": "swap",
        "reloads": 300,
        "left": {"first": {**left, "bytes": 2048.0}, "last": {**left, "bytes": 0.0}},
    }
    text = table({"ways": [], "growth": [grown]})
    assert "each of 100 from the third on leaves behind +0.00 descriptors, +0.00 threads and +2.0 KiB" in text
    assert "each of the last 100 +0.00 descriptors, +0.00 threads and +0.0 KiB" in text


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, "met"),
        ({"failures": {"reset": 1}}, "missed"),
        ({"failures": {"told": 1}}, "missed"),
        ({"failures": {"told": 1}, "way": "replace"}, "met"),
        ({"failures": {"dead": 1}, "way": "replace"}, "missed"),
        ({"wrk": {"requests": 500, "errors": 1}}, "missed"),
        ({"p99_during_ms": 15.1}, "missed"),
        ({"p99_during_ms": 15.1, "way": "replace"}, "met"),
        ({"failed": "it ended"}, "missed"),
    ],
)
def test_a_reload_is_met_when_nobody_noticed(changes, expected):
    assert verdict({**ROW, **changes}) == expected


def test_the_table_says_so():
    lines = table({"ways": [ROW, {"server": "uvicorn", "way": "hup", "failed": "it ended"}], "growth": []}).splitlines()
    assert lines[2].startswith(
        "| hornbeamd | hornbeamctl reload | 20 | 0.20 | 1500 | 0 | 0 | 0 | 0 | 0 | 0 | 5.0 ms | 14.0 ms |"
    )
    assert "failed" in lines[3]
    assert {line.count("|") for line in lines if line} == {lines[0].count("|")}
