"""What trusted proxies say about the client (http/forwarded.py)."""

import logging

import pytest

from hornbeamd.config.options import Options
from hornbeamd.http.exchange import Exchange, Request
from hornbeamd.http.forwarded import Proxies, apply, find_client
from hornbeamd.http.peer import Peer
from hornbeamd.http.rules import parse_target
from hornbeamd.http.trust import Trust

HEADERS = Options().forwarded_headers
PROXIES = Proxies(("10.0.0.0/8", "2001:db8:aaaa::/48"), HEADERS)
PEER = ("10.0.0.1", 1)


def applied(*fields: tuple[bytes, bytes], trust: Proxies = PROXIES, peer: tuple = PEER) -> Exchange:
    """An exchange of *peer* with these fields and a Host, behind apply()."""
    exchange = Exchange()
    exchange.request = Request("GET", b"/a?b", parse_target(b"/a?b", "GET"), ((b"host", b"inner"), *fields))
    exchange.request.shared = True
    exchange.peer = Peer(peer, ("192.0.2.1", 80), trust.peer(peer))
    exchange.client, exchange.server, exchange.scheme = exchange.peer.client, exchange.peer.server, "http"
    first = exchange.request
    apply(exchange, trust)
    assert first.headers[1:] == fields
    return exchange


def facts(exchange: Exchange) -> tuple:
    return exchange.client, exchange.scheme, dict(exchange.request.headers)[b"host"], exchange.prefix


@pytest.mark.parametrize(
    ("values", "client"),
    [
        ([b"203.0.113.9"], ("203.0.113.9", 0)),
        ([b"6.6.6.6, 203.0.113.9"], ("203.0.113.9", 0)),
        ([b"6.6.6.6, 203.0.113.9, 10.0.0.2"], ("203.0.113.9", 0)),
        ([b"6.6.6.6", b"203.0.113.9", b"10.0.0.2,10.0.0.3"], ("203.0.113.9", 0)),
        ([b"10.0.0.4, 10.0.0.3"], ("10.0.0.4", 0)),
        ([b"203.0.113.9:4711"], ("203.0.113.9", 4711)),
        ([b"[2001:db8::1]:4711"], ("2001:db8::1", 4711)),
        ([b"[2001:db8::1]"], ("2001:db8::1", 0)),
        ([b"2001:DB8::1"], ("2001:db8::1", 0)),
        ([b"203.0.113.9, 2001:db8:aaaa::1, ::ffff:10.0.0.9"], ("203.0.113.9", 0)),
        ([b"  203.0.113.9  "], ("203.0.113.9", 0)),
        ([b"unknown"], None),
        ([b""], None),
        ([], None),
        ([b"203.0.113.9, unknown"], None),
        ([b"203.0.113.9, unknown, 10.0.0.2"], ("10.0.0.2", 0)),
        ([b"203.0.113.9, , 10.0.0.2"], ("10.0.0.2", 0)),
        ([b"203.0.113.9:x"], ("203.0.113.9", 0)),
        ([b"203.0.113.9:65536"], ("203.0.113.9", 0)),
        ([b"203.0.113.9:\xb2"], ("203.0.113.9", 0)),
        ([b"[203.0.113.9"], ("203.0.113.9", 0)),
        ([b"<script>"], None),
        ([b"010.0.0.1"], None),
        ([b"203.0.113.9", b"10.0.0.2," * 10_000 + b"10.0.0.3"], ("10.0.0.2", 0)),
    ],
)
def test_the_list_is_walked_from_the_right_over_trusted_hops(values: list[bytes], client: tuple | None):
    """The first that is no trusted proxy is the client; left of it, and left of what is no address, anything goes."""
    assert find_client(values, PROXIES) == client


def test_with_everyone_trusted_the_leftmost_counts():
    assert find_client([b"203.0.113.1, 203.0.113.2"], Trust(("*",))) == ("203.0.113.1", 0)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ([], (PEER, "http", b"inner", "")),
        ([("for", b"203.0.113.9")], (("203.0.113.9", 0), "http", b"inner", "")),
        ([("for", b"garbage")], (PEER, "http", b"inner", "")),
        ([("proto", b"https")], (PEER, "https", b"inner", "")),
        ([("proto", b"HTTPS")], (PEER, "https", b"inner", "")),
        ([("proto", b"wss")], (PEER, "https", b"inner", "")),
        ([("proto", b"http, https")], (PEER, "https", b"inner", "")),
        ([("proto", b"https"), ("proto", b"http")], (PEER, "http", b"inner", "")),
        ([("proto", b"javascript")], (PEER, "http", b"inner", "")),
        ([("proto", b"")], (PEER, "http", b"inner", "")),
        ([("host", b"shop.example")], (PEER, "http", b"shop.example", "")),
        ([("host", b"evil.example, shop.example:8443")], (PEER, "http", b"shop.example:8443", "")),
        ([("host", b"evil.example"), ("host", b"[::1]")], (PEER, "http", b"[::1]", "")),
        *[
            ([("host", host)], (PEER, "http", b"inner", ""))
            for host in (b"", b"a b", b"a/b", b"a@b", b"a:99999", b"[::1", b"a\tb", b"\xe9", b"shop.example,", b"a?b#c")
        ],
        ([("prefix", b"/shop")], (PEER, "http", b"inner", "/shop")),
        ([("prefix", b"/shop/")], (PEER, "http", b"inner", "/shop")),
        ([("prefix", b"/a, /shop/eu")], (PEER, "http", b"inner", "/shop/eu")),
        *[
            ([("prefix", prefix)], (PEER, "http", b"inner", ""))
            for prefix in (
                b"", b"/", b"//", b"//evil", b"/a//b", b"/a//", b"shop", b"http://evil/", b"/a/../b", b"/..", b"/a/.",
                b"/%2e%2e", b"/a b", b"/a?b", b"/a#b", b"/a\\b", b"/a\x00", b"/\xe9", b"/shop,",
            )
        ],
        (
            [("for", b"203.0.113.9"), ("proto", b"https"), ("host", b"shop.example"), ("prefix", b"/eu")],
            (("203.0.113.9", 0), "https", b"shop.example", "/eu"),
        ),
    ],
)  # fmt: skip
def test_what_x_forwarded_says(fields: list[tuple[str, bytes]], expected: tuple):
    """Each on its own: what is not valid changes nothing, and of several the nearest proxy's is the last word."""
    assert facts(applied(*[(f"x-forwarded-{name}".encode(), value) for name, value in fields])) == expected


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([b"for=203.0.113.9"], (("203.0.113.9", 0), "http", b"inner")),
        ([b"for=203.0.113.9;proto=https;host=shop.example"], (("203.0.113.9", 0), "https", b"shop.example")),
        ([b'FOR="203.0.113.9:4711" ; Proto=HTTPS'], (("203.0.113.9", 4711), "https", b"inner")),
        ([b'for="[2001:db8::9]:4711";by=_me;secret=x'], (("2001:db8::9", 4711), "http", b"inner")),
        ([b"for=[2001:db8::9]"], (("2001:db8::9", 0), "http", b"inner")),
        ([b'for="[2001:db8::9]:_x"'], (("2001:db8::9", 0), "http", b"inner")),
        ([b'host="shop.example:8443";for=203.0.113.9'], (("203.0.113.9", 0), "http", b"shop.example:8443")),
        ([b'for="\\203.0.113.9"'], (("203.0.113.9", 0), "http", b"inner")),
        # The element that names the client says what it used; nearer ones tell of proxies.
        (
            [b"for=203.0.113.9;proto=https;host=shop, for=10.0.0.2;proto=http;host=mid"],
            (("203.0.113.9", 0), "https", b"shop"),
        ),
        ([b"for=203.0.113.9", b"for=10.0.0.2;proto=https;host=mid"], (("203.0.113.9", 0), "https", b"mid")),
        # What the client has put in front.
        ([b"for=6.6.6.6;proto=https;host=evil, for=203.0.113.9"], (("203.0.113.9", 0), "http", b"inner")),
        ([b"for=6.6.6.6;host=evil", b"for=203.0.113.9"], (("203.0.113.9", 0), "http", b"inner")),
        ([b'for="6.6.6.6, for=203.0.113.9'], (("203.0.113.9", 0), "http", b"inner")),
        ([b'host="evil, for=203.0.113.9;host="shop"'], (("203.0.113.9", 0), "http", b"shop")),
        ([b'for="6.6.6.6\\", for="[2001:db8::9]"'], (("2001:db8::9", 0), "http", b"inner")),
        ([b'x="a, for=6.6.6.6, b", for=203.0.113.9'], (("203.0.113.9", 0), "http", b"inner")),
        ([b'for=6.6.6.6, x="a, b";for=10.0.0.2'], (("6.6.6.6", 0), "http", b"inner")),
        ([b"for=6.6.6.6;;;=, for=10.0.0.2"], (("10.0.0.2", 0), "http", b"inner")),
        # Nobody can be told from these; what the proxy says beside them counts.
        ([b"for=unknown;proto=https"], (PEER, "https", b"inner")),
        ([b"for=_hidden;proto=https"], (PEER, "https", b"inner")),
        ([b"for=6.6.6.6, for=unknown;host=shop"], (PEER, "http", b"shop")),
        ([b"proto=https"], (PEER, "https", b"inner")),
        ([b"for=6.6.6.6, for=_SEVKISEK, for=10.0.0.2"], (("10.0.0.2", 0), "http", b"inner")),
        ([b", for=203.0.113.9, ,"], (("203.0.113.9", 0), "http", b"inner")),
        *[
            ([value], (PEER, "http", b"inner"))
            for value in (
                b"", b",", b"203.0.113.9", b"for", b"for=", b"=x", b"for=203.0.113.9;for=10.0.0.2", b'for="203.0.113.9',
                b"for =203.0.113.9", b"for= 203.0.113.9", b"for=\x00", b'for="\x00"', b"for=203.0.113.9 x", b";",
                b'for="<script>"', b"proto=javascript", b'host="a b"', b'host=""', b'host="a@b"', b'host="a\\"b"',
            )
        ],
    ],
)  # fmt: skip
def test_what_forwarded_says(values: list[bytes], expected: tuple):
    """RFC 7239: read from the right, so that nothing a client has sent can hide what was put behind it."""
    exchange = applied(*[(b"forwarded", value) for value in values])
    assert facts(exchange)[:3] == expected
    assert exchange.prefix == ""


@pytest.mark.parametrize(
    "value", [b"," * 8000, b'a="' * 2700, b'x="' + b"," * 8000, b'a="",' * 1600, b"for=10.0.0.2," * 600]
)
def test_a_long_header_is_no_trouble(value: bytes):
    """How much is looked at does not grow with what a client puts in front."""
    exchange = applied(*[(b"forwarded", value)] * 100, (b"forwarded", b"for=203.0.113.9"))
    assert exchange.client == ("203.0.113.9", 0)
    assert applied(*[(b"forwarded", value)] * 100).client in (PEER, ("10.0.0.2", 0))


def test_what_is_remembered_is_bounded_and_the_same():
    """Clients choose the keys."""
    trust = Proxies(("10.0.0.0/8",), HEADERS)
    for number in range(3000):
        address = b"203.0.%d.%d" % divmod(number, 256)
        for _ in range(2):
            exchange = applied((b"x-forwarded-for", address), trust=trust)
            assert exchange.client == (address.decode(), 0)
        assert 0 < len(trust.remembered) <= 1024
    known = len(trust.remembered)
    assert applied((b"x-forwarded-for", b"6.6.6.6, " * 200 + b"203.0.113.9"), trust=trust).client[0] == "203.0.113.9"
    assert len(trust.remembered) == known


def test_of_the_two_kinds_one_counts():
    """A proxy that knows only X-Forwarded passes on what a client has written into Forwarded."""
    forged = (b"forwarded", b"for=6.6.6.6;proto=https;host=evil")
    assert facts(applied(forged, (b"x-forwarded-for", b"203.0.113.9"))) == (("203.0.113.9", 0), "http", b"inner", "")
    assert facts(applied((b"x-forwarded-proto", b"http"), forged)) == (PEER, "http", b"inner", "")


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        (HEADERS, (("203.0.113.9", 0), "https", b"outer", "/eu")),
        (("X-Forwarded-For", "X-Forwarded-Proto"), (("203.0.113.9", 0), "https", b"inner", "")),
        (("X-Forwarded-Prefix",), (PEER, "http", b"inner", "/eu")),
        (("Forwarded",), (("198.51.100.1", 0), "http", b"other", "")),
    ],
)
def test_headers_that_the_proxy_does_not_set_are_the_clients(headers: tuple[str, ...], expected: tuple):
    fields = [
        (b"x-forwarded-for", b"203.0.113.9"),
        (b"x-forwarded-proto", b"https"),
        (b"x-forwarded-host", b"outer"),
        (b"x-forwarded-prefix", b"/eu"),
        (b"forwarded", b"for=198.51.100.1;proto=http;host=other"),
    ]
    assert facts(applied(*fields, trust=Proxies(("10.0.0.0/8",), headers))) == expected


def test_a_request_is_never_changed():
    """Exchanges share it."""
    exchange = applied((b"x-forwarded-for", b"203.0.113.9"))
    assert exchange.request.shared
    exchange = applied((b"x-forwarded-host", b"shop.example"), (b"x-other", b"1"))
    assert not exchange.request.shared
    assert exchange.request.headers == (
        (b"host", b"shop.example"),
        (b"x-forwarded-host", b"shop.example"),
        (b"x-other", b"1"),
    )
    assert (exchange.request.target, exchange.request.path, exchange.request.query) == (b"/a?b", "/a", b"b")


def test_others_are_not_believed_and_the_log_is_told_once(caplog: pytest.LogCaptureFixture):
    trust = Proxies(("10.0.0.0/8",), HEADERS)
    stranger = ("203.0.113.77", 4)
    with caplog.at_level(logging.WARNING, "hornbeamd.http"):
        assert facts(applied(trust=trust, peer=stranger)) == (stranger, "http", b"inner", "")
        assert not caplog.records
        for _ in range(3):
            exchange = applied(
                (b"x-forwarded-for", b"6.6.6.6"),
                (b"x-forwarded-host", b"evil"),
                (b"x-forwarded-prefix", b"/evil"),
                (b"forwarded", b"for=6.6.6.6"),
                trust=trust,
                peer=stranger,
            )
            assert facts(exchange) == (stranger, "http", b"inner", "")
            assert (b"x-forwarded-for", b"6.6.6.6") in exchange.request.headers
            assert not exchange.peer.fresh
    (record,) = caplog.records
    assert record.fields == {
        "client": "203.0.113.77",
        "headers": "forwarded, x-forwarded-for, x-forwarded-host, x-forwarded-prefix",
    }
