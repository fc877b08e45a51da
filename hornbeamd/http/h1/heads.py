"""What the parser has said of the heads of requests, and of their lines: remembered, so that it is asked once.

The clients of a server repeat themselves. Many send the same head again byte for byte; most send another target with
lines that they, or others, sent before. A line of a head means the same wherever it stands (folded lines are
refused), so a head whose lines were all judged before is put together from what was said of them.

Nothing is judged here. A line is let in when a parser has taken a whole head that holds it; fields that decide about
the framing are not let in, but for a Content-Length. What is kept is bounded, and only what comes a second time is
kept: clients choose the keys.
"""

from __future__ import annotations

from hornbeamd.http.exchange import Request
from hornbeamd.http.rules import TARGETS, parse_target

Field = tuple[bytes, bytes]

_HEAD_SIZE = 2048
_HEADS = 512
_LINE_SIZE = 256
_LINES = 2048
_SEEN = 8192

# A head that holds one of these goes to the parser each time.
_FRAMING = frozenset((b"transfer-encoding", b"expect", b"upgrade"))


class Heads:
    """The memory of one server. *request_line* and *headers* are its limits (bytes, number)."""

    __slots__ = ("_fields", "_hosts", "_lengths", "_max_headers", "_max_request_line", "_methods", "_seen", "known")

    def __init__(self, request_line: int, headers: int) -> None:
        self._max_request_line = request_line
        self._max_headers = headers
        self.known: dict[bytes, Request] = {}
        """Whole heads, and what they say."""
        self._methods: dict[bytes, str] = {}
        self._hosts: dict[bytes, Field] = {}
        self._lengths: dict[bytes, tuple[Field, int]] = {}
        self._fields: dict[bytes, Field] = {}
        self._seen: set[int] = set()  # hashes of what came once

    def recall(self, head: bytes) -> Request | None:
        """Return what *head*, a whole one, says, or None where a parser has to be asked."""
        request = self.known.get(head)
        if request is not None or len(head) > _HEAD_SIZE:
            return request
        lines = head.split(b"\r\n")
        line = lines[0].split(b" ")
        host = self._hosts.get(lines[1])
        if host is None or len(line) != 3 or line[2] != b"HTTP/1.1" or len(lines[0]) > self._max_request_line:
            return None
        method = self._methods.get(line[0])
        target = line[1]
        if method is None or target[:1] != b"/" or len(lines) - 3 > self._max_headers:
            return None
        fields = self._fields
        length = 0
        try:
            headers = [fields[text] for text in lines[2:-2]]
        except KeyError:
            headers = []
            for text in lines[2:-2]:
                field = fields.get(text)
                if field is None:
                    measured = self._lengths.get(text)
                    if measured is None or length:
                        return None
                    field, length = measured
                headers.append(field)
        request = Request(method, target, TARGETS.get(target) or parse_target(target, method), (host, *headers))
        request.body_length = length
        self._keep(head, request)
        return request

    def learn(self, head: bytes, request: Request) -> None:
        """Take note of what a parser has said: that *head* is *request*."""
        fields = request.headers
        if (
            len(head) > _HEAD_SIZE
            or request.target[:1] != b"/"  # of an absolute-form target the reader has made the Host
            or request.http_version != "1.1"
            or not request.keep_alive
            or not fields
            or fields[0][0] != b"host"
        ):
            return
        lines = head.split(b"\r\n")
        if len(lines) - 3 != len(fields) or not _FRAMING.isdisjoint([name for name, _ in fields]):
            return
        self._methods[lines[0].partition(b" ")[0]] = request.method
        for line, field in zip(lines[1:-2], fields, strict=True):
            if len(line) <= _LINE_SIZE and self._came_before(line):
                self._learn_line(line, field)

    def _learn_line(self, line: bytes, field: Field) -> None:
        if len(self._fields) + len(self._hosts) + len(self._lengths) >= _LINES:
            self._fields.clear()
            self._hosts.clear()
            self._lengths.clear()
        name, value = field
        if name == b"host":
            self._hosts[line] = field
        elif name == b"content-length":
            if int(value):
                self._lengths[line] = (field, int(value))
        elif name != b"connection" or value.lower() == b"keep-alive":
            self._fields[line] = field

    def _keep(self, head: bytes, request: Request) -> None:
        if self._came_before(head):
            if len(self.known) >= _HEADS:
                self.known.clear()
            request.shared = True
            self.known[head] = request

    def _came_before(self, what: bytes) -> bool:
        """Tell whether *what* came before, as far as is remembered."""
        key = hash(what)
        if key in self._seen:
            return True
        if len(self._seen) >= _SEEN:
            self._seen.clear()
        self._seen.add(key)
        return False
