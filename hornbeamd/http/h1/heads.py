"""What the parser has said of the heads of requests, and of their lines: remembered, so that it is asked once.

The clients of a server repeat themselves. Many send the same head again byte for byte; most send another target with
lines that they, or others, sent before. A line of a head means the same wherever it stands (folded lines are
refused), so a head whose lines were judged before is put together from what was said of them; when few of them are
new, a parser is asked about these alone.

Nothing is judged here. A line is let in when a parser has taken a head that holds it; fields that decide about the
framing are not let in, but for a Content-Length. What is kept is bounded, and only what comes a second time is kept:
clients choose the keys.
"""

from __future__ import annotations

from collections.abc import Sequence

from hornbeamd.http.exchange import Request
from hornbeamd.http.h1.parsers import ParserFactory
from hornbeamd.http.rules import NAMES, TARGETS, field_name, parse_target

Field = tuple[bytes, bytes]

_HEAD_SIZE = 2048
_HEADS = 512
_LINE_SIZE = 1024
_LINES = 1024
_SEEN = 8192
_METHODS = 64

# So many lines of a head may be new to have only these judged.
_NEWS = 4
_NEW: Field = (b"", b"")

# Fields that mean something for the connection or the message; llhttp knows more of these than RFC 9112.
_ALONE = frozenset(
    (b"host", b"content-length", b"transfer-encoding", b"expect", b"connection", b"upgrade", b"proxy-connection")
)
# A head that holds one of these goes to the parser each time.
_FRAMING = frozenset((b"transfer-encoding", b"expect", b"upgrade"))


class _LineJudge:
    """Asks a parser about single lines of a head, by making up a head that holds nothing else."""

    def __init__(self, factory: ParserFactory) -> None:
        self._factory = factory
        self._parser = factory(self)
        self._fields: list[Field] = []
        self._complete = False

    def judge(self, lines: list[bytes]) -> list[Field] | None:
        """Return the fields of *lines*, or None where one is refused or is not to be judged alone."""
        self._fields = []
        self._complete = False
        try:
            self._parser.feed_data(b"GET / HTTP/1.1\r\nhost: a\r\n%b\r\n\r\n" % b"\r\n".join(lines))
        except Exception:  # whatever it is: the reader will ask again, about the whole head
            self._complete = False
        fields = self._fields[1:]
        if not self._complete or len(fields) != len(lines):
            self._parser = self._factory(self)
            return None
        if not _ALONE.isdisjoint([name for name, _ in fields]):
            self._parser = self._factory(self)
            return None
        return fields

    def on_url(self, url: bytes) -> None: ...

    def on_header(self, name: bytes, value: bytes) -> None:
        self._fields.append((NAMES.get(name) or field_name(name), value.rstrip(b" \t")))

    def on_headers_complete(self) -> None:
        self._complete = True


def _belong(line: bytes, field: Field) -> bool:
    """Tell whether *field* is what *line* says.

    A parser that joined two lines or changed their order would else make a line mean for ever what another said.
    """
    name, value = field
    colon = len(name) + 1
    return line[:colon].lower() == name + b":" and line[colon:].strip(b" \t") == value


class Heads:
    """The memory of one server. *request_line* and *headers* are its limits (bytes, number)."""

    __slots__ = (
        "_fields",
        "_hosts",
        "_judge",
        "_lengths",
        "_max_headers",
        "_max_request_line",
        "_methods",
        "_seen",
        "known",
    )

    def __init__(self, factory: ParserFactory, request_line: int, headers: int) -> None:
        self._judge = _LineJudge(factory)
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
        if len(line) != 3 or line[2] != b"HTTP/1.1" or len(lines[0]) > self._max_request_line:
            return None
        method = self._methods.get(line[0])
        target = line[1]
        if method is None or target[:1] != b"/" or len(lines) - 3 > self._max_headers:
            return None
        host = self._hosts.get(lines[1])
        fields = self._fields
        try:
            headers = [host, *[fields[text] for text in lines[2:-2]]] if host is not None else None
        except KeyError:
            headers = None
        length = 0
        if headers is None:
            described = self._describe(lines[1:-2])
            if described is None:
                return None
            headers, length = described
        request = Request(method, target, TARGETS.get(target) or parse_target(target, method), tuple(headers))
        request.body_length = length
        self._keep(head, request)
        return request

    def _describe(self, lines: list[bytes]) -> tuple[list[Field], int] | None:
        """Return the fields of *lines* with the length of the body; None where the whole head needs a parser."""
        fields: list[Field] = []
        news: list[bytes] = []
        hosts = lengths = length = 0
        for line in lines:
            field = self._fields.get(line)
            if field is None:
                if line in self._hosts:
                    field = self._hosts[line]
                    hosts += 1
                elif line in self._lengths:
                    field, length = self._lengths[line]
                    lengths += 1
                else:
                    field = _NEW
                    news.append(line)
            fields.append(field)
        if hosts != 1 or lengths > 1 or len(news) > _NEWS:
            return None
        if news:
            judged = self._judge.judge(news)
            if judged is None:
                return None
            self._learn_lines(news, judged)
            found = iter(judged)
            fields = [next(found) if field is _NEW else field for field in fields]
        return fields, length

    def learn(self, head: bytes, request: Request) -> None:
        """Take note of what a parser has said: that *head* is *request*."""
        fields = request.headers
        if (
            len(head) > _HEAD_SIZE
            or request.target[:1] != b"/"  # of an absolute-form target the reader has made the Host
            or request.http_version != "1.1"
            or not request.keep_alive
        ):
            return
        lines = head.split(b"\r\n")
        if len(lines) - 3 != len(fields) or not all(map(_belong, lines[1:-2], fields)):
            return
        if not _FRAMING.isdisjoint([name for name, _ in fields]):
            return
        self._keep(head, request)
        if len(self._methods) < _METHODS:
            self._methods[lines[0].partition(b" ")[0]] = request.method
        self._learn_lines(lines[1:-2], fields)

    def _learn_lines(self, lines: list[bytes], fields: Sequence[Field]) -> None:
        for line, field in zip(lines, fields, strict=True):
            if (
                line not in self._fields
                and len(line) <= _LINE_SIZE
                and self._came_before(line)
                and _belong(line, field)
            ):
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
