"""An exchange over HTTP/1.1 (RFC 9112): how a response becomes bytes."""

from __future__ import annotations

from typing import TYPE_CHECKING, BinaryIO

from hornbeamd.http import sockets
from hornbeamd.http.exchange import CLIENT_GONE, Exchange, Headers, Request
from hornbeamd.http.h1.sendfile import send_file
from hornbeamd.http.h1.upgrade import accept
from hornbeamd.http.rules import STATUS_LINES

if TYPE_CHECKING:
    from hornbeamd.http.h1.connection import H1Connection
    from hornbeamd.http.h1.reader import RequestReader
    from hornbeamd.http.websocket.session import Session

# Up to here a body is copied behind its head; above, the copy costs more than a second entry in writev().
_JOIN_BOUND = 16384


class H1Exchange(Exchange):
    """One request and its response on an HTTP/1.1 connection."""

    chunked: bool = False
    """The response body is sent in the chunked coding."""

    def __init__(self, connection: H1Connection, request: Request) -> None:
        self.connection = connection
        self.request = request
        self.chunks: list[bytes] = []

    # --- reading ---

    def add(self, reader: RequestReader) -> None:
        """Take over the body bytes that *reader* has; what a finished exchange gets is thrown away."""
        chunks = reader.chunks
        if not self.finished:
            self.chunks += chunks
            for chunk in chunks:
                self.buffered += len(chunk)
        chunks.clear()

    def take(self) -> bytes:
        chunks = self.chunks
        if not chunks:
            return b""
        data = chunks[0] if len(chunks) == 1 else b"".join(chunks)
        chunks.clear()
        self.buffered = 0
        self.connection.body_taken()
        return data

    def _continue(self) -> None:
        self.connection.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def accept(self, subprotocol: str | None, headers: Headers) -> Session:
        return accept(self, subprotocol, headers)

    def answer_within(self, seconds: float) -> None:
        self.connection.answer_within(seconds)

    @property
    def blocked(self) -> bool:
        connection = self.connection
        if self.lost or self.finished:
            return False
        # A transport that broke says so in the next turn of the loop; who does nothing but send must let it come.
        return connection.write_paused or connection.transport.is_closing()

    # --- writing ---

    def _send(self, data: bytes, more: bool) -> None:
        connection = self.connection
        write = connection.transport.write
        if not self.sent_head:
            self._send_head(data, more)
        elif self.chunked:
            if data:
                if len(data) <= _JOIN_BOUND:
                    end = b"\r\n" if more else b"\r\n0\r\n\r\n"
                    write(b"%x\r\n%b%b" % (len(data), data, end))
                else:
                    write(b"%x\r\n" % len(data))
                    write(data)
                    write(b"\r\n" if more else b"\r\n0\r\n\r\n")
            elif not more:
                write(b"0\r\n\r\n")
        elif data:
            write(data)
        if not more:
            self.finished = True
            connection.exchange_done(self)

    def _send_head(self, data: bytes, more: bool) -> None:
        """Send the head together with the first *data*, after choosing the framing (RFC 9112, section 6)."""
        self.sent_head = True
        connection = self.connection
        server = connection.server
        head = self.fields
        if self.length < 0:
            self._frame(head, data, more)
        elif self.status == 204:
            head = [line for line in head if line[:15].lower() != b"content-length:"]
        connection.keep_alive = keep = connection.keep_alive and not self.close and not server.draining
        if self.expects_continue and not self.body_complete:
            connection.keep_alive = keep = False  # the client may or may not send the body now: unframed
        if not keep:
            head.append(b"connection: close\r\n")
        elif self.request.http_version == "1.0":
            head.append(b"connection: keep-alive\r\n")
        stamp = server.stamp.whole
        if self.has_date or self.has_server:
            stamp = server.stamp.without(self.has_date, self.has_server)
        write = connection.transport.write
        if more:
            connection.response_begun()
        if self.chunked and data:
            data = b"%x\r\n%b\r\n" % (len(data), data)
        if len(data) <= _JOIN_BOUND:
            write(b"".join((STATUS_LINES[self.status], *head, stamp, b"\r\n", data)))
        else:
            write(b"".join((STATUS_LINES[self.status], *head, stamp, b"\r\n")))
            write(data)

    def _frame(self, head: list[bytes], data: bytes, more: bool) -> None:
        """Choose how the end of a body of unknown length is marked."""
        if not more:
            if not self.suppress_body:
                head.append(b"content-length: %d\r\n" % len(data))
        elif self.suppress_body:
            pass
        elif self.request.http_version == "1.1":
            self.chunked = True
            head.append(b"transfer-encoding: chunked\r\n")
        else:
            self.close = True  # HTTP/1.0: the end of the connection is the end of the body

    def _send_trailers(self, fields: list[bytes]) -> None:
        if not self.sent_head:
            self._send_head(b"", True)
        if self.chunked:
            self.connection.transport.write(b"".join((b"0\r\n", *fields, b"\r\n")))
        self.finished = True
        self.connection.exchange_done(self)

    def inform(self, fields: list[bytes]) -> None:
        if self.request.http_version == "1.1" and not self.lost:
            self.connection.transport.write(
                b"".join((b"HTTP/1.1 103 Early Hints\r\n", *fields, b"\r\n")),
            )

    async def _send_file(self, file: BinaryIO, offset: int, count: int) -> None:
        if self.peer.tls is not None:
            await super()._send_file(file, offset, count)
            return
        if not self.sent_head:
            self._send_head(b"", True)
        await send_file(self, file, offset, count)
        if not self.lost and not self.finished:
            self.finished = True
            self.connection.exchange_done(self)

    def abort(self) -> None:
        if not self.finished:
            self.finished = True
            connection = self.connection
            connection.keep_alive = False
            self.status = self.status or CLIENT_GONE
            # A body that ends with the connection would look complete: only a reset tells the client.
            if self.sent_head and not self.chunked and self.length < 0 and not self.suppress_body:
                sockets.reset(connection.transport)
            connection.exchange_done(self)
