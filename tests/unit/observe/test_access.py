import json
import os
import re

import pytest

from hornbeamd.config.access_format import FIELDS, parse
from hornbeamd.config.log import LogOptions
from hornbeamd.http.exchange import Exchange, Request
from hornbeamd.http.rules import Target
from hornbeamd.observe.access import AccessLog
from hornbeamd.observe.formats import Clock, compile_format

NOON = 1_700_049_600  # 2023-11-15 12:00:00 UTC


def exchange(
    status=200,
    bytes_sent=13,
    client=("192.0.2.1", 4711),
    fields=(),
    began=100.0,
    target=b"/a%20b?x=1",
    headers=(),
    method="GET",
    http_version="1.1",
):
    made = Exchange()
    path, _, query = target.partition(b"?")
    made.request = Request(method, target, Target(path, query, path.decode("latin-1"), b""), tuple(headers))
    made.request.http_version = http_version
    made.client, made.status, made.bytes_sent, made.began = client, status, bytes_sent, began
    if status:
        made.fields = list(fields)
    return made


def render(format, made=None, duration=0.0):
    clock = Clock()
    clock.set(NOON)
    return compile_format(format, clock)(made or exchange(), duration)


def test_common():
    assert render("common") == '192.0.2.1 - - [15/Nov/2023:12:00:00 +0000] "GET /a%20b?x=1 HTTP/1.1" 200 13\n'


def test_combined():
    made = exchange(headers=[(b"referer", b"http://a/"), (b"user-agent", b"curl/8")])
    assert render("combined", made).endswith('HTTP/1.1" 200 13 "http://a/" "curl/8"\n')
    assert render("combined").endswith('200 13 "-" "-"\n')


def test_json():
    made = exchange(headers=[(b"user-agent", b'curl "8" \xc3\xa9 \xff\x85\\')], http_version="1.0")
    line = render("json", made, 0.0015)
    assert line.isascii()
    assert line.count("\n") == 1
    assert json.loads(line) == {
        "time": "2023-11-15T12:00:00Z",
        "request_id": made.request_id,
        "client": "192.0.2.1",
        "method": "GET",
        "target": "/a%20b?x=1",
        "protocol": "HTTP/1.0",
        "status": 200,
        "bytes": 13,
        "duration_us": 1500,
        "referer": None,
        "user_agent": 'curl "8" é \\xff\\x85\\',
        "pid": os.getpid(),
    }


def test_a_request_that_was_refused_before_it_could_be_read():
    refused = exchange(status=400, method="-", target=b"-", bytes_sent=0)
    del refused.fields
    assert render('"%r" %s %{X}o', refused) == '"-" 400 -\n'


def test_without_client_status_and_body():
    gone = exchange(status=0, bytes_sent=0, client=None)
    assert render("common", gone).startswith("- - - [")
    assert render("common", gone).endswith('" - -\n')
    entry = json.loads(render("json", gone))
    assert (entry["client"], entry["status"], entry["bytes"]) == (None, None, 0)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("h", "192.0.2.1"),
        ("l", "-"),
        ("u", "-"),
        ("t", "[15/Nov/2023:12:00:00 +0000]"),
        ("r", "GET /a%20b?x=1 HTTP/1.1"),
        ("m", "GET"),
        ("U", "/a%20b"),
        ("q", "x=1"),
        ("H", "HTTP/1.1"),
        ("s", "200"),
        (">s", "200"),
        ("B", "13"),
        ("b", "13"),
        ("f", "http://from/"),
        ("a", "agent"),
        ("T", "1"),
        ("L", "1.234568"),
        ("M", "1234"),
        ("D", "1234567"),
        pytest.param("p", str(os.getpid()), id="p"),
        ("{Host}i", "example.com"),
        ("{X-Missing}i", "-"),
        ("{Content-Type}o", "text/plain"),
        ("{X-Missing}o", "-"),
    ],
)
def test_each_field(field, value):
    made = exchange(
        headers=[(b"host", b"example.com"), (b"referer", b"http://from/"), (b"user-agent", b"agent")],
        fields=[b"Content-Type: text/plain\r\n"],
    )
    assert render(f"<%{field}>", made, 1.2345678) == f"<{value}>\n"
    if field[0] != ">":
        assert render(f"<%({field})s>", made, 1.2345678) == f"<{value}>\n"


def test_every_field_of_the_table_has_a_value():
    for field in FIELDS:
        assert render(f"%{field}")


def test_text_around_fields_stays_as_it_is():
    assert render('100%% {%s} é\\ %% "%m"') == '100% {200} é\\ % "GET"\n'


@pytest.mark.parametrize(
    ("format", "told"),
    [
        ("", "no field"),
        ("no fields", "no field"),
        ("%%", "no field"),
        ("%h %", "unknown field: '%'"),
        ("%h %Z", "unknown field: '%Z'"),
        ("%(x)s", "unknown field"),
        ("%(h)d", "unknown field"),
        ("%>h", "unknown field"),
        ("%{Host}x", "unknown field"),
        ("%{}i", "unknown field"),
        ("%{a b}i", "unknown field"),
        ("%h\n%s", "one line"),
        ("%h\x1b", "one line"),
    ],
)
def test_what_is_no_format(format, told):
    with pytest.raises(ValueError, match=told):
        parse(format)
    with pytest.raises(ValueError, match=told):
        compile_format(format, Clock())


HOSTILE = bytes(range(256)) + "\x85\u2028\u202e".encode()


@pytest.mark.parametrize("format", ["common", "combined", "json", "%U %q %{x-evil}i %{x-evil}o %h"])
def test_nothing_forges_a_line(format):
    made = exchange(
        target=b"/" + HOSTILE + b"?" + HOSTILE,
        client=(HOSTILE.decode("latin-1") + "\ud800", 1),
        headers=[(name, HOSTILE) for name in (b"referer", b"user-agent", b"x-evil")],
        fields=[b"x-evil: " + HOSTILE + b"\r\n"],
    )
    line = render(format, made)
    assert line[-1] == "\n"
    assert line[:-1].isascii()
    assert line[:-1].isprintable()
    if format == "json":
        json.loads(line)
    elif "%" not in format:
        assert line.count('"') == (2 if format == "common" else 6)
        assert "\\x22" in line
        assert "\\x5c" in line


def test_the_clock_is_english_and_utc_for_every_month():
    clock = Clock()
    clock.set(0)
    assert (clock.clf, clock.iso) == ("[01/Jan/1970:00:00:00 +0000]", "1970-01-01T00:00:00Z")
    clock.set(86400 * 364 + 1)
    assert (clock.clf, clock.iso) == ("[31/Dec/1970:00:00:01 +0000]", "1970-12-31T00:00:01Z")


# --- the log itself ---


@pytest.fixture
def path(tmp_path):
    return tmp_path / "access.log"


@pytest.fixture
def access(path):
    made = AccessLog(LogOptions(access=str(path), access_format="%t %D"))
    yield made
    made.close()


def test_lines_wait_for_flush_and_leave_in_one_write(access, path, full):
    for number in range(100):
        access.record(exchange(), 100.0 + number / 1000)
    assert path.read_bytes() == b""
    access.flush()
    lines = path.read_text().splitlines()
    assert [int(line.split()[-1]) for line in lines] == pytest.approx([n * 1000 for n in range(100)], abs=1)
    assert full.writes == 1
    access.flush()
    assert full.writes == 1


def test_64_kib_do_not_wait(access, path):
    for _ in range(3000):
        access.record(exchange(), 100.0)
    assert path.stat().st_size > 65536


def test_the_time_is_now(access, path, monkeypatch):
    for moment in (NOON, NOON + 0.9, NOON + 1.1):
        monkeypatch.setattr("time.time", lambda moment=moment: moment)
        access.record(exchange(), 100.0)
    access.flush()
    assert re.findall(r":(\d\d:\d\d:\d\d) ", path.read_text()) == ["12:00:00", "12:00:00", "12:00:01"]


def test_what_is_lost_is_counted_and_told(access, path, full, caplog):
    full.room = 0
    for _ in range(2):
        access.record(exchange(), 100.0)
        access.record(exchange(), 100.0)
        access.flush()
    full.room = None
    access.record(exchange(), 100.0)
    access.flush()
    assert path.read_bytes().count(b"\n") == 1
    failed, told = caplog.records
    assert failed.message == "access log cannot be written"
    assert told.fields["lines"] == 4
    assert "No space" in told.fields["error"]


def test_reopen_writes_what_waits_to_the_old_file(access, path):
    access.record(exchange(), 100.0)
    kept = path.rename(path.with_suffix(".1"))
    access.reopen()
    access.record(exchange(), 100.0)
    access.close()
    assert kept.read_bytes().count(b"\n") == path.read_bytes().count(b"\n") == 1


def test_reopen_that_fails_keeps_the_old_file(access, path, caplog):
    kept = path.rename(path.with_suffix(".1"))
    path.mkdir()
    access.reopen()
    access.record(exchange(), 100.0)
    access.flush()
    assert kept.read_bytes().count(b"\n") == 1
    assert "cannot be opened again" in caplog.text


def test_a_dash_is_stdout(capfd):
    access = AccessLog(LogOptions(access="-"))
    access.record(exchange(), 100.0)
    access.close()
    assert "GET /a%20b" in capfd.readouterr().out
