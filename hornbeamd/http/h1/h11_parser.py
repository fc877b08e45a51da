"""h11 behind the methods of ``httptools.HttpRequestParser``: the second parser, and the reference in the tests.

h11 tolerates on purpose what others have been seen to send: bare LF, folded lines, repeated Content-Length. In front of
a proxy that reads the same bytes in another way each of these smuggles requests, so what h11 would let pass is refused
here before it sees it.
"""

from __future__ import annotations

import re

import h11

from hornbeamd.errors import ProtocolError
from hornbeamd.http.h1.parsers import Listener

# RFC 9112, sections 2.2 and 5: bare LF, bare CR, a folded line, a control character.
_FORBIDDEN = re.compile(rb"(?<!\r)\n|\r[^\n]|\n[\t ]|[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_LENGTH = re.compile(rb"\r\ncontent-length[\t ]*:[\t ]*([^\r]*)", re.IGNORECASE)
_TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"


class H11Parser:
    """h11 as a parser of heads only: one ``h11.Connection`` for each, thrown away behind it."""

    def __init__(self, listener: Listener) -> None:
        self.listener = listener
        self.head = bytearray()
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

    def feed_data(self, data: bytes) -> None:
        """Gather a head until it is whole, then parse it. Raises ProtocolError for what is to be refused."""
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
            self._parse(whole)

    def _parse(self, head: bytes) -> None:
        lengths = _LENGTH.findall(head)
        if len(lengths) > 1 or not all(length.strip().isdigit() for length in lengths):
            raise ProtocolError(400, "Content-Length is repeated or not a number")
        connection = h11.Connection(h11.SERVER, max_incomplete_event_size=1 << 30)
        try:
            connection.receive_data(head)
            request = connection.next_event()
        except h11.RemoteProtocolError as error:
            raise ProtocolError(error.error_status_hint, str(error)) from None
        assert isinstance(request, h11.Request), "a whole head is a request, or an error"
        self._begin(request)

    def _begin(self, request: h11.Request) -> None:
        if request.http_version not in (b"1.1", b"1.0"):
            raise ProtocolError(505, "only HTTP/1.1 and HTTP/1.0 are spoken here")
        self.request = request
        self.listener.on_url(bytes(request.target))
        for name, value in request.headers.raw_items():
            self.listener.on_header(name, value)
        self.listener.on_headers_complete()
