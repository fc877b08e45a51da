"""Header blocks become requests (RFC 7541; RFC 9113, section 4.3).

The ``hpack`` library decodes. It is asked as little as possible, because clients repeat themselves: a block that
leaves the dynamic table as it is means the same until the table changes. So such blocks are remembered whole, and in
two parts: the pseudo fields, among which the path is what varies, are read here when they are of the simple forms that
all clients use; the block from the first other field on is looked up.

What is remembered is valid for one state of the table: a block that changes the table empties the memory. It is bounded
per connection, and only what comes a second time is kept.
"""

from __future__ import annotations

import logging

from hpack import Decoder, HPACKDecodingError, OversizedHeaderListError
from hpack.huffman_table import decode_huffman
from hpack.table import HeaderTable

from hornbeamd.errors import ProtocolError
from hornbeamd.http.exchange import Request
from hornbeamd.http.h1.reader import Limits
from hornbeamd.http.h2 import fields
from hornbeamd.http.h2.fields import Fields, Pair
from hornbeamd.http.h2.frames import Code, ConnectionFault

# Its debug messages hold the fields of requests, and cookies are not to get into the log of an application.
logging.getLogger("hpack").setLevel(logging.INFO)

LIST_SIZE = 65536
"""The largest list of fields that is decoded, in bytes as section 6.5.2 counts them. Fields of a few bytes that a block
refers to thousands of times are the attack that this stops."""

_BLOCK_SIZE = 1024
# What may be remembered for a connection, in bytes as estimated.
_MEMORY = 131072
_SEEN = 1024
# Huffman-coded strings -> decoded, of all connections. Clients choose them: bounded.
_STRINGS: dict[bytes, bytes] = {}
_STRINGS_BOUND = 4096
_STRING_SIZE = 256

_STATIC = (None, *HeaderTable.STATIC_TABLE)


class _Table(HeaderTable):
    """The dynamic table; counts its changes."""

    changes = 0

    def add(self, name: bytes, value: bytes) -> None:
        self.changes += 1
        super().add(name, value)


class HeaderReader:
    """Reads the header blocks of one connection, all of them and in their order."""

    __slots__ = ("_decoder", "_limits", "_rests", "_seen", "_table", "_weight", "_whole")

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._decoder = Decoder(max_header_list_size=LIST_SIZE)
        self._decoder.header_table = self._table = _Table()
        self._whole: dict[bytes, Request] = {}  # blocks of requests without a body
        self._rests: dict[bytes, Fields] = {}  # what follows the pseudo fields
        self._seen: set[int] = set()
        self._weight = 0

    def request(self, block: bytes, ended: bool) -> Request:
        """Return what *block* asks for; *ended*: no body follows.

        Raises :class:`ConnectionFault` where it cannot be decoded, :class:`StreamFault` where the request is
        malformed, :class:`~hornbeamd.errors.ProtocolError` where it is refused.
        """
        if ended:
            request = self._whole.get(block)
            if request is not None:
                return request
        simple = self._read_pseudo(block)
        if simple is not None:
            pseudo, start = simple
            rest = self._rests.get(block[start:])
            if rest is not None:
                try:
                    request = fields.request(pseudo, rest, ended, self._limits)
                except ProtocolError:  # told from all fields, as for one that was never seen
                    return self._decode_request(block, ended, None)
                if ended:
                    self._keep(block, request)
                return request
        return self._decode_request(block, ended, simple)

    def trailers(self, block: bytes) -> None:
        """Decode and check *block*, and forget it. Raises as :meth:`request` does."""
        fields.check_trailers(self.decode(block), self._limits)

    def decode(self, block: bytes) -> list[Pair]:
        """Decode *block*, whatever it is for: the table must follow. Raises :class:`ConnectionFault`."""
        table = self._table
        changes = table.changes
        try:
            pairs = [(name, value) for name, value in self._decoder.decode(block, raw=True)]
        except OversizedHeaderListError:
            raise ConnectionFault(Code.ENHANCE_YOUR_CALM, "a list of fields that is too large") from None
        except (HPACKDecodingError, UnicodeDecodeError):  # whose texts quote the block
            raise ConnectionFault(Code.COMPRESSION_ERROR, "a header block that cannot be decoded") from None
        if table.changes != changes or (block and block[0] & 0xE0 == 0x20):  # additions, or a new size
            self._forget()
        return pairs

    # --- what is not remembered whole ------------------------------------------------------------------------------

    def _decode_request(self, block: bytes, ended: bool, simple: tuple[list[Pair], int] | None) -> Request:
        changes = self._table.changes
        pairs = self.decode(block)
        request, judged, split = fields.whole_request(pairs, ended, self._limits)
        if self._table.changes == changes:
            if ended:
                self._keep(block, request)
            # A name may be spelled out: what was read as the first other field may be a pseudo field.
            if simple is not None and len(simple[0]) == split and self._came_before(rest := block[simple[1] :]):
                self._make_room(rest, judged.pairs)
                self._rests[rest] = judged
        return request

    def _keep(self, block: bytes, request: Request) -> None:
        if self._came_before(block):
            self._make_room(block, request.headers)
            request.shared = True
            self._whole[block] = request

    def _came_before(self, what: bytes) -> bool:
        """Tell whether *what* came before, as far as is remembered, and is short enough to keep."""
        if len(what) > _BLOCK_SIZE:
            return False
        key = hash(what)
        if key in self._seen:
            return True
        if len(self._seen) >= _SEEN:
            self._seen.clear()
        self._seen.add(key)
        return False

    def _make_room(self, block: bytes, pairs: tuple[Pair, ...]) -> None:
        """Forget everything where *block*, which says *pairs*, would be more than may be remembered."""
        self._weight += len(block) + sum(len(name) + len(value) + 128 for name, value in pairs) + 512
        if self._weight > _MEMORY:
            self._forget()

    def _forget(self) -> None:
        self._whole.clear()
        self._rests.clear()
        self._seen.clear()
        self._weight = 0

    def _read_pseudo(self, block: bytes) -> tuple[list[Pair], int] | None:
        """Read the pseudo fields at the start of *block*, and say where they end.

        None where one is of a form that changes the table, or is longer than the simple forms can say.
        """
        pseudo: list[Pair] = []
        position = 0
        size = len(block)
        dynamic = self._table.dynamic_entries
        while position < size:
            first = block[position]
            if first > 0xFE or first == 0x80:
                return None
            if first > 0x80:  # a field that the table holds
                index = first & 0x7F
                if index < 62:
                    pair = _STATIC[index]
                elif index - 62 < len(dynamic):
                    pair = dynamic[index - 62]
                else:
                    return None
                if pair[0][:1] != b":":  # type: ignore[index]
                    break
                pseudo.append(pair)  # type: ignore[arg-type]
                position += 1
                continue
            if first & 0xE0:  # it changes the table
                return None
            if not 0 < first & 0x0F < 8:  # a literal whose name is not one of the first seven: no pseudo field
                break
            end = position + 2 + (block[position + 1] & 0x7F) if position + 1 < size else size + 1
            if end > size or block[position + 1] & 0x7F == 0x7F:
                return None
            value = block[position + 2 : end]
            if block[position + 1] & 0x80:
                decoded = _STRINGS.get(value)
                if decoded is None:
                    decoded = _decode_string(value)
                    if decoded is None:
                        return None
                value = decoded
            pseudo.append((_STATIC[first & 0x0F][0], value))  # type: ignore[index]
            position = end
        return pseudo, position


def _decode_string(coded: bytes) -> bytes | None:
    """Decode a Huffman-coded string; None where that fails, for the decoder to say why."""
    try:
        decoded = bytes(decode_huffman(coded))
    except HPACKDecodingError:
        return None
    if len(coded) <= _STRING_SIZE:
        if len(_STRINGS) >= _STRINGS_BOUND:
            _STRINGS.clear()
        _STRINGS[coded] = decoded
    return decoded
