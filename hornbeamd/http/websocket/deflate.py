"""permessage-deflate (RFC 7692): negotiated strictly, inflated within bounds.

Outbound compression is wsproto's. Inbound, a few kilobytes may inflate to gigabytes, so every call of zlib is told how
much it may still give.
"""

from __future__ import annotations

import zlib
from typing import Any

from wsproto.extensions import PerMessageDeflate
from wsproto.frame_protocol import CloseReason, Opcode, RsvBits

_NAME = "permessage-deflate"
_FLAGS = ("server_no_context_takeover", "client_no_context_takeover")
_BITS = tuple(str(bits) for bits in range(8, 16))
# What a sender leaves away at the end of each message (RFC 7692, section 7.2.1).
_TAIL = b"\x00\x00\xff\xff"


class Deflate(PerMessageDeflate):
    """The extension on one connection. *limit* is how many bytes a message may inflate to."""

    def __init__(self, limit: int) -> None:
        super().__init__()
        self._limit = limit
        self._left = limit
        self._compressed = False  # the present message
        self._applies = False  # the present frame
        self._inflater: Any = None

    def frame_inbound_header(
        self, proto: Any, opcode: Opcode, rsv: RsvBits, payload_length: int
    ) -> CloseReason | RsvBits:
        """Take note of a frame; the bit is for the first one of a message (RFC 7692, section 6)."""
        if opcode.iscontrol() or opcode is Opcode.CONTINUATION:
            if rsv.rsv1:
                return CloseReason.PROTOCOL_ERROR
            self._applies = self._compressed and not opcode.iscontrol()
        else:
            self._applies = self._compressed = rsv.rsv1
            self._left = self._limit
        return RsvBits(True, False, False)

    def frame_inbound_payload_data(self, proto: Any, data: bytes) -> bytes | CloseReason:
        """Inflate a part of a frame."""
        return self._inflate(data) if self._applies else data

    def frame_inbound_complete(self, proto: Any, fin: bool) -> bytes | CloseReason | None:
        """Inflate what is left at the end of a message."""
        if not fin or not self._applies:
            return None
        rest = self._inflate(_TAIL)
        if self.client_no_context_takeover or self._inflater is None or self._inflater.eof:
            self._inflater = None
        return rest

    def _inflate(self, data: bytes) -> bytes | CloseReason:
        inflater = self._inflater
        if inflater is None:
            # A client that limits its window can be read with the full one.
            inflater = self._inflater = zlib.decompressobj(-zlib.MAX_WBITS)
        if inflater.eof:  # a final block, behind which only the empty block may come (RFC 7692, section 7.2.3.4)
            return b"" if not data.strip(b"\x00\xff") else CloseReason.INVALID_FRAME_PAYLOAD_DATA
        try:
            inflated: bytes = inflater.decompress(data, self._left + 1)
        except zlib.error:
            return CloseReason.INVALID_FRAME_PAYLOAD_DATA
        if inflater.unused_data.strip(b"\x00\xff"):
            return CloseReason.INVALID_FRAME_PAYLOAD_DATA
        self._left -= len(inflated)
        return inflated if self._left >= 0 else CloseReason.MESSAGE_TOO_BIG


def agree(offers: tuple[str, ...], limit: int) -> tuple[Deflate, str] | None:
    """Take the first of the *offers* (of Sec-WebSocket-Extensions) that can be served; return how it is answered.

    None where there is none. *limit* is how many bytes a message may inflate to.
    """
    for offer in offers:
        name, _, rest = offer.partition(";")
        asked = _parameters(rest) if name.strip().lower() == _NAME else None
        if asked is not None:
            deflate = Deflate(limit)
            parameters = deflate.accept(f"{_NAME}; {'; '.join(asked)}")
            return deflate, f"{_NAME}; {parameters}" if parameters else _NAME
    return None


def _parameters(text: str) -> list[str] | None:
    """The parameters of an offer that matter to us, or None where the offer is to be declined (RFC 7692, 7.1)."""
    seen: set[str] = set()
    asked = []
    for parameter in filter(None, (part.strip() for part in text.split(";"))):
        name, has_value, value = (piece.strip() for piece in parameter.partition("="))
        value = value.strip('"')
        if name in seen:
            return None
        seen.add(name)
        if name in _FLAGS and not has_value:
            asked.append(name)
        elif name == "server_max_window_bits" and value in _BITS[1:]:  # zlib cannot deflate with 8
            asked.append(f"{name}={value}")
        elif name != "client_max_window_bits" or (has_value and value not in _BITS):
            return None
    return asked
