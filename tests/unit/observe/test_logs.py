import json
import logging
import os
import re

import pytest

from hornbeamd.config.log import LogOptions
from hornbeamd.observe import logs

log = logging.getLogger("hornbeamd.http")


@pytest.fixture
def setup(tmp_path, monkeypatch):
    """Set the log up to write to a file; returns a function that reads its lines."""
    path = tmp_path / "event.log"
    state = (logs.log.handlers[:], logs.log.level, logs.log.propagate)

    def begin(role="worker 1", **options):
        logs.setup(LogOptions(file=str(path), **options), role)
        return lambda: path.read_text().split("\n")[:-1]

    yield begin
    for handler in logs.log.handlers[:]:
        handler.close()
    logs.log.handlers[:], logs.log.level, logs.log.propagate = state
    logs.log.setLevel(state[1])


def test_text(setup):
    read = setup()
    log.info("request refused", extra={"fields": {"status": 400, "reason": "bad chunk", "client": ("::1", 5)}})
    (line,) = read()
    stamp, rest = line.split(" ", 1)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", stamp)
    facts = 'status=400 reason="bad chunk" client=["::1",5]'
    assert rest == f"info    worker 1[{os.getpid()}] http: request refused {facts}"


def test_json(setup):
    read = setup(format="json")
    log.error("no: %s", "way", extra={"fields": {"pid": 7, "odd": {1, 2}, "raw": b"\xff", "nan": float("nan")}})
    (line,) = read()
    entry = json.loads(line, parse_constant=pytest.fail)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", entry.pop("time"))
    assert entry == {
        "level": "error",
        "role": "worker 1",
        "pid": os.getpid(),
        "area": "http",
        "message": "no: way",
        "fields": {"pid": 7, "odd": [1, 2], "raw": "\\xff", "nan": "nan"},
    }


@pytest.mark.parametrize("format", ["text", "json"])
@pytest.mark.parametrize("char", "\n\r\x00\x1b\x85\u2028\ud800\u202e")
def test_nothing_forges_a_line(setup, format, char):
    read = setup(format=format)
    evil = f"a{char}2026-01-01T00:00:00.000Z info"
    log.info("message %s", evil, extra={"fields": {"value": evil, evil: 1}})
    (line,) = read()
    assert line.isprintable()


def test_a_traceback_stands_below_its_line(setup):
    read = setup()
    try:
        raise ValueError("one\n2026-01-01T00:00:00.000Z info forged\x1b[2J")
    except ValueError:
        log.exception("it failed", extra={"fields": {"request": "1-2"}})
    first, *below = read()
    assert first.endswith("http: it failed request=1-2")
    assert all(line.startswith("    ") and line.isprintable() for line in below)
    assert below[0].strip() == "Traceback (most recent call last):"
    assert below[-1].strip() == "2026-01-01T00:00:00.000Z info forged\\x1b[2J"


def test_a_traceback_in_json_is_text(setup):
    read = setup(format="json")
    try:
        raise ValueError("no")
    except ValueError:
        log.exception("it failed")
    (line,) = read()
    assert json.loads(line)["traceback"].endswith("ValueError: no")


def test_fields_of_many_lines_stand_below(setup):
    read = setup()
    log.error("worker is stuck", extra={"fields": {"worker": 1, "stacks": "thread 1\n  at x\n"}})
    first, *below = read()
    assert first.endswith("worker is stuck worker=1")
    assert below == ["    thread 1", "      at x"]


def test_the_level_counts(setup):
    read = setup(level="warning")
    log.info("no")
    log.warning("yes")
    assert len(read()) == 1


def test_the_root_logger_is_left_alone(setup, caplog):
    before = (logging.root.handlers[:], logging.root.level)
    setup()
    log.error("not for the application")
    assert (logging.root.handlers[:], logging.root.level) == before
    assert not caplog.records


def test_set_up_again_the_last_call_counts(setup):
    setup(role="spawner")
    read = setup(role="worker 2")
    log.info("once")
    (line,) = read()
    assert " worker 2[" in line


def test_arguments_that_do_not_fit_and_fields_that_break(setup):
    class Broken:
        def __str__(self):
            raise RuntimeError

    read = setup()
    log.info("%d", "x")
    log.info("odd", extra={"fields": {"broken": Broken(), "none": None}})
    log.info("odd", extra={"fields": "no mapping"})
    assert [line.split(" http: ")[1] for line in read()] == ["%d ('x',)", "odd broken=<Broken> none=null", "odd"]


@pytest.mark.parametrize("format", ["text", "json"])
def test_what_is_lost_is_counted_and_told(setup, full, format):
    read = setup(format=format)
    full.room = 0
    log.info("one")
    log.info("two")
    full.room = None
    log.info("three")
    told, kept = read()
    assert "log records were lost" in told
    assert "warning" in told
    assert "No space left on device" in told
    assert ("records=2" if format == "text" else '"records":2') in told
    assert "three" in kept
    log.info("four")
    assert len(read()) == 3


def test_reopen(setup, tmp_path):
    read = setup()
    log.info("old")
    (tmp_path / "event.log").rename(tmp_path / "event.log.1")
    logs.reopen()
    log.info("new")
    assert [line.split(": ")[1] for line in read()] == ["new"]


def test_reopen_that_fails_says_so_in_the_old_file(setup, tmp_path):
    setup()
    kept = (tmp_path / "event.log").rename(tmp_path / "event.log.1")
    (tmp_path / "event.log").mkdir()
    logs.reopen()
    assert "cannot be opened again" in kept.read_text()


def test_stderr_is_the_default(setup, capfd):
    setup()
    logs.setup(LogOptions(), "supervisor")
    log.info("here")
    assert "supervisor[" in capfd.readouterr().err


def test_a_file_that_cannot_be_opened_changes_nothing(setup, tmp_path):
    read = setup()
    with pytest.raises(FileNotFoundError):
        logs.setup(LogOptions(file=str(tmp_path / "no" / "where.log")), "worker 1")
    log.info("still")
    assert len(read()) == 1
