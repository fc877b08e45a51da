"""A request and a response as hooks see them (apps/messages.py)."""

import pytest

from hornbeamd.apps.messages import Answer, Headers, Request, answer
from hornbeamd.http.exchange import Exchange
from hornbeamd.http.exchange import Request as Head
from hornbeamd.http.rules import parse_target

PAIRS = [(b"x-a", b"1"), (b"X-B", b"\xe9"), (b"x-a", b"2")]


def test_headers_are_text_without_regard_to_case():
    headers = Headers(PAIRS)
    assert list(headers) == [("x-a", "1"), ("x-b", "é"), ("x-a", "2")]
    assert (headers.get("X-A"), headers.get("x-b"), headers.get("x-c"), headers.get("x-c", "d")) == (
        "1",
        "é",
        None,
        "d",
    )
    assert headers.get_all("X-a") == ["1", "2"]
    assert ("X-B" in headers, "x-c" in headers, len(headers), headers.changed) == (True, False, 3, False)


def test_headers_can_be_changed():
    headers = Headers(PAIRS)
    headers.set("X-A", "3")
    headers.add("x-b", "4")
    headers.remove("X-C")
    assert list(headers) == [("x-b", "é"), ("x-a", "3"), ("x-b", "4")]
    assert headers.encoded() == ((b"x-b", b"\xe9"), (b"x-a", b"3"), (b"x-b", b"4"))
    assert headers.changed
    headers.remove("x-b")
    assert list(headers) == [("x-a", "3")]


@pytest.mark.parametrize(
    ("name", "value"),
    [("x a", "1"), ("", "1"), ("x-a", "1\r\nx-b: 2"), ("x-a", "\0"), ("x-a", "€"), ("ü", "1"), ("x:a", "1")],
)
def test_what_http_does_not_allow_is_refused(name, value):
    headers = Headers([(b"x-a", b"1")])
    for change in (headers.set, headers.add):
        with pytest.raises(ValueError, match="cannot be"):
            change(name, value)
    assert list(headers) == [("x-a", "1")]


@pytest.mark.parametrize("name", ["Content-Length", "transfer-encoding"])
def test_the_framing_is_no_hooks_to_change(name):
    headers = Headers([(b"content-length", b"5")])
    with pytest.raises(ValueError, match="not a hook's"):
        headers.set(name, "6")
    with pytest.raises(ValueError, match="not a hook's"):
        headers.remove(name)
    assert headers.get("content-length") == "5"


def test_a_request_says_what_its_head_says():
    exchange = Exchange()
    exchange.request = Head("POST", b"/caf%C3%A9?a=%20", parse_target(b"/caf%C3%A9?a=%20", "POST"), tuple(PAIRS))
    exchange.client, exchange.scheme = ("192.0.2.1", 4711), "https"
    request = Request(exchange)
    assert (request.method, request.path, request.query, request.scheme) == ("POST", "/café", "a=%20", "https")
    assert (request.client, request.websocket, request.id) == (("192.0.2.1", 4711), False, exchange.request_id)
    assert request.headers.get("x-a") == "1"
    request.state["user"] = "alice"
    assert request.state == {"user": "alice"}
    assert not request.changed
    request.headers.set("x-user", "alice")
    assert request.changed


@pytest.mark.parametrize(
    ("given", "taken"),
    [
        ((200, [], b"x"), Answer(200, (), b"x")),
        ((401, [("WWW-Authenticate", "Basic")], b""), Answer(401, ((b"www-authenticate", b"Basic"),), b"")),
        ((403, {"content-type": "text/html"}, "no"), Answer(403, ((b"content-type", b"text/html"),), b"no")),
        ((403, (), "né"), Answer(403, ((b"content-type", b"text/plain; charset=utf-8"),), "né".encode())),
        (
            (302, [("set-cookie", "a"), ("set-cookie", "b")], b""),
            Answer(302, ((b"set-cookie", b"a"), (b"set-cookie", b"b")), b""),
        ),
    ],
)
def test_answers(given, taken):
    assert answer(given) == taken


@pytest.mark.parametrize(
    "given",
    [
        True,
        False,
        200,
        "no",
        [403, [], b""],
        (403,),
        (403, []),
        ("403", [], b""),
        (True, [], b""),
        (99, [], b""),
        (100, [], b""),
        (600, [], b""),
        (403, [], None),
        (403, [("a",)], b""),
        (403, [("a b", "c")], b""),
        (403, [("a", "b\r\nc: d")], b""),
        (403, [(b"a", b"b")], b""),
        (403, None, b""),
        (403, [("content-length", "5")], b"x"),
    ],
)
def test_what_is_no_answer_is_refused(given):
    with pytest.raises((TypeError, ValueError, AttributeError)):
        answer(given)
