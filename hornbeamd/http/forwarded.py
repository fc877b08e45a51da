"""What proxies say about the client (X-Forwarded-For, -Proto, -Host and -Prefix, or RFC 7239's Forwarded), if believed.

A proxy appends the address it saw. So a list is read from its right end, over the addresses that are trusted proxies
themselves; the first that is not is the client. What stands left of it, and left of what is malformed, the client may
have made up. Of the other facts there is one, the proxy's own: the last.

A proxy passes on what a client has written of the headers that it does not know. Which ones it knows says the option
``forwarded_headers``; where both kinds are named and there, Forwarded is not looked at, since fewer proxies know it.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TYPE_CHECKING, Final

from hornbeamd.errors import ProtocolError
from hornbeamd.http.rules import HOSTS, check_host
from hornbeamd.http.trust import Address, Trust, parse_address

if TYPE_CHECKING:
    from hornbeamd.http.exchange import Exchange

log = logging.getLogger("hornbeamd.http")

Fields = tuple[tuple[bytes, bytes], ...]

_FOR, _PROTO, _HOST, _PREFIX = b"x-forwarded-for", b"x-forwarded-proto", b"x-forwarded-host", b"x-forwarded-prefix"
_FORWARDED = b"forwarded"

# Proxies in a row. A list may be as long as a header is, and each address in it costs.
_HOPS: Final = 64
# Clients come again: what was read of their proxies' headers is remembered, as far as it is short.
_TABLE_BOUND: Final = 1024
_REMEMBERED_LENGTH: Final = 512
_SCHEMES: Final = {b"http": "http", b"https": "https", b"ws": "http", b"wss": "https"}
# A path that needs no percent-encoding, without empty segments; "." and ".." are looked for behind it.
_PATH = re.compile(rb"(?:/[A-Za-z0-9\-._~!$&'()*+;=:@]+)+")
_DOTS = frozenset((b".", b".."))

# RFC 7239, section 4. Addresses with ":" should be quoted; some are sent without.
_PAIR = (
    rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+)=(?:([!#$%&'*+\-.^_`|~0-9A-Za-z:\[\]]+)"
    rb"|\"((?:[\t \x21\x23-\x5b\x5d-\x7e\x80-\xff]|\\[\t -\x7e])*)\")"
)
_PAIRS = re.compile(_PAIR)
_ELEMENT = re.compile(_PAIR + rb"(?:[\t ]*;[\t ]*" + _PAIR + rb")*;?")
_ESCAPED = re.compile(rb"\\(.)")


class _Told:
    """What was found so far; what is not there, or not valid, stays None."""

    client: tuple[str, int] | None = None
    scheme: str | None = None
    host: bytes | None = None
    prefix: str | None = None


class Proxies(Trust):
    """The peers that *allowed* names (``forwarded_allow_from``), and which of their *headers* are believed."""

    def __init__(self, allowed: Iterable[str], headers: Iterable[str]) -> None:
        super().__init__(allowed)
        self.names = frozenset(header.lower().encode() for header in headers)
        self.remembered: dict[Fields, _Told] = {}
        """What they have said before, and what came of it."""
        self.reported = False
        """The log has been told of a peer that is not among them."""


def apply(exchange: Exchange, trust: Proxies) -> None:
    """Give *exchange* what its trusted peer says; from others the headers change nothing."""
    peer = exchange.peer
    peer.fresh = False
    fields = tuple([pair for pair in exchange.request.headers if pair[0] in trust.names])
    if not fields:
        return
    if not peer.trusted:
        _report(exchange, trust, fields)
        return
    told = trust.remembered.get(fields) or _read(fields, trust)
    exchange.client = told.client or exchange.client
    exchange.scheme = told.scheme or exchange.scheme
    exchange.prefix = told.prefix or exchange.prefix
    if told.host is not None:
        request = exchange.request
        others = (field for field in request.headers if field[0] != b"host")
        exchange.request = request.with_headers(((b"host", told.host), *others))


def _read(fields: Fields, trust: Proxies) -> _Told:
    found: dict[bytes, list[bytes]] = {}
    for name, value in fields:
        found.setdefault(name, []).append(value)
    if found.keys() == {_FORWARDED}:
        told = _read_forwarded(found[_FORWARDED], trust)
    else:
        told = _read_x_forwarded(found, trust)
    if sum([len(value) for _, value in fields]) <= _REMEMBERED_LENGTH:
        if len(trust.remembered) >= _TABLE_BOUND:
            trust.remembered.clear()
        trust.remembered[fields] = told
    return told


def _report(exchange: Exchange, trust: Proxies, fields: Fields) -> None:
    """Tell the log, once: a proxy that nobody has named looks like an application that sees wrong addresses."""
    if not trust.reported:
        trust.reported = True
        facts = {
            "client": exchange.client[0] if exchange.client else "unix",
            "headers": ", ".join(sorted({name.decode() for name, _ in fields})),
        }
        log.warning("not believed: not in forwarded_allow_from (told once)", extra={"fields": facts})


# --- X-Forwarded-* ---------------------------------------------------------------------------------------------------


def _read_x_forwarded(found: dict[bytes, list[bytes]], trust: Proxies) -> _Told:
    told = _Told()
    told.client = find_client(found.get(_FOR, []), trust)
    told.scheme = _SCHEMES.get(_last(found, _PROTO).lower())
    told.host = _valid_host(_last(found, _HOST))
    told.prefix = _valid_prefix(_last(found, _PREFIX))
    return told


def _last(found: dict[bytes, list[bytes]], name: bytes) -> bytes:
    return found[name][-1].rpartition(b",")[2].strip(b" \t") if name in found else b""


def find_client(values: list[bytes], trust: Trust) -> tuple[str, int] | None:
    """Find the client in the *values* of X-Forwarded-For, or None when they name none."""
    hops = (hop for value in reversed(values) for hop in reversed(value.rsplit(b",", _HOPS)))
    client = None
    for hop in islice(hops, _HOPS):
        address, port = _read_node(hop)
        if address is None:
            break
        client = (str(address), port)
        if not trust.trusts(address):
            break
    return client


def _read_node(node: bytes) -> tuple[Address | None, int]:
    """Read ``host``, ``host:port``, ``[v6]`` or ``[v6]:port``; port 0 where none is given, or one that is none."""
    text = node.strip(b" \t").decode("latin-1")
    if text.startswith("["):
        host, _, rest = text[1:].partition("]")
        port = rest[1:] if rest.startswith(":") else ""
    elif text.count(":") == 1:
        host, _, port = text.partition(":")
    else:
        host, port = text, ""
    number = int(port) if port.isdecimal() and len(port) <= 5 else 0
    return parse_address(host), number if number <= 65535 else 0


def _valid_host(host: bytes) -> bytes | None:
    try:
        if host not in HOSTS:
            check_host(host)
    except ProtocolError:
        return None
    return host or None


def _valid_prefix(prefix: bytes) -> str | None:
    path = prefix.removesuffix(b"/")
    if _PATH.fullmatch(path) is None or not _DOTS.isdisjoint(path.split(b"/")):
        return None
    return path.decode("ascii")


# --- Forwarded (RFC 7239) --------------------------------------------------------------------------------------------


def _read_forwarded(values: list[bytes], trust: Proxies) -> _Told:
    """Read the elements of trusted proxies; what the one farthest from us says of a fact is what the client did."""
    told = _Told()
    for element in islice(_elements(values), _HOPS):
        told.scheme = _SCHEMES.get(element.get(b"proto", b"").lower()) or told.scheme
        told.host = _valid_host(element.get(b"host", b"")) or told.host
        address, port = _read_node(element.get(b"for", b""))
        if address is None:  # "unknown", or a name that hides it: who has sent it nobody can tell
            break
        told.client = (str(address), port)
        if not trust.trusts(address):
            break
    return told


def _elements(values: list[bytes]) -> Iterator[dict[bytes, bytes]]:
    """The elements from the right, up to the first that is malformed.

    From the right, because a client may have opened a quotation in what it sent, and never closed it.
    """
    for value in reversed(values):
        end = start = len(value)
        commas = 0
        while start >= 0:
            start = value.rfind(b",", 0, start)
            text = value[start + 1 : end].strip(b" \t")
            element = _read_element(text) if text else {}
            if element is not None:
                end, commas = start, 0
                if element:
                    yield element
            elif start < 0 or commas == _HOPS:
                return
            else:
                commas += 1  # this one stood in a quoted string


def _read_element(text: bytes) -> dict[bytes, bytes] | None:
    if _ELEMENT.fullmatch(text) is None:
        return None
    element: dict[bytes, bytes] = {}
    for name, token, quoted in _PAIRS.findall(text):
        if name.lower() in element:
            return None  # RFC 7239, section 4: MUST NOT occur more than once
        element[name.lower()] = token or _ESCAPED.sub(rb"\1", quoted)
    return element
