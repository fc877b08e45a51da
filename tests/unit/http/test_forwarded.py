"""Whose X-Forwarded-For and X-Forwarded-Proto are believed (http/forwarded.py)."""

from types import SimpleNamespace

import pytest

from hornbeamd.http.forwarded import apply, find_client
from hornbeamd.http.trust import Trust


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
        ([b"  203.0.113.9  "], ("203.0.113.9", 0)),
        ([b"unknown"], None),
        ([b""], None),
        ([b"203.0.113.9, unknown"], None),
        ([b"203.0.113.9, unknown, 10.0.0.2"], ("10.0.0.2", 0)),
        ([b"203.0.113.9, , 10.0.0.2"], ("10.0.0.2", 0)),
        ([b"203.0.113.9:x"], ("203.0.113.9", 0)),
        ([b"203.0.113.9:\xb2"], ("203.0.113.9", 0)),
        ([b"<script>"], None),
        ([b"010.0.0.1"], None),
    ],
)
def test_the_list_is_walked_from_the_right_over_trusted_hops(values: list[bytes], client: tuple | None):
    """The first that is no trusted proxy is the client; left of it, and left of what is no address, anything goes."""
    assert find_client(values, Trust(("10.0.0.0/8",))) == client


def test_with_everyone_trusted_the_leftmost_counts():
    assert find_client([b"203.0.113.1, 203.0.113.2"], Trust(("*",))) == ("203.0.113.1", 0)


@pytest.mark.parametrize(
    ("fields", "client", "scheme"),
    [
        ([], ("10.0.0.1", 1), "http"),
        ([(b"x-forwarded-for", b"203.0.113.9")], ("203.0.113.9", 0), "http"),
        ([(b"x-forwarded-for", b"garbage")], ("10.0.0.1", 1), "http"),
        ([(b"x-forwarded-proto", b"https")], ("10.0.0.1", 1), "https"),
        ([(b"x-forwarded-proto", b"HTTPS")], ("10.0.0.1", 1), "https"),
        ([(b"x-forwarded-proto", b"http, https")], ("10.0.0.1", 1), "https"),
        ([(b"x-forwarded-proto", b"https"), (b"x-forwarded-proto", b"http")], ("10.0.0.1", 1), "http"),
        ([(b"x-forwarded-proto", b"javascript")], ("10.0.0.1", 1), "http"),
        ([(b"x-forwarded-proto", b"")], ("10.0.0.1", 1), "http"),
    ],
)
def test_what_is_applied(fields: list, client: tuple, scheme: str):
    """Only http and https are schemes; the nearest proxy's word is the last."""
    exchange = SimpleNamespace(headers=fields, client=("10.0.0.1", 1), scheme="http")
    apply(exchange, Trust(("10.0.0.0/8",)))
    assert (exchange.client, exchange.scheme) == (client, scheme)
