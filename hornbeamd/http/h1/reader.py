"""Bytes of a client become requests (RFC 9112, sections 2 to 7.1). No socket, no clock, no application.

A *parser* (httptools, or h11 behind the same methods) is fed heads, in pieces that never reach beyond the end of one.
Bodies no parser sees: how long one is the head has said, and the chunked coding is followed by :mod:`.chunked`. So at
every moment it is known where a message begins, bytes behind a message are left alone, and what a body costs does not
depend on what is in it.

:meth:`RequestReader.feed` raises :class:`~hornbeamd.errors.ProtocolError` for what is to be refused; the reader is of
no use afterwards.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from hornbeamd.errors import ProtocolError
from hornbeamd.http.exchange import Request
from hornbeamd.http.h1.chunked import ChunkedBody
from hornbeamd.http.h1.heads import Heads
from hornbeamd.http.h1.parsers import Parser, ParserFactory, Upgrade
from hornbeamd.http.rules import (
    CHUNKED,
    HOSTS,
    NAMES,
    TARGETS,
    body_length,
    check_host,
    field_name,
    parse_target,
)
from hornbeamd.http.websocket.handshake import upgrade_offer

_METHODS: dict[bytes, str] = {}

# Fields that decide about framing, routing or the connection; all others only pass through.
_SPECIAL = frozenset(
    (b"host", b"content-length", b"transfer-encoding", b"expect", b"connection", b"upgrade", b"proxy-connection")
)

# Empty lines may stand before a request (RFC 9112, section 2.2).
_REQUEST_LINE = re.compile(rb"\r?\n|[!-~]+ [!-~]+ HTTP/[0-9]\.[0-9]\r\n")


class Limits(NamedTuple):
    """What a request may hold: bytes, and a number of fields."""

    request_line: int
    header: int
    headers: int
    body: int


class RequestReader:
    """Reads the requests of one connection, one after another."""

    __slots__ = (
        "_chunked",
        "_factory",
        "_headers",
        "_heads",
        "_limits",
        "_lines",
        "_parser",
        "_special",
        "_tail",
        "_url",
        "body_received",
        "chunks",
        "complete",
        "received",
        "request",
    )

    def __init__(self, factory: ParserFactory, limits: Limits, heads: Heads) -> None:
        self._factory = factory
        self._limits = limits
        self._heads = heads
        self._parser: Parser = factory(self)
        self._headers: list[tuple[bytes, bytes]] = []
        self._special: list[tuple[bytes, bytes]] = []
        self._url = b""
        self._lines = 0  # of a head that arrives in pieces: lines complete so far
        self._tail = b""  # of a head that arrives in pieces: the unfinished line
        self._chunked: ChunkedBody | None = None  # the body that arrives, where it is in that coding
        self.request: Request | None = None
        """The request whose head is complete, until :meth:`next`."""
        self.complete = False
        """Its body is complete, too."""
        self.chunks: list[bytes] = []
        """Body bytes of which the caller has not relieved the reader yet."""
        self.body_received = 0
        """Body bytes so far."""
        self.received = 0
        """The same with the framing of the chunked coding."""

    @property
    def in_head(self) -> bool:
        """Part of a head has arrived."""
        return self._lines > 0 or bool(self._tail)

    @property
    def body_left(self) -> int:
        """Bytes of the body that are still to come, or ``CHUNKED``."""
        request = self.request
        if request is None or self.complete:
            return 0
        return CHUNKED if request.body_length == CHUNKED else request.body_length - self.received

    def next(self) -> None:
        """Forget a complete request and be ready for the one behind it."""
        self.request = None
        self.complete = False
        self._chunked = None
        self.body_received = self.received = 0

    def feed(self, data: bytes) -> int:
        """Read *data* up to the end of one request at most; return how many bytes that were."""
        position = 0
        size = len(data)
        while position < size and not self.complete:
            if self.request is None:
                position = self._feed_head(data, position)
            else:
                position = self._feed_body(data, position)
        return position

    # --- pieces ------------------------------------------------------------------------------------------------

    def _feed_head(self, data: bytes, start: int) -> int:
        """Feed from *start* a whole head, or a line of it; return where to go on."""
        if not self._lines and not self._tail:
            end = data.find(b"\r\n\r\n", start) + 4
            if 3 < end - start <= self._limits.header and data[start] > 13:
                self._feed_whole_head(data if end - start == len(data) else data[start:end])
                return end
        # A head in pieces, or a long one, or one behind empty lines: line by line.
        end = data.find(b"\n", start) + 1 or len(data)
        line = self._tail + data[start:end]
        self._check_line(line)
        self._parse_head(data[start:end])
        self._tail = b""
        if self.request is not None:
            self._lines = 0
            self._strip_values()
        elif line[-1:] != b"\n":
            self._tail = line
        elif self._lines or line != b"\r\n":
            self._lines += 1
        return end

    def _feed_whole_head(self, head: bytes) -> None:
        heads = self._heads
        request = heads.recall(head)
        if request is not None:
            self.request = request
            self.complete = request.body_length == 0
            return
        self._parse_head(head)
        self._check_whole(head)
        if self.request is not None:
            heads.learn(head, self.request)

    def _check_whole(self, head: bytes) -> None:
        """Refuse in a request line what llhttp lets pass: two spaces in a row, and protocols other than HTTP."""
        request = self.request
        if request is None:
            raise ProtocolError(400, "the request is malformed")
        version = len(request.method) + len(request.target) + 1
        if head[version : version + 6] != b" HTTP/":
            raise ProtocolError(400, "the request line is malformed")
        if head.find(b" \r\n") >= 0 or head.find(b"\t") >= 0:
            self._strip_values()

    def _check_line(self, line: bytes) -> None:
        """Hold a line of a head, perhaps an unfinished one, to the limits."""
        limits = self._limits
        if not self._lines:
            if line[:2] == b"\x16\x03":
                raise ProtocolError(400, "a TLS handshake on a port without TLS")
            if len(line) > limits.request_line + 2:
                raise ProtocolError(414, "the request line is longer than max_request_line_size")
            if line[-1:] == b"\n" and _REQUEST_LINE.fullmatch(line) is None:
                raise ProtocolError(400, "the request line is malformed")
        elif len(line) > limits.header + 2:
            raise ProtocolError(431, "a header field is longer than max_header_size")
        elif self._lines > limits.headers + 1:
            raise ProtocolError(431, "more header fields than max_headers")

    def _strip_values(self) -> None:
        """Take away the white space behind values, which llhttp leaves there (RFC 9112, section 5.1)."""
        request = self.request
        if request is not None:
            request.headers = tuple((name, value.rstrip(b" \t")) for name, value in request.headers)

    def _feed_body(self, data: bytes, start: int) -> int:
        """Take from *start* what belongs to the body; return where to go on."""
        request = self.request
        assert request is not None
        if request.body_length >= 0:
            end = min(len(data), start + request.body_length - self.received)
            self.received += end - start
            self.complete = self.received == request.body_length
            self._take_body(data[start:end])
            return end
        chunked = self._chunked
        if chunked is None:
            chunked = self._chunked = ChunkedBody(self._limits.headers)
        pieces: list[bytes] = []
        end = chunked.feed(data, start, pieces)
        self.received += end - start
        self.complete = chunked.complete
        if pieces:
            self._take_body(pieces[0] if len(pieces) == 1 else b"".join(pieces))
        return end

    def _take_body(self, data: bytes) -> None:
        self.body_received += len(data)
        if self.body_received > self._limits.body:
            raise ProtocolError(413, "the request body is longer than max_body_size")
        self.chunks.append(data)

    def _parse_head(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except Upgrade:  # not taken: a server may ignore the field (RFC 9110, section 7.8)
            self._parser = self._factory(self)
        except ProtocolError:
            raise
        except Exception as error:
            # httptools wraps what a callback raised.
            if isinstance(error.__context__, ProtocolError):
                raise error.__context__ from None
            raise ProtocolError(400, str(error) or "the request is malformed") from None
        if self.request is not None and not self.complete:
            self._parser = self._factory(self)  # this one waits for the body

    # --- the parser's calls ------------------------------------------------------------------------------------

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        lower = NAMES.get(name) or field_name(name)
        self._headers.append((lower, value))
        if lower in _SPECIAL:
            self._special.append((lower, value))

    def on_headers_complete(self) -> None:
        parser = self._parser
        name = parser.get_method()
        method = _METHODS.get(name) or _known_method(name)
        url = self._url
        if len(self._headers) > self._limits.headers:
            raise ProtocolError(431, "more header fields than max_headers")
        if len(name) + len(url) + 10 > self._limits.request_line:
            raise ProtocolError(414, "the request line is longer than max_request_line_size")
        target = TARGETS.get(url) or parse_target(url, method)
        request = Request(method, url, target, tuple(self._headers))
        request.keep_alive = parser.should_keep_alive()
        special = self._special
        # One Host that was judged before, and nothing else that would have to be.
        if not (
            len(special) == 1
            and special[0][1] in HOSTS
            and special[0][0] == b"host"
            and request.keep_alive
            and not target.authority
        ):
            self._judge(request, target.authority)
        self._headers = []
        self._special = []
        self._url = b""
        self.request = request
        self.complete = request.body_length == 0

    def _judge(self, request: Request, authority: bytes) -> None:
        """Decide about Host, framing and expectations (RFC 9112, sections 3.2, 6 and 9)."""
        version = self._parser.get_http_version()
        if version not in ("1.1", "1.0"):
            raise ProtocolError(505 if version >= "2" else 400, "only HTTP/1.1 and HTTP/1.0 are spoken here")
        request.http_version = version
        hosts: list[bytes] = []
        lengths: list[bytes] = []
        codings: list[bytes] = []
        expectations: list[bytes] = []
        for name, value in self._special:
            if name == b"host":
                hosts.append(value.strip(b" \t"))
            elif name == b"content-length":
                lengths.append(value.strip(b" \t"))
            elif name == b"transfer-encoding":
                codings.append(value.strip(b" \t"))
            elif name == b"expect":
                expectations.append(value.strip(b" \t").lower())
            elif name == b"connection" and request.keep_alive:
                # In HTTP/1.0 llhttp looks for keep-alive only; close goes before (RFC 9112, section 9.3).
                options = [option.strip(b" \t") for option in value.lower().split(b",")]
                request.keep_alive = b"close" not in options
        if len(hosts) > 1 or (not hosts and version == "1.1"):
            raise ProtocolError(400, "a request needs exactly one Host")
        for host in hosts if not authority else (*hosts, authority):
            if host not in HOSTS:
                check_host(host)
        if authority:  # RFC 9112, section 3.2.2: it takes the place of Host
            others = (field for field in request.headers if field[0] != b"host")
            request.headers = ((b"host", authority), *others)
        length = body_length(lengths, codings, version == "1.0")
        if length > self._limits.body:
            raise ProtocolError(413, "the request body is longer than max_body_size")
        request.body_length = length
        if version == "1.0":
            return  # where neither Expect nor Upgrade means anything (RFC 9110, sections 7.8 and 10.1.1)
        if expectations:
            if expectations != [b"100-continue"]:
                raise ProtocolError(417, "the only expectation known is 100-continue")
            request.expects_continue = length != 0
        if any(name == b"upgrade" for name, _ in self._special):
            request.websocket = upgrade_offer(request.method, request.headers, length)


def _known_method(name: bytes) -> str:
    if name == b"CONNECT":
        raise ProtocolError(501, "this server is no proxy")
    method = name.decode("ascii")
    if len(_METHODS) < 64:
        _METHODS[name] = method
    return method
