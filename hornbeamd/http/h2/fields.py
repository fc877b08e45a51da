"""Fields of requests and responses as HTTP/2 has them (RFC 9113, section 8).

What a request may hold is decided by the same rules as for HTTP/1.1 (``http.rules``); here is what HTTP/2 adds: pseudo
fields, names in lower case, no fields of the connection. A request that breaks a rule of HTTP/2 itself is *malformed*
and its stream is reset; one that breaks a rule of ours is answered with a status, as it would be over HTTP/1.1.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

from hornbeamd.errors import ProtocolError
from hornbeamd.http.exchange import Request
from hornbeamd.http.h1.reader import Limits
from hornbeamd.http.h2.frames import Code, StreamFault
from hornbeamd.http.rules import (
    CHUNKED,
    FORBIDDEN_TRAILERS,
    HOSTS,
    TARGETS,
    ResponseFields,
    body_length,
    check_host,
    parse_target,
)
from hornbeamd.http.websocket.handshake import connect_offer

Pair = tuple[bytes, bytes]

# Section 8.2.1: a token, without upper case; what an implementation must refuse at least in values, and control
# characters besides, as over HTTP/1.1.
_NAME = re.compile(rb"[!#$%&'*+\-.^_`|~0-9a-z]+")
_VALUE = re.compile(rb"(?:[\x21-\x7e\x80-\xff](?:[\t\x20-\x7e\x80-\xff]*[\x21-\x7e\x80-\xff])?)?")
_METHOD = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
# Section 8.2.2.
_OF_THE_CONNECTION = frozenset((b"connection", b"proxy-connection", b"keep-alive", b"transfer-encoding", b"upgrade"))
_SPECIAL = frozenset((b"host", b"content-length", b"expect", b"te", b"cookie")) | _OF_THE_CONNECTION
_PSEUDO = frozenset((b":method", b":scheme", b":authority", b":path", b":protocol"))


class Fields(NamedTuple):
    """The fields of a request but for the pseudo fields, judged."""

    pairs: tuple[Pair, ...]
    """As the application gets them, but for Host."""
    hosts: tuple[bytes, ...]
    body_length: int | None
    """What Content-Length says, if anything."""
    expects_continue: bool


def judge(pairs: list[Pair], limits: Limits) -> Fields:
    """Judge the fields behind the pseudo fields.

    Raises :class:`StreamFault` for what is malformed, :class:`~hornbeamd.errors.ProtocolError` for what we refuse.
    """
    if len(pairs) > limits.headers:
        raise ProtocolError(431, "more header fields than max_headers")
    special = []
    for pair in pairs:
        name, value = pair
        if _NAME.fullmatch(name) is None:
            raise _malformed("a pseudo field behind other fields" if name[:1] == b":" else "a field name")
        if _VALUE.fullmatch(value) is None:
            raise _malformed("a field value")
        if len(name) + len(value) + 2 > limits.header:
            raise ProtocolError(431, "a header field is longer than max_header_size")
        if name in _SPECIAL:
            special.append(pair)
    if not special:
        return Fields(tuple(pairs), (), None, False)
    return _judge_special(pairs, special, limits)


def _judge_special(pairs: list[Pair], special: list[Pair], limits: Limits) -> Fields:
    hosts = []
    lengths = []
    crumbs = []
    expects = False
    for name, value in special:
        if name == b"cookie":
            crumbs.append(value)
        elif name == b"host":
            hosts.append(value)
        elif name == b"content-length":
            lengths.append(value)
        elif name == b"expect":
            if value.lower() != b"100-continue" or expects:
                raise ProtocolError(417, "the only expectation known is 100-continue")
            expects = True
        elif name != b"te" or value.lower() != b"trailers":
            raise _malformed("a field that belongs to the connection")
    length = body_length(lengths, [], False) if lengths else None
    if length is not None and length > limits.body:
        raise ProtocolError(413, "the request body is longer than max_body_size")
    kept = [pair for pair in pairs if pair[0] != b"host"]
    if len(crumbs) > 1:  # section 8.2.3: joined before an application sees them
        kept = [pair for pair in kept if pair[0] != b"cookie"]
        cookie = b"; ".join(filter(None, crumbs))
        if len(b"cookie") + len(cookie) + 2 > limits.header:
            raise ProtocolError(431, "a header field is longer than max_header_size")
        kept.append((b"cookie", cookie))
    return Fields(tuple(kept), tuple(hosts), length, expects)


def request(pseudo: list[Pair], fields: Fields, ended: bool, limits: Limits) -> Request:
    """Put a request together (section 8.3.1). *ended*: no body follows. Raises as :func:`judge` does.

    One with the method CONNECT asks for a WebSocket (RFC 8441): no other is let through.
    """
    control = dict(pseudo)
    if len(control) != len(pseudo) or not control.keys() <= _PSEUDO:
        raise _malformed("a pseudo field twice, or one that is not defined")
    method = control.get(b":method", b"")
    path = control.get(b":path", b"")
    protocol = control.get(b":protocol")
    authority = control.get(b":authority")
    if _METHOD.fullmatch(method) is None:
        raise _malformed("the method")
    if method == b"CONNECT" and protocol is None:
        raise ProtocolError(501, "this server is no proxy")
    if protocol is not None and method != b"CONNECT":
        raise _malformed(":protocol without CONNECT")
    if protocol not in (None, b"websocket"):
        raise ProtocolError(501, "the only protocol known is websocket")
    if control.get(b":scheme") not in (b"http", b"https") or not path:
        raise _malformed("the scheme, or an empty path")
    if len(method) + len(path) + 10 > limits.request_line:
        raise ProtocolError(414, "the request line is longer than max_request_line_size")
    name = method.decode("ascii")
    target = TARGETS.get(path)
    if target is None:
        if path[:1] != b"/" and (path != b"*" or name != "OPTIONS"):
            raise _malformed("the path")
        target = parse_target(path, name)
    host = _host(authority, fields.hosts)
    made = Request(name, path, target, ((b"host", host), *fields.pairs))
    made.http_version = "2"
    length = fields.body_length
    if ended:
        if length:
            raise _malformed("a Content-Length without a body")
        made.body_length = 0
    else:
        made.body_length = CHUNKED if length is None else length
        made.expects_continue = fields.expects_continue
    if protocol is not None:
        made.websocket = connect_offer(fields.pairs)
    return made


def whole_request(pairs: list[Pair], ended: bool, limits: Limits) -> tuple[Request, Fields, int]:
    """Judge all fields; return the request, what follows the pseudo fields, and how many these are.

    Raises as :func:`judge` does.
    """
    split = 0
    while split < len(pairs) and pairs[split][0][:1] == b":":
        split += 1
    pseudo = pairs[:split]
    try:
        judged = judge(pairs[split:], limits)
        return request(pseudo, judged, ended, limits), judged, split
    except ProtocolError as error:
        error.bodiless = (b":method", b"HEAD") in pseudo
        raise


def _host(authority: bytes | None, hosts: tuple[bytes, ...]) -> bytes:
    """The Host that the application sees: ``:authority`` goes before, and the field may not contradict it."""
    if len(hosts) > 1 or (authority is None and not hosts):
        raise ProtocolError(400, "a request needs exactly one Host")
    host = hosts[0] if authority is None else authority
    if hosts and hosts[0].lower() != host.lower():
        raise _malformed("a Host other than :authority")
    if host not in HOSTS:
        check_host(host)
    return host


def check_trailers(pairs: Iterable[Pair], limits: Limits) -> None:
    """Trailers are checked and then dropped: neither ASGI nor WSGI has a place for them (section 8.1)."""
    for count, (name, value) in enumerate(pairs):
        if _NAME.fullmatch(name) is None or _VALUE.fullmatch(value) is None:
            raise _malformed("a trailer")
        if name in FORBIDDEN_TRAILERS or count >= limits.headers:
            raise _malformed("a field that may not come after the body, or too many")


def _malformed(what: str) -> StreamFault:
    return StreamFault(Code.PROTOCOL_ERROR, f"malformed request: {what}")


# --- responses -----------------------------------------------------------------------------------------------
# Literals without indexing (RFC 7541, section 6.2.2): they need no table on either side, so what was rendered once
# serves every connection. The names that responses use most are in the static table.

_STATIC_NAMES = {
    b":authority": 1,
    b":path": 4,
    b"cache-control": 24,
    b"content-encoding": 26,
    b"content-language": 27,
    b"content-length": 28,
    b"content-type": 31,
    b"date": 33,
    b"etag": 34,
    b"last-modified": 44,
    b"link": 45,
    b"location": 46,
    b"server": 54,
    b"set-cookie": 55,
    b"vary": 59,
}
_DROPPED = frozenset((b"upgrade", b"connection", b"transfer-encoding"))


def _integer(value: int, bits: int) -> bytes:
    """An integer with a prefix of *bits* bits, the others 0 (RFC 7541, section 5.1)."""
    most = (1 << bits) - 1
    if value < most:
        return bytes((value,))
    coded = bytearray((most,))
    value -= most
    while value >= 128:
        coded.append(value & 127 | 128)
        value >>= 7
    coded.append(value)
    return bytes(coded)


def literal(name: bytes, value: bytes) -> bytes:
    """A field, rendered; nothing for one that HTTP/2 does not have (section 8.2.2)."""
    name = name.lower()
    if name in _DROPPED:
        return b""
    index = _STATIC_NAMES.get(name)
    named = b"\0%b%b" % (_integer(len(name), 7), name) if index is None else _integer(index, 4)
    value = value.strip(b" \t")  # section 8.2.1: a value that begins or ends with white space is malformed
    return b"%b%b%b" % (named, _integer(len(value), 7), value)


HTTP2_FIELDS = ResponseFields(literal)


def promise(asked: Request, path: bytes, headers: Iterable[Pair], limits: Limits) -> tuple[Request, list[bytes]]:
    """Make up the request that a push promises (section 8.4), and the fields that promise it.

    It goes to the host of *asked*. Raises :class:`StreamFault` or :class:`~hornbeamd.errors.ProtocolError` where a
    client could not have sent it.
    """
    host = next((value for name, value in asked.headers if name == b"host"), b"")  # hooks may have moved it
    pairs = [(name.lower(), value) for name, value in headers]
    pseudo = [(b":method", b"GET"), (b":scheme", b"https"), (b":authority", host), (b":path", path)]
    made = request(pseudo, judge(pairs, limits), True, limits)
    return made, [literal(name, value) for name, value in (*pseudo[2:], *pairs)]


_STATIC_STATUSES = {200: 0x88, 204: 0x89, 206: 0x8A, 304: 0x8B, 400: 0x8C, 404: 0x8D, 500: 0x8E}

STATUS_FIELDS: dict[int, bytes] = {
    status: bytes((_STATIC_STATUSES[status],)) if status in _STATIC_STATUSES else b"\x08\x03%d" % status
    for status in (100, 103, *range(200, 600))
}
"""Status -> the field ``:status``."""
