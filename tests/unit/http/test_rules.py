"""What HTTP allows in names, values, targets and framing (http/rules.py)."""

import pytest

from hornbeamd.errors import ProtocolError, ResponseError
from hornbeamd.http import rules
from hornbeamd.http.rules import CHUNKED, HTTP1_FIELDS, Field, Target, body_length, check_host, parse_target

# --- request targets ---


@pytest.mark.parametrize(
    ("target", "parsed"),
    [
        (b"/", Target(b"/", b"", "/", b"")),
        (b"/a/b?c=d?e", Target(b"/a/b", b"c=d?e", "/a/b", b"")),
        (b"/a?", Target(b"/a", b"", "/a", b"")),
        (b"/%41%2f%3F%25", Target(b"/%41%2f%3F%25", b"", "/A/?%", b"")),
        (b"/%C3%A9", Target(b"/%C3%A9", b"", "/é", b"")),
        (b"/%E9", Target(b"/%E9", b"", "/\ufffd", b"")),
        (b"/%", Target(b"/%", b"", "/%", b"")),
        (b"//a", Target(b"//a", b"", "//a", b"")),
        (b"http://a:80/x?y", Target(b"/x", b"y", "/x", b"a:80")),
        (b"HTTPS://a", Target(b"/", b"", "/", b"a")),
        (b"http://a?q", Target(b"/", b"q", "/", b"a")),
    ],
)
def test_a_target_is_taken_apart(target: bytes, parsed: Target):
    """RFC 9112, sections 3.2.1 and 3.2.2; decoded once, never in the query."""
    assert parse_target(target, "GET") == parsed


def test_the_asterisk_is_for_options():
    """RFC 9112, section 3.2.4."""
    assert parse_target(b"*", "OPTIONS").path == "*"
    with pytest.raises(ProtocolError) as caught:
        parse_target(b"*", "GET")
    assert caught.value.status == 400


@pytest.mark.parametrize(
    "target",
    [
        b"",
        b"a",
        b"a:80",
        b"ftp://a/",
        b"http:///x",
        b"http:/x",
        b"/a#b",
        b"http://a/#b",
        b"/a b",
        b"/a\x00",
        b"/\x7f",
        b"/\xe9",
    ],
)
def test_other_targets_are_refused(target: bytes):
    """RFC 9112, section 3.2; RFC 3986, section 2: no fragment, nothing but visible ASCII."""
    for _ in range(2):  # nothing of it was remembered
        with pytest.raises(ProtocolError) as caught:
            parse_target(target, "GET")
        assert caught.value.status == 400


# --- Host ---


@pytest.mark.parametrize(
    "host",
    [
        b"",
        b"a",
        b"a.b-c_d~",
        b"a:80",
        b"a:",
        b"127.0.0.1:65535",
        b"[::1]",
        b"[::1]:80",
        b"[fe80::1%25eth0]",
        b"a%20b",
        b"A",
    ],
)
def test_a_host_is_a_name_and_perhaps_a_port(host: bytes):
    """RFC 9110, section 7.2."""
    check_host(host)


@pytest.mark.parametrize(
    "host",
    [
        b"a b",
        b"a,b",
        b"a/b",
        b"u@a",
        b"a:b",
        b"a:65536",
        b"a:999999",
        b"a:-1",
        b"a:80:80",
        b"[::1",
        b"::1",
        b"[x]",
        b"a?b",
        b"a#b",
        b"a\\b",
        b"\xe9",
        b"a\x00",
        b'"a"',
        b"<a>",
    ],
)
def test_other_hosts_are_refused(host: bytes):
    """RFC 9110, section 7.2: what proxies could route in two ways."""
    for _ in range(2):
        with pytest.raises(ProtocolError) as caught:
            check_host(host)
        assert caught.value.status == 400


# --- framing ---


@pytest.mark.parametrize(
    ("lengths", "codings", "expected"),
    [
        ([], [], 0),
        ([b"0"], [], 0),
        ([b"42"], [], 42),
        ([b"007"], [], 7),
        ([b"9" * 19], [], int("9" * 19)),
        ([], [b"chunked"], CHUNKED),
        ([], [b"Chunked"], CHUNKED),
    ],
)
def test_the_length_of_a_body(lengths: list, codings: list, expected: int):
    """RFC 9112, section 6.3."""
    assert body_length(lengths, codings, False) == expected


@pytest.mark.parametrize(
    ("lengths", "codings", "http_1_0", "status"),
    [
        ([b""], [], False, 400),
        ([b"+1"], [], False, 400),
        ([b"-1"], [], False, 400),
        ([b"1,1"], [], False, 400),
        ([b"0x1"], [], False, 400),
        ([b"1_0"], [], False, 400),
        ([b"1 0"], [], False, 400),
        ([b"1\n"], [], False, 400),
        ([b"\xb2"], [], False, 400),
        ([b"1" * 20], [], False, 400),
        ([b"1", b"1"], [], False, 400),
        ([b"1", b"2"], [], False, 400),
        ([b"1"], [b"chunked"], False, 400),
        ([], [b"chunked"], True, 400),
        ([], [b"chunked", b"chunked"], False, 400),
        ([], [b"chunked, chunked"], False, 400),
        ([], [b"gzip, chunked"], False, 400),
        ([], [b"chunked;q=1"], False, 400),
        ([], [b"xchunked"], False, 400),
        ([], [b"\x0bchunked"], False, 400),
        ([], [b""], False, 400),
        ([], [b"gzip"], False, 501),
        ([], [b"identity"], False, 501),
    ],
)
def test_what_could_be_read_in_two_ways_is_refused(lengths: list, codings: list, http_1_0: bool, status: int):
    """RFC 9112, sections 6.1 and 6.3: request smuggling."""
    with pytest.raises(ProtocolError) as caught:
        body_length(lengths, codings, http_1_0)
    assert caught.value.status == status


# --- response fields ---


@pytest.mark.parametrize(
    ("name", "value", "line"),
    [
        (b"X-A", b"1", b"X-A: 1\r\n"),
        (b"x-a", b"", b"x-a: \r\n"),
        (b"x-a", b"a\tb", b"x-a: a\tb\r\n"),
        (b"x-a", b"\xe9\xff", b"x-a: \xe9\xff\r\n"),
        (b"!#$%&'*+-.^_`|~09azAZ", b"1", b"!#$%&'*+-.^_`|~09azAZ: 1\r\n"),
        (b"x-long", b"v" * 1000, b"x-long: " + b"v" * 1000 + b"\r\n"),
    ],
)
def test_a_field_becomes_a_line(name: bytes, value: bytes, line: bytes):
    """RFC 9110, sections 5.1 and 5.5; the same when asked again."""
    assert HTTP1_FIELDS.judge((name, value)) == line
    assert HTTP1_FIELDS.judge((name, value)) == line


@pytest.mark.parametrize("value", [bytes([byte]) for byte in (*range(32), 127) if byte != 9])
def test_no_control_character_in_a_value(value: bytes):
    """RFC 9110, section 5.5."""
    for _ in range(2):
        with pytest.raises(ResponseError):
            HTTP1_FIELDS.judge((b"x-a", b"a" + value + b"b"))


@pytest.mark.parametrize(
    "byte",
    [
        byte
        for byte in range(256)
        if bytes([byte]) not in b"!#$%&'*+-.^_`|~" and not (byte < 128 and chr(byte).isalnum())
    ],
)
def test_no_name_that_is_no_token(byte: int):
    """RFC 9110, section 5.6.2."""
    with pytest.raises(ResponseError):
        HTTP1_FIELDS.judge((b"x" + bytes([byte]) + b"a", b"1"))


@pytest.mark.parametrize(
    ("name", "value", "number"),
    [
        (b"Content-Length", b"5", 5),
        (b"connection", b"Keep-Alive, CLOSE", 1),
        (b"connection", b"closed", 0),
        (b"date", b"x", 0),
        (b"Server", b"x", 0),
        (b"trailer", b"x", 0),
        (b"transfer-encoding", b"chunked", 0),
    ],
)
def test_fields_the_server_must_know_of(name: bytes, value: bytes, number: int):
    for _ in range(2):
        field = HTTP1_FIELDS.judge((name, value))
        assert isinstance(field, Field)
        assert (field.name, field.number) == (name.lower(), number)


@pytest.mark.parametrize("value", [b"", b"x", b"-1", b"+1", b"1,1", b"1 1", b"1" * 20, b"0x1"])
def test_a_content_length_that_is_no_number_is_refused(value: bytes):
    """RFC 9110, section 8.6."""
    with pytest.raises(ResponseError):
        HTTP1_FIELDS.judge((b"content-length", value))


@pytest.mark.parametrize("value", [b"gzip", b"gzip, chunked", b""])
def test_another_transfer_coding_is_refused(value: bytes):
    """RFC 9112, section 6.1: the framing is the server's."""
    with pytest.raises(ResponseError):
        HTTP1_FIELDS.judge((b"transfer-encoding", value))


# --- what is remembered ---


def test_tables_do_not_grow_with_what_clients_and_applications_choose():
    for number in range(5000):
        rules.field_name(b"x-%d" % number)
        parse_target(b"/%d" % number, "GET")
        check_host(b"h%d" % number)
        HTTP1_FIELDS.judge((b"x-a", b"%d" % number))
        HTTP1_FIELDS.judge((b"content-length", b"%d" % number))
    for table in (rules.NAMES, rules.TARGETS, rules.HOSTS, HTTP1_FIELDS.lines, HTTP1_FIELDS.lengths):
        assert 0 < len(table) <= 1024


def test_tables_do_not_hold_what_is_long():
    long = b"/" + b"a" * 5000
    parse_target(long, "GET")
    assert long not in rules.TARGETS
    HTTP1_FIELDS.judge((b"x-a", b"a" * 5000))
    assert (b"x-a", b"a" * 5000) not in HTTP1_FIELDS.lines
    assert rules.field_name(b"X" * 5000) == b"x" * 5000
    assert b"X" * 5000 not in rules.NAMES


def test_an_absolute_target_is_judged_each_time():
    """What it names takes the place of Host, which belongs to the request."""
    parse_target(b"http://a/x", "GET")
    assert b"http://a/x" not in rules.TARGETS
