"""A body in the chunked coding (RFC 9112, section 7.1): where its data is, and where it ends.

No parser is asked: data is passed on as it lies in what was read, one slice per chunk, whatever it holds; only the
lines between are looked at. What they may be is stricter than what recipients are known to let pass, since each of
those liberties lets somebody else see the end of the message in another place: lines end in CR LF, a size is up to 16
hexadecimal digits and nothing else, an extension is a token with perhaps a token or a quoted string behind ``=``.
"""

from __future__ import annotations

import re
from typing import Final

from hornbeamd.errors import ProtocolError
from hornbeamd.http.rules import FORBIDDEN_TRAILERS

_TOKEN: Final = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
_SIZE_LINE: Final = (
    rb"([0-9A-Fa-f]{1,16})(?:;%b(?:=(?:%b|\"(?:[\t \x21\x23-\x5b\x5d-\x7e]|\\[\t -\x7e])*\"))?)*\r\n" % (_TOKEN, _TOKEN)
)
_FIRST_SIZE = re.compile(_SIZE_LINE)
_NEXT_SIZE = re.compile(rb"\r\n" + _SIZE_LINE)
_TRAILER_LINE = re.compile(rb"(%b):[\t -\x7e\x80-\xff]*\r\n" % _TOKEN)
# Bytes in a row that hold no data: chunk extensions and trailers are read but not wanted, and may not go on for ever.
_OVERHEAD_BOUND: Final = 16384

# What the next line is: the size of a chunk, the CR LF behind the data of one, or a trailer.
_SIZE, _BEHIND_DATA, _TRAILER = range(3)


class ChunkedBody:
    """Follows one body. At most *max_trailers* fields may stand behind it; they are checked and then dropped."""

    __slots__ = ("_left", "_line", "_max_trailers", "_next", "_overhead", "_trailers", "complete")

    def __init__(self, max_trailers: int) -> None:
        self._max_trailers = max_trailers
        self._next = _SIZE
        self._left = 0  # data bytes of the present chunk that are still to come
        self._line = b""  # one that has not come to its end
        self._overhead = 0
        self._trailers = 0
        self.complete = False
        """The end of the body has been read."""

    def feed(self, data: bytes, start: int, body: list[bytes]) -> int:
        """Read *data* from *start* up to the end of the body at most; return where that was.

        Data of the body is appended to *body*. Raises :class:`~hornbeamd.errors.ProtocolError` (400, 431).
        """
        position = start
        size = len(data)
        while position < size and not self.complete:
            if self._left:
                position = self._take_data(data, position, body)
            else:
                end = data.find(b"\n", position) + 1
                line = self._line + data[position : end or size]
                self._count_overhead((end or size) - position)
                self._line = b"" if end else line
                if end:
                    self._take_line(line)
                position = end or size
        return position

    def _take_data(self, data: bytes, position: int, body: list[bytes]) -> int:
        """Take what is there of a chunk, and of those behind it that are there with their size."""
        size = len(data)
        left = self._left
        self._overhead = 0
        while True:
            end = position + left
            if end >= size:
                body.append(data[position:])
                self._left = end - size
                self._next = _BEHIND_DATA
                return size
            body.append(data[position:end])
            match = _NEXT_SIZE.match(data, end)
            left = int(match[1], 16) if match is not None else 0
            if match is None or not left:
                self._left = 0
                self._next = _BEHIND_DATA
                return end
            position = match.end()
            if position - end > _OVERHEAD_BOUND:
                self._count_overhead(position - end)

    def _take_line(self, line: bytes) -> None:
        if self._next == _BEHIND_DATA:
            if line != b"\r\n":
                raise ProtocolError(400, "chunk data is not as long as its size says")
            self._next = _SIZE
        elif self._next == _SIZE:
            match = _FIRST_SIZE.fullmatch(line)
            if match is None:
                raise ProtocolError(400, "a chunk size is malformed")
            self._left = int(match[1], 16)
            if not self._left:
                self._next = _TRAILER
        elif line == b"\r\n":
            self.complete = True
        else:
            self._take_trailer(line)

    def _take_trailer(self, line: bytes) -> None:
        match = _TRAILER_LINE.fullmatch(line)
        if match is None:
            raise ProtocolError(400, "a trailer is malformed")
        if match[1].lower() in FORBIDDEN_TRAILERS:
            raise ProtocolError(400, "a field that may not come after the body")
        self._trailers += 1
        if self._trailers > self._max_trailers:
            raise ProtocolError(431, "more trailers than max_headers")

    def _count_overhead(self, count: int) -> None:
        self._overhead += count
        if self._overhead > _OVERHEAD_BOUND:
            raise ProtocolError(431, "chunk extensions or trailers without end")
