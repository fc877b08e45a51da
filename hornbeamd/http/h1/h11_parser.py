"""h11 behind the methods of ``httptools.HttpRequestParser``: the second parser, and the reference in the tests."""

from __future__ import annotations

from typing import Any

import h11

from hornbeamd.errors import ProtocolError
from hornbeamd.http.h1.parsers import Listener


class H11Parser:
    """h11 as a parser only: one ``h11.Connection`` for each request, thrown away with it."""

    def __init__(self, listener: Listener, body: int | None = None) -> None:
        self.listener = listener
        self.head = bytearray()
        self.connection: h11.Connection | None = None
        self.request: h11.Request | None = None

    def get_method(self) -> bytes:
        assert self.request is not None
        return bytes(self.request.method)

    def get_http_version(self) -> str:
        assert self.request is not None
        return self.request.http_version.decode("ascii")

    def should_keep_alive(self) -> bool:
        """RFC 9112, section 9.3: by the last word of the Connection options."""
        assert self.request is not None
        options = {
            option.strip().lower()
            for name, value in self.request.headers
            if name == b"connection"
            for option in value.split(b",")
        }
        if b"close" in options:
            return False
        return self.request.http_version >= b"1.1" or b"keep-alive" in options

    def feed_data(self, data: bytes | memoryview) -> None:
        try:
            if self.connection is None:
                data = self._feed_head(bytes(data))
                if not data:
                    return
            self._feed_connection(bytes(data))
        except h11.RemoteProtocolError as error:
            raise ProtocolError(error.error_status_hint, str(error)) from None

    def _feed_head(self, data: bytes) -> bytes:
        """Gather a head until it is whole; h11 tolerates more than we do, so its lines are checked here."""
        if not self.head:
            data = data.lstrip(b"\r\n")  # RFC 9112, section 2.2: empty lines before a request are ignored
        start = max(len(self.head) - 1, 0)
        self.head += data
        self._check_lines(start)
        end = self.head.find(b"\r\n\r\n", max(start - 3, 0))
        if end < 0:
            return b""
        whole = bytes(self.head)
        self.head.clear()
        self.connection = h11.Connection(h11.SERVER, max_incomplete_event_size=1 << 30)
        return whole

    def _check_lines(self, start: int) -> None:
        """Refuse bare LF, bare CR and folded lines (RFC 9112, sections 2.2 and 5.2)."""
        head = self.head
        first = head[:1]
        if first and not first.isalpha() and first not in b"!#$%&'*+-.^_`|~0123456789":
            raise ProtocolError(400, "the request does not begin with a method")
        for position in range(start, len(head)):
            byte = head[position]
            if byte == 10 and head[position - 1 : position] != b"\r":
                raise ProtocolError(400, "a line ends with LF alone")
            if byte != 10 and position and head[position - 1] == 13:
                raise ProtocolError(400, "CR without LF")
            if byte in b" \t" and position and head[position - 1] == 10:
                raise ProtocolError(400, "a folded header line")
        if b"\r\n" not in head and len(head) > (1 << 16):
            raise ProtocolError(414, "the request line is too long")

    def _feed_connection(self, data: bytes) -> None:
        connection = self.connection
        assert connection is not None
        connection.receive_data(data)
        listener = self.listener
        while True:
            event: Any = connection.next_event()
            if event is h11.NEED_DATA or event is h11.PAUSED:
                return
            if isinstance(event, h11.Request):
                self.request = event
                listener.on_url(bytes(event.target))
                for name, value in event.headers.raw_items():
                    listener.on_header(name, value)
                listener.on_headers_complete()
            elif isinstance(event, h11.Data):
                listener.on_body(bytes(event.data))
            elif isinstance(event, h11.EndOfMessage):
                for name, value in event.headers.raw_items():
                    listener.on_header(name, value)
                rest, _ = connection.trailing_data
                self.connection = None
                listener.on_message_complete()
                if rest:
                    self.feed_data(rest)
                return
