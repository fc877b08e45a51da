"""Whatever a client puts in front of what its proxy says (http/forwarded.py)."""

from hypothesis import given, settings
from hypothesis import strategies as st

from hornbeamd.config.options import Options
from hornbeamd.http.exchange import Exchange, Request
from hornbeamd.http.forwarded import Proxies, apply
from hornbeamd.http.peer import Peer
from hornbeamd.http.rules import Target

TRUST = Proxies(("10.0.0.0/8",), Options().forwarded_headers)
NAMES = st.sampled_from(
    [b"forwarded", b"x-forwarded-for", b"x-forwarded-proto", b"x-forwarded-host", b"x-forwarded-prefix"]
)
# What a field may hold: the rules of HTTP let no other control character through.
TEXT = st.text(st.sampled_from([chr(code) for code in (9, *range(32, 127), *range(128, 256))]), max_size=60)
PIECES = st.sampled_from(
    ["for=", "6.6.6.6", '"', "\\", ",", ";", "10.0.0.2", "[::1]", ":", "host=", "evil", "proto=https", " ", "/", "%2f"]
)
VALUES = st.one_of(TEXT, st.lists(PIECES, max_size=12).map("".join)).map(lambda text: text.encode("latin-1").strip())


def apply_to(fields: list[tuple[bytes, bytes]]) -> Exchange:
    exchange = Exchange()
    exchange.request = Request("GET", b"/", Target(b"/", b"", "/", b""), ((b"host", b"inner"), *fields))
    exchange.peer = Peer(("10.0.0.1", 1), ("192.0.2.1", 80), True)
    exchange.client = exchange.peer.client
    apply(exchange, TRUST)
    return exchange


@settings(max_examples=300, deadline=None)
@given(fields=st.lists(st.tuples(NAMES, VALUES), max_size=4))
def test_anything_is_read_without_harm(fields: list[tuple[bytes, bytes]]):
    exchange = apply_to(fields)
    assert exchange.scheme in ("http", "https")
    assert not exchange.prefix or (exchange.prefix[0] == "/" and exchange.prefix[-1] != "/")
    assert "//" not in exchange.prefix
    assert all(byte > 32 for byte in dict(exchange.request.headers)[b"host"])


@settings(max_examples=300, deadline=None)
@given(
    name=st.sampled_from([b"forwarded", b"x-forwarded-for"]),
    written=st.lists(VALUES, max_size=3),
    joined=st.booleans(),
    address=st.sampled_from([b"203.0.113.9", b'"[2001:db8::9]:4711"']),
)
def test_what_the_proxy_appends_wins(name: bytes, written: list[bytes], joined: bool, address: bytes):
    """In the same field behind a comma, or in one of its own."""
    if name == b"forwarded":
        appended = b"for=" + address + b";host=shop;proto=https"
    else:
        appended = address.strip(b'"')
    if joined and written:
        fields = [*written[:-1], written[-1] + b", " + appended]
    else:
        fields = [*written, appended]
    exchange = apply_to([(name, value) for value in fields])
    assert exchange.client in (("203.0.113.9", 0), ("2001:db8::9", 4711))
    if name == b"forwarded":
        assert exchange.scheme == "https"
        assert dict(exchange.request.headers)[b"host"] == b"shop"
