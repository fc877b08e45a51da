"""Whose ``X-Forwarded-For`` and ``X-Forwarded-Proto`` are believed, and what they say.

A proxy appends the address it saw to X-Forwarded-For. So the list is read from its right end, over the addresses
that are trusted proxies themselves; the first that is not is the client. What stands left of it the client may have
made up.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hornbeamd.http.exchange import Exchange

Address = IPv4Address | IPv6Address


class Trust:
    """The peers named by ``forwarded_allow_from``: addresses, networks in CIDR form, ``unix``, or ``*``."""

    def __init__(self, allowed: tuple[str, ...]) -> None:
        self.everyone = "*" in allowed
        self.unix = self.everyone or "unix" in allowed
        self.networks = [ip_network(text, strict=False) for text in allowed if text not in ("*", "unix")]

    def peer(self, host: str | None) -> bool:
        """Tell whether the peer at *host* (None: at a Unix socket) is trusted."""
        if host is None:
            return self.unix
        address = _address(host)
        return address is not None and self._trusts(address)

    def _trusts(self, address: Address) -> bool:
        return self.everyone or any(
            address in network for network in self.networks if network.version == address.version
        )

    def client(self, values: list[bytes]) -> tuple[str, int] | None:
        """Find the client in the values of X-Forwarded-For, or None when they name none."""
        hops = [hop.strip() for value in values for hop in value.decode("latin-1").split(",")]
        client = None
        for hop in reversed(hops):
            host, port = _split_port(hop)
            address = _address(host)
            if address is None:
                break
            client = (str(address), port)
            if not self._trusts(address):
                break
        return client


def _address(host: str) -> Address | None:
    try:
        address = ip_address(host.partition("%")[0])
    except ValueError:
        return None
    mapped = getattr(address, "ipv4_mapped", None)
    return mapped or address


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
        exchange.client = trust.client(forwarded_for) or exchange.client
    scheme = proto.rpartition(b",")[2].strip().lower()
    if scheme in (b"http", b"https"):
        exchange.scheme = scheme.decode()
