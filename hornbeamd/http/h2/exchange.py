"""An exchange over HTTP/2 (RFC 9113, section 8): how a response becomes frames."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hornbeamd.errors import ProtocolError, ResponseError
from hornbeamd.http.exchange import CLIENT_GONE, Exchange, Headers, Request
from hornbeamd.http.h2.fields import HTTP2_FIELDS, STATUS_FIELDS, literal
from hornbeamd.http.h2.tunnel import Tunnel, accept

if TYPE_CHECKING:
    from hornbeamd.http.h2.connection import H2Connection
    from hornbeamd.http.h2.stream import Stream
    from hornbeamd.http.stamp import Stamp
    from hornbeamd.http.websocket.session import Session

# How a rendered Content-Length begins: a literal with the name of number 28.
_CONTENT_LENGTH = b"\x0f\x0d"
# Parts of a body are put together up to this size, for a small one costs more than its bytes.
_SMALL_PART = 4096


def refusal(error: ProtocolError, stamp: Stamp) -> tuple[bytes, bytes]:
    """Return head and body of the answer to a request that no application sees."""
    text = error.text
    fields = [*error.headers, (b"content-type", b"text/plain"), (b"content-length", b"%d" % len(text))]
    head = b"".join((STATUS_FIELDS[error.status], *(literal(name, value) for name, value in fields), stamp.whole))
    return head, b"" if error.bodiless else text


class H2Exchange(Exchange):
    """One request and its response on a stream of an HTTP/2 connection."""

    field_rules = HTTP2_FIELDS
    answer_by: float = 0.0
    body_by: float = 0.0
    send_by: float = 0.0
    pace_since: float = 0.0
    """Since when, and from how many bytes on, the pace of the body is measured."""
    pace_from: int = 0
    tunnel: Tunnel | None = None
    """The WebSocket that goes on with the stream."""

    def __init__(self, connection: H2Connection, stream: Stream, request: Request) -> None:
        self.connection = connection
        self.stream = stream
        self.request = request
        self.chunks: list[bytes] = []

    # --- reading ---

    def gather(self, data: bytes) -> None:
        """Keep a part of the body until the application takes it."""
        chunks = self.chunks
        if chunks and len(chunks[-1]) + len(data) <= _SMALL_PART:
            chunks[-1] += data
        else:
            chunks.append(data)
        self.buffered += len(data)

    def take(self) -> bytes:
        chunks = self.chunks
        if not chunks:
            return b""
        data = chunks[0] if len(chunks) == 1 else b"".join(chunks)
        chunks.clear()
        self.buffered = 0
        self.connection.body_taken(self, len(data))
        return data

    def _continue(self) -> None:
        self._inform(STATUS_FIELDS[100])

    def accept(self, subprotocol: str | None, headers: Headers) -> Session:
        return accept(self, subprotocol, headers)

    def begin_tunnel(self) -> None:
        """Send the head of a response whose body is the WebSocket."""
        self.sent_head = self.finished = True
        self.connection.engine.headers(self.stream, self._head(), False)
        self.connection.flush_soon()

    def room_made(self) -> None:
        """There is room to write again."""
        if self.tunnel is not None:
            self.tunnel.session.writable()
        elif not self.finished:
            self.wake()

    def answer_within(self, seconds: float) -> None:
        self.answer_by = self.connection.server.time() + seconds
        self.patience = seconds
        self.connection.look_at(self.answer_by)

    def push(self, path: bytes, headers: Headers) -> None:
        if not self.pushable:
            raise ResponseError("a push that was not offered")
        if not self.finished and not self.lost:
            self.connection.push(self, path, headers)

    @property
    def blocked(self) -> bool:
        return not self.finished and self.clogged

    @property
    def clogged(self) -> bool:
        """The client's windows, or the transport, take nothing more."""
        return (self.connection.write_paused or self.stream.outbox is not None) and not self.lost

    # --- writing ---

    def _send(self, data: bytes, more: bool) -> None:
        connection = self.connection
        if not self.sent_head:
            self.sent_head = True
            block = self._head()
            if not data and not more:
                connection.engine.headers(self.stream, block, True)
                self._done()
                return
            connection.engine.headers(self.stream, block, False)
        if data or not more:
            connection.send(self.stream, data, not more)
        if more:
            connection.flush_soon()
        else:
            self._done()

    def _head(self) -> bytes:
        server = self.connection.server
        fields = self.fields
        if self.status == 204 and self.length >= 0:
            fields = [field for field in fields if not field.startswith(_CONTENT_LENGTH)]
        stamp = server.h2_stamp.whole
        if self.has_date or self.has_server:
            stamp = server.h2_stamp.without(self.has_date, self.has_server)
        return b"".join((STATUS_FIELDS[self.status], *fields, stamp))

    def _done(self) -> None:
        self.finished = True
        self.connection.exchange_done(self)
        self.connection.flush_soon()

    def _send_trailers(self, fields: list[bytes]) -> None:
        connection = self.connection
        if not self.sent_head:
            self.sent_head = True
            connection.engine.headers(self.stream, self._head(), False)
        connection.send_trailers(self.stream, b"".join(fields))
        self._done()

    def inform(self, fields: list[bytes]) -> None:
        if not self.lost:
            self._inform(b"".join((STATUS_FIELDS[103], *fields)))

    def _inform(self, block: bytes) -> None:
        self.connection.engine.headers(self.stream, block, False)
        self.connection.flush_soon()

    def abort(self) -> None:
        if not self.finished:
            self.status = self.status or CLIENT_GONE
            self.connection.cut(self.stream)
            self._done()
