"""The opening handshake (RFC 6455, section 4.2; RFC 8441): what is asked, what is refused, what an acceptance says.

The same for HTTP/1.1 and HTTP/2. A request that asks for a WebSocket and breaks a rule is refused
with :class:`~hornbeamd.errors.ProtocolError`; nothing of it reaches the application.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha1
from typing import TYPE_CHECKING

from hornbeamd.config.options import Options
from hornbeamd.errors import ProtocolError, ResponseError
from hornbeamd.http.websocket.deflate import Deflate, agree

if TYPE_CHECKING:
    from hornbeamd.http.exchange import Exchange

Header = tuple[bytes, bytes]

_MAGIC = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_VERSION = b"13"
_KEY = re.compile(rb"[A-Za-z0-9+/]{22}==")
_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
# The handshake's own fields: an application sets them by what it accepts.
_OWN = frozenset(
    (b"sec-websocket-accept", b"sec-websocket-extensions", b"sec-websocket-protocol", b"sec-websocket-version")
)


@dataclass(frozen=True, slots=True)
class Offer:
    """What a client's opening handshake offers (RFC 6455, section 4.1)."""

    subprotocols: tuple[str, ...]
    extensions: tuple[str, ...]
    """Each with its parameters, as sent."""
    key: bytes = b""
    """Sec-WebSocket-Key; empty in HTTP/2, which needs none."""


def upgrade_offer(method: str, headers: Iterable[Header], body_length: int) -> Offer | None:
    """Return what an HTTP/1.1 request offers, or None where it does not ask for a WebSocket.

    *headers* have names in lower case, *body_length* is 0 where the request has no body. Raises ProtocolError:
    426 for another version of the protocol, 400 for anything else that section 4.2.1 does not allow.
    """
    fields = list(headers)
    if "websocket" not in _lower(_list(fields, b"upgrade")) or "upgrade" not in _lower(_list(fields, b"connection")):
        return None  # RFC 9110, section 7.8: no upgrade without both
    if method != "GET":
        raise ProtocolError(400, "a WebSocket is asked for with GET")
    if body_length or any(name == b"transfer-encoding" for name, _ in fields):
        raise ProtocolError(400, "a WebSocket handshake with a body")
    _check_version(fields)
    keys = _values(fields, b"sec-websocket-key")
    if len(keys) != 1 or _KEY.fullmatch(keys[0]) is None:
        raise ProtocolError(400, "Sec-WebSocket-Key is not the base64 of 16 bytes")
    return _offer(fields, keys[0])


def connect_offer(headers: Iterable[Header]) -> Offer:
    """Return what an extended CONNECT with ``:protocol`` websocket offers (RFC 8441, section 5).

    Raises ProtocolError as :func:`upgrade_offer` does.
    """
    fields = list(headers)
    _check_version(fields)
    return _offer(fields, b"")


def acceptance(offer: Offer, subprotocol: str | None, headers: Iterable[Header], extension: str = "") -> list[Header]:
    """Return the fields of the response that takes *offer*: the application's *headers* and the handshake's own.

    *extension* is what was agreed upon, with its parameters. Raises ResponseError for a subprotocol that was not
    offered, and for fields that are not the application's to set.
    """
    fields = [(name, value) for name, value in headers]
    for name, _ in fields:
        if isinstance(name, bytes) and (name.lower() in _OWN or name.lower() == b"content-length"):
            raise ResponseError(f"{name!r} among the headers of an accepted WebSocket")
    if offer.key:
        fields.append((b"sec-websocket-accept", b64encode(sha1(offer.key + _MAGIC, usedforsecurity=False).digest())))
    if subprotocol is not None:
        if subprotocol not in offer.subprotocols:
            raise ResponseError(f"the subprotocol {subprotocol!r} was not offered")
        fields.append((b"sec-websocket-protocol", subprotocol.encode("ascii")))
    if extension:
        fields.append((b"sec-websocket-extensions", extension.encode("ascii")))
    return fields


def accept(exchange: Exchange, subprotocol: str | None, headers: Iterable[Header], options: Options) -> Deflate | None:
    """Set the response that takes what *exchange* offers; return the compression, where that was agreed upon.

    Raises ResponseError as :func:`acceptance` does.
    """
    offer = exchange.websocket
    assert offer is not None
    agreed = agree(offer.extensions, options.websocket_max_frame_size) if options.websocket_compress else None
    deflate, terms = agreed or (None, "")
    exchange.start(200, acceptance(offer, subprotocol, headers, terms))
    return deflate


def _offer(fields: list[Header], key: bytes) -> Offer:
    subprotocols = dict.fromkeys(_list(fields, b"sec-websocket-protocol"))
    for name in subprotocols:
        if _TOKEN.fullmatch(name) is None:
            raise ProtocolError(400, "a WebSocket subprotocol that is not a token")
    return Offer(tuple(subprotocols), tuple(_list(fields, b"sec-websocket-extensions")), key)


def _check_version(fields: list[Header]) -> None:
    """RFC 6455, section 4.4: the answer names the version that is spoken; RFC 9110, 15.5.22: and the protocol."""
    if _values(fields, b"sec-websocket-version") != [_VERSION]:
        own = ((b"upgrade", b"websocket"), (b"sec-websocket-version", _VERSION))
        raise ProtocolError(426, "the only version of WebSocket spoken here is 13", own)


def _values(fields: list[Header], wanted: bytes) -> list[bytes]:
    return [value.strip(b" \t") for name, value in fields if name == wanted]


def _list(fields: list[Header], wanted: bytes) -> list[str]:
    """The elements of a field that is a list; empty ones do not count (RFC 9110, section 5.6.1)."""
    texts = [value.decode("latin-1") for value in _values(fields, wanted)]
    elements = (element.strip(" \t") for text in texts for element in text.split(","))
    return [element for element in elements if element]


def _lower(elements: list[str]) -> list[str]:
    return [element.lower() for element in elements]
