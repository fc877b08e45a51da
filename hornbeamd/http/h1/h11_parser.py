"""h11 behind the methods of ``httptools.HttpRequestParser``: the second parser, and the reference in the tests.

h11 tolerates on purpose what others have been seen to send: bare LF, folded lines, repeated Content-Length, space
behind chunk sizes. In front of a proxy that reads the same bytes in another way each of these smuggles requests, so
what h11 would let pass is refused here before it sees it.
"""

from __future__ import annotations

import re
from typing import Any

import h11

from hornbeamd.errors import ProtocolError
from hornbeamd.http.h1.parsers import Listener

# RFC 9112, sections 2.2 and 5: bare LF, bare CR, a folded line, a control character.
_FORBIDDEN = re.compile(rb"(?<!\r)\n|\r[^\n]|\n[\t ]|[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_LENGTH = re.compile(rb"\r\ncontent-length[\t ]*:[\t ]*([^\r]*)", re.IGNORECASE)
_TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
_CHUNK_LINE = re.compile(
    rb"([0-9A-Fa-f]{1,16})(?:;%b(?:=(?:%b|\"(?:[\t \x21\x23-\x5b\x5d-\x7e]|\\[\t -\x7e])*\"))?)*\r\n" % (_TOKEN, _TOKEN)
)
_TRAILER_LINE = re.compile(rb"%b:[\t -\x7e\x80-\xff]*\r\n" % _TOKEN)
_LINE_BOUND = 65536


class H11Parser:
    """h11 as a parser only: one ``h11.Connection`` for each request, thrown away with it."""

    def __init__(self, listener: Listener, body: int | None = None) -> None:
        self.listener = listener
        self.head = bytearray()
        self.chunks: _ChunkLines | None = None
        self.connection: h11.Connection | None = None
        self.request: h11.Request | None = None

    def get_method(self) -> bytes:
        """The method of the present request."""
        assert self.request is not None
        return bytes(self.request.method)

    def get_http_version(self) -> str:
        """ "1.1" or "1.0"."""
        assert self.request is not None
        return self.request.http_version.decode("ascii")

    def should_keep_alive(self) -> bool:
        """RFC 9112, section 9.3: by the Connection options and the version."""
        assert self.request is not None
        options = {
            option.strip().lower()
            for name, value in self.request.headers
            if name == b"connection"
            for option in value.split(b",")
        }
        if b"close" in options:
            return False
        return self.request.http_version == b"1.1" or b"keep-alive" in options

    def feed_data(self, data: bytes | memoryview) -> None:
        """Parse *data*; raises ProtocolError for what is to be refused."""
        data = bytes(data)
        try:
            if self.connection is None:
                self._feed_head(data)
            else:
                if self.chunks is not None:
                    self.chunks.feed(data)
                self._feed_connection(data)
        except h11.RemoteProtocolError as error:
            raise ProtocolError(error.error_status_hint, str(error)) from None

    def _feed_head(self, data: bytes) -> None:
        """Gather a head until it is whole. The reader never feeds beyond its end."""
        head = self.head
        if not head:
            data = data.lstrip(b"\r\n")  # RFC 9112, section 2.2: empty lines before a request are ignored
        start = max(len(head) - 3, 0)
        head += data
        if head and re.match(_TOKEN, head) is None:
            raise ProtocolError(400, "the request does not begin with a method")
        if _FORBIDDEN.search(head, max(start, 1)) is not None:
            raise ProtocolError(400, "a bare CR or LF, a folded line, or a control character in the head")
        if head.endswith(b"\r\n\r\n"):
            whole = bytes(head)
            head.clear()
            lengths = _LENGTH.findall(whole)
            if len(lengths) > 1 or not all(length.strip().isdigit() for length in lengths):
                raise ProtocolError(400, "Content-Length is repeated or not a number")
            self.connection = h11.Connection(h11.SERVER, max_incomplete_event_size=1 << 30)
            self._feed_connection(whole)

    def _feed_connection(self, data: bytes) -> None:
        connection = self.connection
        assert connection is not None
        connection.receive_data(data)
        while True:
            event: Any = connection.next_event()
            if event is h11.NEED_DATA or event is h11.PAUSED:
                return
            if isinstance(event, h11.Request):
                self._begin(event)
            elif isinstance(event, h11.Data):
                self.listener.on_body(bytes(event.data))
            elif isinstance(event, h11.EndOfMessage):
                for name, value in event.headers.raw_items():
                    self.listener.on_header(name, value)
                self.connection = self.chunks = None
                self.listener.on_message_complete()
                return

    def _begin(self, request: h11.Request) -> None:
        if request.http_version not in (b"1.1", b"1.0"):
            raise ProtocolError(505, "only HTTP/1.1 and HTTP/1.0 are spoken here")
        self.request = request
        if any(name == b"transfer-encoding" for name, _ in request.headers):
            self.chunks = _ChunkLines()
        self.listener.on_url(bytes(request.target))
        for name, value in request.headers.raw_items():
            self.listener.on_header(name, value)
        self.listener.on_headers_complete()


class _ChunkLines:
    """Checks the lines of a chunked body (RFC 9112, section 7.1) before h11 reads them."""

    def __init__(self) -> None:
        self.line = b""
        self.data = 0  # bytes of chunk data to come, with CR LF
        self.trailers = False

    def feed(self, data: bytes) -> None:
        """Check *data*; raises ProtocolError (400)."""
        position = min(self.data, len(data))
        self.data -= position
        while position < len(data):
            end = data.find(b"\n", position) + 1 or len(data)
            self.line += data[position:end]
            if len(self.line) > _LINE_BOUND:
                raise ProtocolError(431, "chunk extensions or trailers without end")
            position = end
            if self.line[-1:] == b"\n":
                self._check(self.line)
                self.line = b""
                skip = min(self.data, len(data) - position)
                self.data -= skip
                position += skip

    def _check(self, line: bytes) -> None:
        if self.trailers:
            if line != b"\r\n" and _TRAILER_LINE.fullmatch(line) is None:
                raise ProtocolError(400, "a trailer is malformed")
            return
        match = _CHUNK_LINE.fullmatch(line)
        if match is None:
            raise ProtocolError(400, "a chunk size is malformed")
        size = int(match[1], 16)
        self.trailers = size == 0
        self.data = size + 2 if size else 0
