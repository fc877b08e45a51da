"""What HTTP allows in names, values, targets and framing: one place for every protocol version and parser.

Pure functions and bounded tables, no I/O and no clock. Requests are judged by :func:`parse_target`,
:func:`check_host`, :func:`body_length` and :func:`parse_content_length`; what the application sends is
judged and rendered by :class:`ResponseFields`.

The tables remember what was judged before (a client repeats its header names, an application its header
lines). A table that has grown to its bound is emptied: clients choose the keys, so no table may keep them.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from http import HTTPStatus
from typing import Final, NamedTuple
from urllib.parse import unquote_to_bytes

from hornbeamd.errors import ProtocolError, ResponseError

# --- field names and values (RFC 9110, section 5) ------------------------------------------------------------

_TOKEN = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
# obs-text is allowed on the way out as on the way in: existing applications send UTF-8 in values.
_FIELD_VALUE = re.compile(rb"[\t\x20-\x7e\x80-\xff]*")

_TABLE_BOUND: Final = 1024
_REMEMBERED_LENGTH: Final = 256

NAMES: dict[bytes, bytes] = {}
"""Field names as clients write them -> lower case. Filled by :func:`field_name`."""


def field_name(name: bytes) -> bytes:
    """Return *name* in lower case, remembering it. The parser has already held it to be a token."""
    lower = name.lower()
    if len(name) <= 64:
        if len(NAMES) >= _TABLE_BOUND:
            NAMES.clear()
        NAMES[name] = lower
    return lower


# --- request targets (RFC 9112, section 3.2) -----------------------------------------------------------------


class Target(NamedTuple):
    """A request target, taken apart."""

    raw_path: bytes
    """The path as sent, percent-encoded, without the query."""
    query: bytes
    path: str
    """The path percent-decoded, as UTF-8 (bytes that are no UTF-8 become U+FFFD)."""
    authority: bytes
    """What an absolute-form target names; it takes the place of Host (RFC 9112, section 3.2.2)."""


TARGETS: dict[bytes, Target] = {}
_VISIBLE = re.compile(rb"[\x21-\x7e]+")
_ABSOLUTE = re.compile(rb"https?://([^/?#]+)([^#]*)", re.IGNORECASE)


def parse_target(target: bytes, method: str) -> Target:
    """Take *target* apart.

    Raises :class:`ProtocolError` (400) for what is neither origin-form, absolute-form nor, with OPTIONS, ``*``.
    """
    authority = b""
    rest = target
    if target[:1] != b"/":
        if target == b"*" and method == "OPTIONS":
            return Target(b"*", b"", "*", b"")
        absolute = _ABSOLUTE.fullmatch(target)
        if absolute is None:
            raise ProtocolError(400, "request target is not of origin-form or absolute-form")
        authority, rest = absolute[1], absolute[2]
        if rest[:1] != b"/":
            rest = b"/" + rest
    if b"#" in rest or _VISIBLE.fullmatch(rest) is None:
        raise ProtocolError(400, "request target holds a character that a URI does not allow")
    raw_path, _, query = rest.partition(b"?")
    path = unquote_to_bytes(raw_path) if b"%" in raw_path else raw_path
    parsed = Target(raw_path, query, path.decode("utf-8", "replace"), authority)
    if len(target) <= _REMEMBERED_LENGTH and not authority:
        if len(TARGETS) >= _TABLE_BOUND:
            TARGETS.clear()
        TARGETS[target] = parsed
    return parsed


# --- Host (RFC 9110, section 7.2; RFC 3986, section 3.2) -----------------------------------------------------

HOSTS: set[bytes] = set()
_HOST = re.compile(
    rb"(?:\[[0-9A-Fa-f:.]+(?:%25[\w.\-~]+)?\]|[A-Za-z0-9\-._~!$&'()*+;=%]*)(?::([0-9]{0,5}))?",
)


def check_host(value: bytes) -> None:
    """Raise :class:`ProtocolError` (400) when *value* is no ``host [":" port]``. An empty value is one."""
    match = _HOST.fullmatch(value)
    if match is None or int(match[1] or 0) > 65535:
        raise ProtocolError(400, "Host is not valid")
    if len(value) <= _REMEMBERED_LENGTH:
        if len(HOSTS) >= _TABLE_BOUND:
            HOSTS.clear()
        HOSTS.add(value)


# --- framing of requests (RFC 9112, section 6) ---------------------------------------------------------------

CHUNKED: Final = -1
"""Length of a body whose end the chunked coding marks."""

_DIGITS = re.compile(rb"[0-9]{1,19}")


def parse_content_length(value: bytes) -> int:
    """Return the length in bytes; :class:`ProtocolError` (400) for anything but up to 19 digits."""
    if _DIGITS.fullmatch(value) is None:
        raise ProtocolError(400, "Content-Length is not a number")
    return int(value)


def body_length(lengths: list[bytes], codings: list[bytes], http_1_0: bool) -> int:
    """How long the request's body is: bytes, or :data:`CHUNKED`.

    *lengths* and *codings* are the values of all Content-Length and Transfer-Encoding fields. Whatever two
    recipients could read in two ways is refused with 400, a coding that is not known with 501.
    """
    if codings:
        if lengths:
            raise ProtocolError(400, "Content-Length together with Transfer-Encoding")
        if http_1_0:
            raise ProtocolError(400, "Transfer-Encoding in an HTTP/1.0 request")
        if len(codings) > 1:
            raise ProtocolError(400, "more than one Transfer-Encoding")
        if codings[0].lower() != b"chunked":
            unknown = _TOKEN.match(codings[0]) and b"chunked" not in codings[0].lower()
            raise ProtocolError(501 if unknown else 400, "Transfer-Encoding other than chunked")
        return CHUNKED
    if len(lengths) > 1:
        raise ProtocolError(400, "more than one Content-Length")
    return parse_content_length(lengths[0]) if lengths else 0


FORBIDDEN_TRAILERS: Final = frozenset(
    b"authorization connection content-encoding content-length content-range content-type cookie expect host"
    b" set-cookie te trailer transfer-encoding upgrade".split()
)
"""Fields that frame, route or authorize a request and so may not come after its body (RFC 9110, 6.5.1)."""


# --- responses -----------------------------------------------------------------------------------------------

_PHRASES = {status.value: status.phrase.encode("ascii") for status in HTTPStatus}

STATUS_LINES: dict[int, bytes] = {
    status: b"HTTP/1.1 %d %b\r\n" % (status, _PHRASES.get(status, b"")) for status in range(200, 600)
}
"""Status -> status line of HTTP/1.1, for final responses (RFC 9112, section 4)."""

BODILESS: Final = frozenset({204, 304})
"""Final statuses whose response has no body, whatever the application sends (RFC 9110, section 6.4.1)."""


class Field(NamedTuple):
    """A response field that the server must know about: its line, what it is, and its value as a number."""

    line: bytes
    name: bytes
    number: int


_KNOWN: Final = frozenset((b"content-length", b"transfer-encoding", b"connection", b"date", b"server", b"trailer"))
# Fields of the connection, not of the response: the server's to send (RFC 9110, section 7.6.1).
_HOP_BY_HOP: Final = frozenset((b"keep-alive", b"proxy-connection", b"te"))


class ResponseFields:
    """Judges response fields, the same for every protocol version, and has *render* write them as one does."""

    __slots__ = ("lengths", "lines", "render")

    def __init__(self, render: Callable[[bytes, bytes], bytes]) -> None:
        self.render = render
        self.lines: dict[tuple[bytes, bytes], bytes] = {}
        """Response fields of no meaning to the server -> as they are sent. Filled by :meth:`judge`."""
        self.lengths: dict[tuple[bytes, bytes], Field] = {}
        """The same for Content-Length, which nearly every response has."""

    def judge(self, pair: tuple[bytes, bytes]) -> bytes | Field:
        """Check and render one response field; a :class:`Field` when the server must know of it.

        Raises :class:`ResponseError` for a name that is no token, a value with CR, LF, NUL or another control
        character.
        """
        name, value = pair
        if not isinstance(name, bytes) or not isinstance(value, bytes):
            raise ResponseError(f"response header {name!r}: {value!r} is not a pair of bytes")
        if _TOKEN.fullmatch(name) is None:
            raise ResponseError(f"response header name {name!r} is not a token")
        if _FIELD_VALUE.fullmatch(value) is None:
            raise ResponseError(f"response header {name!r} holds a control character: {value!r}")
        line = self.render(name, value)
        lower = name.lower()
        if lower in _KNOWN:
            return self._known(pair, lower, line)
        if lower in _HOP_BY_HOP:
            return b""  # applications made for another server send them out of habit
        if len(line) <= _REMEMBERED_LENGTH:
            if len(self.lines) >= _TABLE_BOUND:
                self.lines.clear()
            self.lines[pair] = line
        return line

    def _known(self, pair: tuple[bytes, bytes], lower: bytes, line: bytes) -> Field:
        value = pair[1].strip()
        if lower == b"content-length":
            if _DIGITS.fullmatch(value) is None:
                raise ResponseError(f"response Content-Length is not a number: {value!r}")
            field = Field(line, lower, int(value))
            if len(self.lengths) >= _TABLE_BOUND:
                self.lengths.clear()
            self.lengths[pair] = field
            return field
        if lower == b"transfer-encoding" and value.lower() not in (b"chunked", b"identity"):
            raise ResponseError(f"response Transfer-Encoding is the server's to choose: {value!r}")
        closes = lower == b"connection" and b"close" in [token.strip() for token in value.lower().split(b",")]
        return Field(line, lower, int(closes))


HTTP1_FIELDS: Final = ResponseFields(lambda name, value: b"%b: %b\r\n" % (name, value))
"""Field lines of HTTP/1.1 (RFC 9112, section 5)."""
