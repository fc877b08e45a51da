"""Peers by address: who is believed (``forwarded_allow_from``), and who has to say more (``proxy_protocol``)."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

from hornbeamd.http.peer import ClientAddress

Address = IPv4Address | IPv6Address


class Trust:
    """The peers that *allowed* names: addresses, networks in CIDR form, ``unix``, or ``*``."""

    def __init__(self, allowed: Iterable[str]) -> None:
        names = set(allowed)
        self.everyone = "*" in names
        self.unix = self.everyone or "unix" in names
        self.networks = [ip_network(text, strict=False) for text in sorted(names - {"*", "unix"})]

    def __bool__(self) -> bool:
        return self.unix or bool(self.networks)

    def peer(self, client: ClientAddress) -> bool:
        """Tell whether the peer at *client* (None: at a Unix socket) is among them."""
        if client is None:
            return self.unix
        address = parse_address(client[0])
        return address is not None and self.trusts(address)

    def trusts(self, address: Address) -> bool:
        """Tell whether *address* is among them."""
        return self.everyone or any(
            address in network for network in self.networks if network.version == address.version
        )


def parse_address(host: str) -> Address | None:
    """Return the address that *host* is, an IPv4-mapped one as IPv4; None where it is none."""
    try:
        address = ip_address(host.partition("%")[0])
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address
