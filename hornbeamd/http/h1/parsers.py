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


class Parser(Protocol):
    """What a connection needs of a parser, which it feeds heads and nothing else: behind the head of a request that has
    a body it takes a new one. ``feed_data`` raises ProtocolError, or an error of the parser's own."""

    def feed_data(self, data: bytes) -> None: ...
    def get_method(self) -> bytes: ...
    def get_http_version(self) -> str: ...
    def should_keep_alive(self) -> bool: ...


ParserFactory = Callable[[Listener], Parser]
"""Makes a parser that is at the start of a request."""

Upgrade: type[Exception] = getattr(httptools, "HttpParserUpgrade", type("Upgrade", (Exception,), {}))
"""Raised by ``feed_data`` at the end of a head that asks for an upgrade."""


def parser_factory(name: str) -> ParserFactory:
    """Return the factory for ``auto``, ``httptools`` or ``h11``."""
    if name == "h11" or (name == "auto" and httptools is None):
        from hornbeamd.http.h1.h11_parser import H11Parser

        return H11Parser
    if httptools is None:
        raise ImportError("http_parser is httptools, which is not installed")
    factory: ParserFactory = httptools.HttpRequestParser
    return factory
