"""Whose ``X-Forwarded-For`` and ``X-Forwarded-Proto`` are believed, and what they say.

A proxy appends the address it saw to X-Forwarded-For. So the list is read from its right end, over the addresses
that are trusted proxies themselves; the first that is not is the client. What stands left of it the client may have
made up.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hornbeamd.http.trust import Trust, parse_address

if TYPE_CHECKING:
    from hornbeamd.http.exchange import Exchange


def find_client(values: list[bytes], trust: Trust) -> tuple[str, int] | None:
    """Find the client in the values of X-Forwarded-For, or None when they name none."""
    hops = [hop.strip() for value in values for hop in value.decode("latin-1").split(",")]
    client = None
    for hop in reversed(hops):
        host, port = _split_port(hop)
        address = parse_address(host)
        if address is None:
            break
        client = (str(address), port)
        if not trust.trusts(address):
            break
    return client


def _split_port(hop: str) -> tuple[str, int]:
    """Split ``host``, ``host:port``, ``[v6]`` and ``[v6]:port``; port 0 where none is given."""
    if hop.startswith("["):
        host, _, rest = hop[1:].partition("]")
        port = rest[1:]
    elif hop.count(":") == 1:
        host, _, port = hop.partition(":")
    else:
        host, port = hop, ""
    return host, int(port) if port.isdecimal() and len(port) <= 5 else 0


def apply(exchange: Exchange, trust: Trust) -> None:
    """Give *exchange* the client and the scheme that its trusted peer names."""
    forwarded_for: list[bytes] = []
    proto = b""
    for name, value in exchange.headers:
        if name == b"x-forwarded-for":
            forwarded_for.append(value)
        elif name == b"x-forwarded-proto":
            proto = value
    if forwarded_for:
        exchange.client = find_client(forwarded_for, trust) or exchange.client
    scheme = proto.rpartition(b",")[2].strip().lower()
    if scheme in (b"http", b"https"):
        exchange.scheme = scheme.decode()
