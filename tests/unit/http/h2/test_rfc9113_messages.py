"""RFC 9113, section 8, and RFC 8441: what a request is, and what is none."""

import pytest

from hornbeamd.http.h2.frames import CONTINUATION, END_HEADERS, END_STREAM, HEADERS, SETTINGS, Code, Setting
from tests.support.h2frames import GET, POST, Client, EngineFactory, Pair, block, data, frame, headers, post

METHOD, SCHEME, AUTHORITY, PATH = GET


def malformed(client: Client, stream: int = 1) -> bool:
    """Tell whether the stream was reset as malformed, without the application hearing of it."""
    heard = [call for call in client.calls if call[1] == stream]
    return client.fault is None and client.reset_code(stream) == Code.PROTOCOL_ERROR and not heard


def kept_away(client: Client) -> bool:
    """Tell whether the request was refused in any way, and the application did not hear of it."""
    return "request" not in client.kinds and ("refused" in client.kinds or client.refuses(1, Code.PROTOCOL_ERROR))


# --- 8.1 HTTP message framing ---


def test_8_1_a_request_is_a_head_a_body_and_trailers(client: Client):
    client.send(post(1, (b"x-a", b"b")), data(1, b"one"), data(1, b"two"), headers(1, (b"x-sum", b"6")))
    assert client.calls == [
        ("request", 1, "POST", b"/", ((b"host", b"a"), (b"x-a", b"b")), False),
        ("data", 1, b"one", False),
        ("data", 1, b"two", False),
        ("data", 1, b"", True),
    ]


def test_8_1_many_requests_at_once(client: Client):
    client.send(post(1), post(3), data(3, b"three", end=True), headers(5), data(1, b"one", end=True))
    assert client.bodies == {1: b"one", 3: b"three", 5: b""}


TRAILERS = [
    [(b":path", b"/")],
    [(b"x", b"y"), (b":path", b"/")],
    [(b":status", b"200")],
    [(b"X-Sum", b"6")],
    [(b"x sum", b"6")],
    [(b"", b"6")],
    [(b"x", b"a\r\nb: c")],
    [(b"x", b"a\0")],
    [(b"content-length", b"3")],
    [(b"transfer-encoding", b"chunked")],
    [(b"host", b"b")],
    [(b"connection", b"close")],
    [(b"te", b"trailers")],
    [(b"x-%d" % number, b"") for number in range(101)],
]


@pytest.mark.parametrize("fields", TRAILERS)
def test_8_1_trailers_that_are_malformed_end_the_stream(client: Client, fields: list[Pair]):
    client.send(post(1), data(1, b"abc"), headers(1, *fields), headers(3))
    assert client.reset_code(1) == Code.PROTOCOL_ERROR
    assert client.kinds == ["request", "data", "reset", "request"]


def test_8_1_trailers_end_the_stream(client: Client):
    client.send(post(1), headers(1, (b"x", b"y"), end=False), headers(3))
    assert client.refuses(1, Code.PROTOCOL_ERROR)
    assert ("data", 1, b"", True) not in client.calls


def test_8_1_trailers_may_be_of_many_frames(client: Client):
    trailers = block([(b"x-a", b"b"), (b"x-c", b"d")])
    client.send(post(1), frame(HEADERS, END_STREAM, 1, trailers[:3]), frame(CONTINUATION, END_HEADERS, 1, trailers[3:]))
    assert client.calls[-1] == ("data", 1, b"", True)


def test_8_1_an_answer_may_come_before_its_request_is_whole(client: Client):
    client.send(post(1), data(1, b"some"))
    client.answer(1, b"enough")
    assert [each.payload for each in client.of(0, 1)] == [b"enough"]
    assert client.reset_code(1) == Code.NO_ERROR


# --- 8.2 HTTP fields ---


@pytest.mark.parametrize(
    "field",
    [
        (b"X-Upper", b"a"),
        (b"x-uppeR", b"a"),
        (b"", b"a"),
        (b"x a", b"a"),
        (b"x:a", b"a"),
        (b"x-a:", b"a"),
        (b" x", b"a"),
        (b"x\0", b"a"),
        (b"x\r\n", b"a"),
        (b"x\x7f", b"a"),
        (b"x\xff", b"a"),
        (b"\xc3\xa9", b"a"),
        (b"x(y", b"a"),
        (b"x", b"a\0b"),
        (b"x", b"a\rb"),
        (b"x", b"a\nb"),
        (b"x", b"bar\r\n\r\nGET /x HTTP/1.1\r\nHost: a"),
        (b"x", b" a"),
        (b"x", b"a "),
        (b"x", b"\ta"),
        (b"x", b"a\t"),
        (b"x", b" "),
        (b"x", b"a\x01b"),
        (b"x", b"a\x7f"),
    ],
)
@pytest.mark.parametrize("behind", [(), ((b"x-b", b"c"),)])
def test_8_2_1_names_and_values(client: Client, field: Pair, behind: tuple[Pair, ...]):
    client.send(headers(1, *GET, *behind, field))
    assert malformed(client)
    assert client.alive()


@pytest.mark.parametrize("value", [b"", b"a", b"a b", b"a\tb", b"\x80\xff", b"\xc3\xa9", b'"\\"', b"a, b;c=d"])
@pytest.mark.parametrize("name", [b"x", b"x_y", b"!#$%&'*+-.^_`|~09az"])
def test_8_2_1_any_token_in_lower_case_and_any_value_of_text(client: Client, name: bytes, value: bytes):
    client.send(headers(1, *GET, (name, value)))
    assert client.requests[1].headers == ((b"host", b"a"), (name, value))


@pytest.mark.parametrize(
    "field",
    [
        (b"connection", b"keep-alive"),
        (b"connection", b"close"),
        (b"connection", b""),
        (b"proxy-connection", b"keep-alive"),
        (b"keep-alive", b"timeout=5"),
        (b"transfer-encoding", b"chunked"),
        (b"transfer-encoding", b"identity"),
        (b"upgrade", b"websocket"),
        (b"upgrade", b"h2c"),
        (b"te", b"gzip"),
        (b"te", b"trailers, gzip"),
        (b"te", b""),
    ],
)
@pytest.mark.parametrize("end", [True, False])
def test_8_2_2_fields_of_the_connection_are_malformed(client: Client, field: Pair, end: bool):
    client.send(headers(1, *POST, field, end=end))
    assert malformed(client)


@pytest.mark.parametrize("value", [b"trailers", b"Trailers"])
def test_8_2_2_te_may_say_trailers(client: Client, value: bytes):
    client.send(headers(1, *GET, (b"te", value)))
    assert client.kinds == ["request"]


def test_8_2_3_crumbs_of_nothing_are_left_out(client: Client):
    client.send(headers(1, *GET, (b"cookie", b"a=1"), (b"cookie", b"")))
    assert client.requests[1].headers[-1] == (b"cookie", b"a=1")


def test_8_2_3_cookie_crumbs_are_joined(client: Client):
    client.send(headers(1, *GET, (b"cookie", b"a=b"), (b"x", b"y"), (b"cookie", b"c=d"), (b"cookie", b"e=f")))
    assert client.requests[1].headers == ((b"host", b"a"), (b"x", b"y"), (b"cookie", b"a=b; c=d; e=f"))


# --- 8.3 HTTP control data ---

CONTROL = {
    "a pseudo field twice": [[*GET, each] for each in GET],
    "a pseudo field twice, differently": [[*GET, (b":path", b"/other")], [*GET, (b":method", b"POST")]],
    "one missing": [[METHOD, SCHEME, AUTHORITY], [METHOD, AUTHORITY, PATH], [SCHEME, AUTHORITY, PATH], [(b"x", b"y")]],
    "one behind other fields": [
        [METHOD, SCHEME, AUTHORITY, (b"x", b"y"), PATH],
        [*GET, (b"x", b"y"), (b":path", b"/b")],
    ],
    "one that is unknown": [[*GET, (b":x", b"y")], [*GET, (b":", b"y")], [(b":version", b"2"), *GET]],
    "one of responses": [[*GET, (b":status", b"200")], [(b":status", b"200")]],
    "one in upper case": [[METHOD, SCHEME, AUTHORITY, (b":Path", b"/")]],
    "the path": [
        [METHOD, SCHEME, AUTHORITY, (b":path", path)]
        for path in (b"", b"a", b"a/b", b"*", b"?a", b"http://a/", b"a:80")
    ],
    "the scheme": [
        [METHOD, (b":scheme", scheme), AUTHORITY, PATH] for scheme in (b"", b"ftp", b"HTTP ", b"a b", b"\0")
    ],
    "the method": [
        [(b":method", method), SCHEME, AUTHORITY, PATH]
        for method in (b"", b"GET ", b"G T", b"GET / HTTP/1.1\r\nx: y", b"GET\0", b"\xff", b"a,b")
    ],
    ":protocol without CONNECT": [[*GET, (b":protocol", b"websocket")]],
    "a Host other than :authority": [[*GET, (b"host", b"b")]],
}


@pytest.mark.parametrize("fields", [pytest.param(each, id=rule) for rule, cases in CONTROL.items() for each in cases])
@pytest.mark.parametrize("end", [True, False])
def test_8_3_malformed_control_data(client: Client, fields: list[Pair], end: bool):
    client.send(headers(1, *fields, end=end))
    assert malformed(client)
    assert client.alive()


@pytest.mark.parametrize(
    "path", [b"/a b", b"/a\x00b", b"/a\r\nb", b"/\x7f", b"/\xff", b"/a#b", b"/\xc3\xa9", b"/ HTTP/1.1\r\nx: y"]
)
def test_8_3_1_a_path_that_is_no_uri_is_refused(client: Client, path: bytes):
    client.send(headers(1, METHOD, SCHEME, AUTHORITY, (b":path", path)))
    assert kept_away(client)


@pytest.mark.parametrize("authority", [b"a b", b"a/b", b"a:99999", b"user@a", b"[::1", b"a\r\nx: y", b"a, b", b"a\0"])
@pytest.mark.parametrize("place", [b":authority", b"host"])
def test_8_3_1_an_authority_that_names_no_host_is_refused(client: Client, authority: bytes, place: bytes):
    client.send(headers(1, METHOD, SCHEME, PATH, (place, authority)))
    assert kept_away(client)


@pytest.mark.parametrize(
    ("fields", "host"),
    [
        ([METHOD, SCHEME, PATH, (b"host", b"b:80")], b"b:80"),
        ([*GET, (b"host", b"a")], b"a"),
        ([*GET, (b"host", b"A")], b"a"),
        ([PATH, AUTHORITY, METHOD, SCHEME], b"a"),
        ([METHOD, SCHEME, PATH, (b":authority", b"[::1]:8080")], b"[::1]:8080"),
    ],
)
def test_8_3_1_the_application_gets_one_host(client: Client, fields: list[Pair], host: bytes):
    client.send(headers(1, *fields))
    assert client.requests[1].headers == ((b"host", host),)


@pytest.mark.parametrize("hosts", [[], [b"a", b"a"], [b"a", b"b"]])
def test_8_3_1_none_or_two_hosts_are_refused(client: Client, hosts: list[bytes]):
    client.send(headers(1, METHOD, SCHEME, PATH, *[(b"host", host) for host in hosts]))
    assert client.calls == [("refused", 1, 400)]


def test_8_3_1_asterisk_is_for_options(client: Client):
    client.send(headers(1, (b":method", b"OPTIONS"), SCHEME, AUTHORITY, (b":path", b"*")))
    assert client.calls[0][2:4] == ("OPTIONS", b"*")


def test_what_was_malformed_is_so_again(client: Client):
    """Whatever is remembered of header blocks."""
    wrong = [headers(number, *GET, (b"X", b"y")) for number in range(1, 9, 2)]
    client.send(*wrong)
    assert all(malformed(client, number) for number in range(1, 9, 2))


# --- 8.1.1 Malformed messages: Content-Length ---


@pytest.mark.parametrize("value", [b"+5", b"-1", b"5_0", b"0x5", b"", b"5,5", b"5, 5", b"1" * 20])
def test_8_1_1_content_length_is_a_number(client: Client, value: bytes):
    client.send(post(1, (b"content-length", value)))
    assert kept_away(client)


@pytest.mark.parametrize("values", [(b"5", b"5"), (b"5", b"6")])
def test_8_1_1_there_is_one_content_length(client: Client, values: tuple[bytes, ...]):
    client.send(post(1, *[(b"content-length", value) for value in values]))
    assert kept_away(client)


def test_8_1_1_a_length_without_a_body_is_malformed(client: Client):
    client.send(headers(1, *POST, (b"content-length", b"1")))
    assert malformed(client)


@pytest.mark.parametrize("end", [True, False])
def test_8_1_1_a_length_of_nothing(client: Client, end: bool):
    client.send(headers(1, *POST, (b"content-length", b"0"), end=end))
    assert client.requests[1].body_length == 0
    if not end:
        client.send(data(1, b"", end=True))
    assert client.fault is None
    assert client.reset_code(1) is None


# --- 8.5 The CONNECT method, RFC 8441 ---


def test_8_5_the_server_is_no_proxy(client: Client):
    client.send(headers(1, (b":method", b"CONNECT"), AUTHORITY, end=False))
    assert client.calls == [("refused", 1, 501)]


def test_rfc8441_3_extended_connect_is_offered(engine: EngineFactory):
    client = Client(engine)
    payload = next(each.payload for each in client.frames if each.kind == SETTINGS and not each.flags)
    assert Setting.ENABLE_CONNECT_PROTOCOL.to_bytes(2, "big") + b"\0\0\0\1" in payload


CONNECT = ((b":method", b"CONNECT"), (b":protocol", b"websocket"), SCHEME, AUTHORITY, (b":path", b"/chat"))
VERSION = (b"sec-websocket-version", b"13")


def test_rfc8441_4_a_websocket_is_asked_for(client: Client):
    client.send(headers(1, *CONNECT, VERSION, (b"sec-websocket-protocol", b"a, b"), end=False), data(1, b"frames"))
    offer = client.requests[1].websocket
    assert offer is not None
    assert offer.subprotocols == ("a", "b")
    assert client.calls[0][2:4] == ("CONNECT", b"/chat")
    assert client.bodies[1] == b"frames"


def test_rfc8441_4_no_setting_of_the_client_is_needed(client: Client):
    client.send(headers(1, *CONNECT, VERSION, end=False))
    assert client.kinds == ["request"]


@pytest.mark.parametrize("protocol", [b"websocket2", b"connect-udp", b"", b"WebSocket"])
def test_rfc8441_4_other_protocols_are_not_known(client: Client, protocol: bytes):
    fields = [(b":protocol", protocol) if name == b":protocol" else (name, value) for name, value in CONNECT]
    client.send(headers(1, *fields, VERSION, end=False))
    assert client.calls == [("refused", 1, 501)]


@pytest.mark.parametrize("missing", [b":scheme", b":path"])
def test_rfc8441_4_scheme_and_path_are_there(client: Client, missing: bytes):
    client.send(headers(1, *[pair for pair in CONNECT if pair[0] != missing], VERSION, end=False))
    assert malformed(client)


@pytest.mark.parametrize("fields", [[], [(b"sec-websocket-version", b"12")]])
def test_rfc8441_5_versions_are_checked_as_over_http_1(client: Client, fields: list[Pair]):
    client.send(headers(1, *CONNECT, *fields, end=False))
    assert client.kinds == ["refused"]
