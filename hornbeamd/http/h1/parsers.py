"""The two parsers of HTTP/1.1 behind one set of methods, those of ``httptools.HttpRequestParser``.

httptools (llhttp) is the one for production. h11 is used where httptools is missing or when the option
``http_parser`` asks for it, and is the reference that the tests run every case against.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

httptools: Any
try:
    import httptools
except ImportError:  # no wheel for this platform: h11 serves
    httptools = None


class Listener(Protocol):
    """Whom a parser tells what it found."""

    def on_url(self, url: bytes) -> None: ...
    def on_header(self, name: bytes, value: bytes) -> None: ...
    def on_headers_complete(self) -> None: ...
    def on_body(self, data: bytes) -> None: ...
    def on_message_complete(self) -> None: ...


class Parser(Protocol):
    """What a connection needs of a parser. ``feed_data`` raises ProtocolError, or an error of the parser's own."""

    def feed_data(self, data: bytes | memoryview) -> None: ...
    def get_method(self) -> bytes: ...
    def get_http_version(self) -> str: ...
    def should_keep_alive(self) -> bool: ...


ParserFactory = Callable[[Listener, "int | None"], Parser]
"""``(listener, body)``: a parser at the start of a request or, where *body* is a length in bytes or ``CHUNKED``,
behind a head that announced such a body."""

Upgrade: type[Exception] = getattr(httptools, "HttpParserUpgrade", type("Upgrade", (Exception,), {}))
"""Raised by ``feed_data`` at the end of a head that asks for an upgrade."""


def parser_factory(name: str) -> ParserFactory:
    """Return the factory for ``auto``, ``httptools`` or ``h11``."""
    if name == "h11" or (name == "auto" and httptools is None):
        from hornbeamd.http.h1.h11_parser import H11Parser

        return H11Parser
    if httptools is None:
        raise ImportError("http_parser is httptools, which is not installed")
    return _httptools_parser


# --- httptools -------------------------------------------------------------------------------------------------


def _httptools_parser(listener: Listener, body: int | None) -> Parser:
    if body is None:
        parser: Parser = httptools.HttpRequestParser(listener)
        return parser
    gate = _Gate(listener)
    parser = httptools.HttpRequestParser(gate)
    framing = b"transfer-encoding: chunked" if body < 0 else b"content-length: %d" % body
    parser.feed_data(b"POST / HTTP/1.1\r\nhost: gate\r\n%b\r\n\r\n" % framing)
    gate.open = True
    return parser


class _Gate:
    """Keeps a head that was only made up to tell the parser a framing from its listener."""

    def __init__(self, listener: Listener) -> None:
        self.listener = listener
        self.open = False
        self.on_body = listener.on_body
        self.on_message_complete = listener.on_message_complete

    def on_url(self, url: bytes) -> None:
        if self.open:
            self.listener.on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        if self.open:
            self.listener.on_header(name, value)

    def on_headers_complete(self) -> None:
        if self.open:
            self.listener.on_headers_complete()
