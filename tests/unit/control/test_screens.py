"""Answers as people read them."""

from __future__ import annotations

import time

import pytest

from hornbeamd.control import screens
from hornbeamd.control.commands import BY_NAME
from hornbeamd.control.top import Figures, screen

CROWD = {"wanted": 4, "serving": 3, "booting": 1, "draining": 0}
OUTCOME = {
    "road": "swapped", "generation": 7, "why": "", "changed": {"live": [], "workers": [], "restart": []},
    "steps": [], "problems": [], "ms": 412, "at": 0.0,
}  # fmt: skip
REFUSED = {**OUTCOME, "road": "refused", "why": "SyntaxError: invalid syntax", "problems": ["File a\n  b\nSyntaxError"]}
STATUS = {
    "state": "serving", "version": "1.2", "pid": 4711, "uptime_s": 93784.0, "config": "/etc/hornbeam/sys.toml",
    "app": "shop:application", "listening": ["http://127.0.0.1:8000", "unix:/run/shop.sock"], "generation": 7,
    "workers": CROWD, "pools": [{"name": "embeddings", **CROWD}], "in_flight": 1, "connections": 24,
    "hub": {"pid": 4712}, "last_reload": None,
}  # fmt: skip
WORKER = {
    "id": "3", "pool": "", "number": 3, "pid": 4720, "generation": 7, "state": "serving", "note": "", "in_flight": 2,
    "connections": 11, "requests": 1234567, "uptime_s": 93784.0, "cpu_s": 12.5, "memory": 123_456_789,
}  # fmt: skip
YOUNG = {
    **WORKER, "id": "embeddings/12", "pool": "embeddings", "pid": None, "state": "booting", "in_flight": None,
    "connections": None, "requests": None, "uptime_s": 0.1, "cpu_s": None, "memory": None,
}  # fmt: skip


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0s"), (59.9, "59s"), (60, "1m"), (200, "3m 20s"), (3600, "1h"), (18060, "5h 1m"), (1_047_600, "12d 3h")],
)
def test_durations(seconds, text):
    assert screens.duration(seconds) == text


@pytest.mark.parametrize(
    ("number", "text"),
    [(0, "0B"), (999, "999B"), (4096, "4.0KiB"), (40_000, "39KiB"), (2**20, "1.0MiB"), (1_500_000_000, "1.4GiB")],
)
def test_sizes(number, text):
    assert screens.size(number) == text


def test_status_fits_a_screen():
    assert screens.status(STATUS) == [
        "state            serving, generation 7",
        "daemon           hornbeamd 1.2, process 4711, up 1d 2h",
        "configuration    /etc/hornbeam/sys.toml",
        "application      shop:application",
        "listening        http://127.0.0.1:8000 unix:/run/shop.sock",
        "workers          3 of 4 serving, 1 booting",
        "pool embeddings  3 of 4 serving, 1 booting",
        "hub              process 4712",
        "load             1 request in hand, 24 connections",
    ]


def test_a_reload_that_failed_stays_visible_with_its_traceback():
    last = {**REFUSED, "at": time.time() - 3725}
    lines = screens.status({**STATUS, "last_reload": last})
    assert any("FAILED 1h 2m ago: SyntaxError: invalid syntax; generation 7 goes on" in line for line in lines)
    assert lines[-3:] == ["    File a", "      b", "    SyntaxError"]
    good = screens.status({**STATUS, "last_reload": {**OUTCOME, "at": time.time()}})
    assert "0s ago, swapped in 412 ms" in good[-1]


def test_workers_are_aligned_within_eighty_characters():
    lines = screens.workers({"processes": [WORKER, YOUNG]})
    assert lines == [
        "ID              PID  GEN  STATE    BUSY  CONN  REQUESTS  MEMORY    UP  NOTE",
        "3              4720    7  serving     2    11   1234567  118MiB  1d2h",
        "embeddings/12     -    7  booting     -     -         -       -    0s",
    ]
    assert max(map(len, lines)) <= 80


@pytest.mark.parametrize(
    ("outcome", "first", "last"),
    [
        (OUTCOME, "the code was exchanged in place in 412 ms: generation 7 serves", None),
        (
            {**OUTCOME, "road": "replaced", "why": "preload_app", "ms": 3210},
            "all processes were replaced in 3.2 s: generation 7 serves",
            "why not in place: preload_app",
        ),
        (
            {**OUTCOME, "road": "unchanged", "why": "no code has changed"},
            "nothing to do: no code has changed;",
            'only code and configuration were looked at: for templates and data there is "hornbeamctl restart"',
        ),
        (
            {**OUTCOME, "road": "unchanged", "why": "no code has changed", "changed": {"live": ["admin.bind"]}},
            "no code has changed; generation 7 goes on",
            "changed at once: admin.bind",
        ),
        (REFUSED, "refused after 412 ms: SyntaxError", "nothing has changed: generation 7 goes on"),
        (
            {**OUTCOME, "changed": {"restart": ["ssl", "backlog"]}},
            "the code was exchanged",
            "kept until a restart of the daemon: ssl, backlog",
        ),
    ],
)
def test_a_reload_says_what_it_came_to(outcome, first, last):
    lines = BY_NAME["reload"].show(outcome)
    assert lines[0].startswith(first)
    assert last is None or lines[-1] == last
    assert BY_NAME["reload"].code(outcome) == (outcome["road"] == "refused")


def test_a_refusal_without_a_traceback_says_why_once():
    why = "the process that tried the new code ended: exit 3"
    refused = {**OUTCOME, "road": "refused", "why": why, "problems": [f"hornbeamd.errors.SupervisionError: {why}"]}
    assert screens.reloaded(refused) == [f"refused after 412 ms: {why}", "nothing has changed: generation 7 goes on"]
    assert screens.status({**STATUS, "last_reload": refused})[-1].startswith("last reload")


def test_a_step_is_a_line():
    step = {"pool": "", "number": 2, "pid": 9, "result": "prepared", "modules": ["a", "b"], "ms": 85}
    assert screens.step(step) == "worker 2: prepared (process 9, 2 modules, 85 ms)"
    step = {"pool": "em", "number": 1, "pid": 9, "result": "committed", "modules": [], "ms": 0}
    assert screens.step(step) == "em/1: committed (process 9)"


def test_long_values_are_cut_in_the_table_of_options():
    option = {"key": "access_format", "value": "x" * 200, "default": "", "source": "default", "apply": "live"}
    _, line = screens.configuration({"file": None, "options": [option]})
    assert line == f'access_format  "{"x" * 20}...  at once  default'


def test_a_difference_behind_the_cut_is_shown_below_the_table():
    pools = [{"embeddings": {"handler": "m:H", "processes": number}} for number in (2, 3)]
    changes = [
        {"key": "workers", "from": 4, "to": 8, "apply": "live"},
        {"key": "pools", "from": pools[0], "to": pools[1], "apply": "workers"},
    ]
    lines = screens.configuration_diff({"changes": changes, "problems": []})
    assert [line.split()[0] for line in lines[:3]] == ["OPTION", "workers", "pools"]
    assert lines[3:] == [
        "",
        "pools",
        '  - {"embeddings": {"handler": "m:H", "processes": 2}}',
        '  + {"embeddings": {"handler": "m:H", "processes": 3}}',
    ]


def test_the_state_is_shown_as_json_or_as_python_shows_it():
    shown = [
        ({"found": True, "type": "dict", "value": {"a": "ü"}, "text": None}, '{"a": "ü"}'),
        ({"found": True, "type": "NoneType", "value": None, "text": None}, "null"),
        ({"found": True, "type": "tuple", "value": None, "text": "(1, 2)"}, "(1, 2)"),
        ({"found": False, "type": "", "value": None, "text": None}, "there is no such key"),
    ]
    for answer, line in shown:
        assert screens.state_get(answer) == [line]
        assert BY_NAME["state get"].code(answer) == (not answer["found"])


def test_rates_are_what_came_between_two_looks():
    figures = Figures()
    old = {**WORKER, "requests": 1000, "cpu_s": 1.0, "uptime_s": 100.0}
    assert figures.since([old], 50.0) == [(10.0, 1.0)]
    assert figures.since([{**old, "requests": 1300, "cpu_s": 3.0}, YOUNG], 52.0) == [(150.0, 100.0), (0.0, 0.0)]
    # Another process under the same number begins anew.
    assert figures.since([{**old, "pid": 1, "requests": 50, "uptime_s": 5.0}], 54.0) == [(10.0, 20.0)]


def test_a_screen_of_top_has_the_totals_and_every_process():
    lines = screen({**STATUS, "last_reload": REFUSED}, [WORKER, YOUNG], [(150.0, 20.4), (0.0, 0.0)])
    assert lines[1] == "150.0 requests/s  1 in hand  24 connections  118MiB memory  20% CPU"
    assert lines[2] == "last reload FAILED: SyntaxError: invalid syntax"
    assert [line.split()[0] for line in lines[4:]] == ["ID", "3", "embeddings/12"]
    assert max(map(len, lines)) <= 80
