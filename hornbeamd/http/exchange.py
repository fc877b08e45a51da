"""One request and its response, as the application side sees it: the seam between protocols and applications.

HTTP/1.1 and HTTP/2 each implement the methods under "what a protocol implements" once; ASGI and WSGI each use
the exchange once. What HTTP asks of a response whatever carries it (RFC 9110: no body after HEAD, 204 and 304, a
body as long as its Content-Length says, valid fields, one final head) is here, once.

All methods run on the thread of the event loop, except :meth:`Exchange.start`, which touches nothing but the
exchange and may run on the thread of the application.

Defaults are class attributes and not assignments: an exchange is made for every request, and what it never
needs to say costs nothing.
"""

from __future__ import annotations

import asyncio
import itertools
import os
from collections.abc import Callable, Iterable
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, BinaryIO, Protocol

from hornbeamd.errors import ClientGone, HookError, ResponseError
from hornbeamd.http.rules import BODILESS, HTTP1_FIELDS, ResponseFields, Target

if TYPE_CHECKING:
    from hornbeamd.http.peer import Peer
    from hornbeamd.http.websocket.handshake import Offer
    from hornbeamd.http.websocket.session import Session

Headers = Iterable[tuple[bytes, bytes]]

CLIENT_GONE = 499
"""In the access log: the client left before there was an answer. nginx and its readers know it."""

# What is read of a file at once where the kernel cannot copy it.
_FILE_BLOCK = 65536

_serial = itertools.count(1)


class Handler(Protocol):
    """What serves exchanges: an application behind ASGI or WSGI.

    Another may take its place while it serves (``Server.adopt``): then it gets no more exchanges, finishes those that
    it has, and is shut down.
    """

    @property
    def capacity(self) -> int:
        """Exchanges that can be served at once; 0 where there is no such bound."""

    def handle(self, exchange: Exchange) -> None:
        """Begin to serve *exchange*, whose head is complete. Must neither block nor raise."""

    async def startup(self) -> None:
        """Get ready to serve; raises :class:`~hornbeamd.errors.AppError` when the application refuses."""

    def drain(self, seconds: float) -> None:
        """Have WebSockets end, each at some moment within *seconds*; for one that gets no more exchanges."""

    async def finished(self) -> None:
        """Return when nothing runs here any more: no exchange, no WebSocket, and no call in a thread."""

    async def shutdown(self) -> None:
        """Cut what still runs, and end what :meth:`startup` began."""

    def stuck(self, now: float) -> str | None:
        """Say why nothing can be served any more (*now* in seconds of ``time.monotonic``), or None."""


class Interceptor(Protocol):
    """What stands between an application and its answer: the hooks of the configuration.

    All of it is called where the application runs, :meth:`respond` wherever an answer is made.
    """

    def respond(self, status: int, headers: Headers) -> tuple[int, Headers]:
        """Look at an answer before it begins; gives it back, changed perhaps.

        Raises :class:`~hornbeamd.errors.HookError` when it must not be sent.
        """

    def ask(self) -> Any:
        """Ask what to do with the request: None to go on, an answer, or an awaitable of one of these."""

    def answer_to(self, error: BaseException) -> Any:
        """Ask what to answer when the application raised: None for the plain 500, an answer, or an awaitable."""


class Request:
    """What the head of a request says.

    Heads that are the same byte for byte share one: it is never changed, and what an application needs of it in
    another shape (a scope, an environ) is made once and left in :attr:`derived`.
    """

    __slots__ = (
        "body_length",
        "derived",
        "expects_continue",
        "headers",
        "http_version",
        "keep_alive",
        "method",
        "path",
        "query",
        "raw_path",
        "shared",
        "target",
        "websocket",
    )

    def __init__(self, method: str, target: bytes, parsed: Target, headers: tuple[tuple[bytes, bytes], ...]) -> None:
        self.method = method
        self.target = target
        """The request target as sent."""
        self.raw_path, self.query, self.path, _ = parsed
        """The path still percent-encoded, the query without ``?``, and the path as text."""
        self.headers = headers
        """Names in lower case, in the order sent, with repetitions."""
        self.http_version = "1.1"
        """"1.0", "1.1" or "2"."""
        self.keep_alive = True
        self.body_length = 0
        """Bytes, or ``rules.CHUNKED`` where only the end of the body will tell."""
        self.expects_continue = False
        """The client waits for 100 (Continue) before it sends the body."""
        self.websocket: Offer | None = None
        """What is offered, where a WebSocket is asked for."""
        self.shared = False
        """Further requests with the same head will get this object, too."""
        self.derived: tuple[object, Any] | None = None
        """Whose it is, and what that one has derived."""

    def with_headers(self, headers: tuple[tuple[bytes, bytes], ...]) -> Request:
        """Return a copy with other headers, for one exchange alone."""
        target = Target(self.raw_path, self.query, self.path, b"")
        copy = Request(self.method, self.target, target, headers)
        copy.http_version = self.http_version
        copy.keep_alive = self.keep_alive
        copy.body_length = self.body_length
        copy.expects_continue = self.expects_continue
        copy.websocket = self.websocket
        return copy


class Exchange:
    """A request with its response. Made by a connection when the head of the request is complete."""

    # --- the request ---

    request: Request
    peer: Peer
    """Who is at the other end of the connection, and whether TLS is between."""
    scheme: str = "http"
    """What the client used, as a trusted proxy says where there is one; so too :attr:`client` and :attr:`prefix`."""
    client: tuple[str, int] | None
    server: tuple[str, int | None] | None
    prefix: str = ""
    """The path that the proxy in front has taken away (X-Forwarded-Prefix)."""
    pushable: bool = False
    """The client takes responses that it did not ask for: :meth:`push`."""
    websocket: Offer | None = None
    """What the client offers who asks for a WebSocket: :meth:`accept` it, or answer as any other request."""
    upgraded: bool = False
    """It was accepted, and the exchange goes on until the WebSocket is over."""
    expects_continue: bool = False
    """The client still waits for 100 (Continue) before it sends the body."""
    body_complete: bool = False
    """The whole body has arrived (some of it may still wait to be taken)."""
    buffered: int = 0
    """Body bytes that have arrived and were not taken yet."""
    gone: bool = False
    """Nothing more comes from the client: it closed its side, broke off, or the connection is lost."""
    lost: bool = False
    """Nothing can be sent to the client any more."""

    # --- the response ---

    field_rules: ResponseFields = HTTP1_FIELDS
    """Judges the fields of the response and writes them as the protocol does."""
    status: int = 0
    """0 until :meth:`start`."""
    fields: list[bytes]
    """Rendered fields of the response, without those that the server adds."""
    length: int = -1
    """Body bytes still owed by the Content-Length; -1 when the application gave none."""
    suppress_body: bool = False
    has_date: bool = False
    has_server: bool = False
    close: bool = False
    """The application asked to close the connection after this response."""
    trailers: bool = False
    """The application announced trailers."""
    sent_head: bool = False
    finished: bool = False
    """The response is complete, or was given up."""
    bytes_sent: int = 0
    """Body bytes sent so far."""

    # --- between the two ---

    notify: Callable[[], None] | None = None
    """Called when there is something new: body, its end, the client gone, or room to write."""
    on_timeout: Callable[[], None] | None = None
    """Called after the server has answered 504 in the application's place."""
    patience: float = 0.0
    """Seconds of :meth:`answer_within`; 0.0 where the option ``timeout`` counts."""
    hooks: Interceptor | None = None
    """Sees the answer before it begins."""
    began: float = 0.0
    """``time.monotonic`` when the head was complete; 0.0 where nobody logs it."""
    _request_id: str | None = None
    _room: asyncio.Future[None] | None = None

    @property
    def request_id(self) -> str:
        """Names this request in the logs and in the answer to an error."""
        if self._request_id is None:
            self._request_id = f"{os.getpid():x}-{next(_serial):x}"
        return self._request_id

    # --- the request in short ---

    @property
    def method(self) -> str:
        return self.request.method

    @property
    def target(self) -> bytes:
        return self.request.target

    @property
    def path(self) -> str:
        return self.request.path

    @property
    def http_version(self) -> str:
        return self.request.http_version

    @property
    def headers(self) -> tuple[tuple[bytes, bytes], ...]:
        return self.request.headers

    # --- reading the request ---

    def want_body(self) -> None:
        """Say that the application waits for the body: a client that expects 100 (Continue) gets it."""
        if self.expects_continue:
            self.expects_continue = False
            if not (self.sent_head or self.body_complete or self.buffered or self.lost):
                self._continue()

    # --- what a protocol implements ---

    def take(self) -> bytes:
        """Return the body bytes that have arrived since the last call, and let more come."""
        raise AssertionError("a protocol implements this")

    @property
    def blocked(self) -> bool:
        """The client takes the response more slowly than it is written: wait for :attr:`notify`.

        Never once it is complete: the exchange is over then, and nobody would be told.
        """
        raise AssertionError("a protocol implements this")

    def abort(self) -> None:
        """Give up a response that cannot be completed, so that the client sees it broken off."""
        raise AssertionError("a protocol implements this")

    def inform(self, fields: list[bytes]) -> None:
        """Send 103 (Early Hints) with the rendered *fields*, where the client can take it."""
        raise AssertionError("a protocol implements this")

    def answer_within(self, seconds: float) -> None:
        """Give the application so long to begin its answer, from now on, in place of the option ``timeout``."""
        raise AssertionError("a protocol implements this")

    def accept(self, subprotocol: str | None, headers: Headers) -> Session:
        """Take the WebSocket that is offered; the exchange is over when the session is.

        Raises :class:`~hornbeamd.errors.ResponseError` for fields that HTTP does not allow, or a subprotocol
        that is not among those offered, :class:`~hornbeamd.errors.ClientGone` where nobody is left.
        """
        raise AssertionError("a protocol implements this")

    def push(self, path: bytes, headers: Headers) -> None:
        """Promise the response to a GET of *path* with *headers*, and serve it as if the client had asked.

        Where the client does not take another one now, nothing happens. Raises
        :class:`~hornbeamd.errors.ResponseError` for what cannot be asked.
        """
        raise ResponseError("a push that was not offered")

    def _continue(self) -> None:
        raise AssertionError("a protocol implements this")

    def _send(self, data: bytes, more: bool) -> None:
        raise AssertionError("a protocol implements this")

    def _send_trailers(self, fields: list[bytes]) -> None:
        raise AssertionError("a protocol implements this")

    async def _send_file(self, file: BinaryIO, offset: int, count: int) -> None:
        """Send a file block by block, as the client takes it; a protocol does better where the kernel can copy."""
        while True:
            data = os.pread(file.fileno(), min(count, _FILE_BLOCK), offset)
            if count and not data:
                raise ResponseError("the file became shorter while it was sent")
            offset += len(data)
            count -= len(data)
            self._send(data, count > 0)
            if not count:
                return
            await asyncio.sleep(0)  # a client that takes it faster than we read would have the loop for itself
            await self._wait_for_room()

    async def _wait_for_room(self) -> None:
        while self.blocked:
            self._room = asyncio.get_running_loop().create_future()
            await self._room
        if self.lost or self.finished:
            raise ClientGone("the client has closed the connection")

    def wake(self) -> None:
        """Say that there is room to write, or that nobody is left to write to."""
        if self.notify is not None:
            self.notify()
        if self._room is not None and not self._room.done():
            self._room.set_result(None)

    # --- writing the response ---

    def start(self, status: int, headers: Headers, trailers: bool = False) -> None:
        """Set status and fields of the response; nothing is sent before the first :meth:`write`.

        May be called again while nothing was sent (WSGI's ``exc_info``). Raises
        :class:`~hornbeamd.errors.ResponseError` for what HTTP does not allow, and
        :class:`~hornbeamd.errors.HookError` where a hook refuses it.
        """
        if status.__class__ is not int or not 200 <= status <= 599:
            status = self._checked_status(status)
        if self.hooks is not None:
            self.status = 0  # what the hooks refuse has not begun
            status, headers = self.hooks.respond(status, headers)
        fields: list[bytes] = []
        self.length = -1
        self.has_date = self.has_server = self.close = False
        lines = self.field_rules.lines
        for pair in headers:
            try:
                line = lines.get(pair) or self._field(pair)
            except TypeError:  # a list, as some applications send
                line = self._field((pair[0], pair[1]))
            fields.append(line)
        self.suppress_body = self.request.method == "HEAD" or status in BODILESS
        self.status = status
        self.fields = fields
        self.trailers = trailers

    @staticmethod
    def _checked_status(status: object) -> int:
        if isinstance(status, int) and 200 <= status <= 599:  # http.HTTPStatus, for one
            return int(status)
        raise ResponseError(f"response status {status!r} is not a number from 200 to 599")

    def _field(self, pair: tuple[bytes, bytes]) -> bytes:
        """Return the line to send for a field, taking note of one that the server must know about."""
        field = self.field_rules.lengths.get(pair)
        if field is None:
            judged = self.field_rules.judge(pair)
            if isinstance(judged, bytes):
                return judged
            field = judged
        name = field.name
        if name == b"content-length":
            if self.length >= 0:
                raise ResponseError("more than one Content-Length in the response")
            self.length = field.number
            return field.line
        if name == b"connection":
            self.close = self.close or bool(field.number)
            return b""
        if name == b"transfer-encoding":
            return b""
        if name == b"date":
            self.has_date = True
        elif name == b"server":
            self.has_server = True
        return field.line

    def write(self, data: bytes, more: bool) -> None:
        """Send *data* of the body, and with ``more`` false the end of the response.

        Raises :class:`~hornbeamd.errors.ResponseError` where the application breaks a rule,
        :class:`~hornbeamd.errors.ClientGone` where nobody is left to send to.
        """
        if self.lost or self.finished or not self.status:
            self._refuse_write()
        if data.__class__ is not bytes:
            data = _as_bytes(data)
        if self.suppress_body:
            data = b""
        else:
            if self.length >= 0:
                self._count(len(data), more)
            self.bytes_sent += len(data)
        self._send(data, more or self.trailers)

    def _count(self, size: int, more: bool) -> None:
        """Hold the body to its Content-Length (RFC 9110, section 8.6)."""
        left = self.length - size
        if left < 0:
            raise ResponseError("the response body is longer than its Content-Length")
        if left and not more:
            raise ResponseError(f"the response body is {left} bytes shorter than its Content-Length")
        self.length = left

    def _refuse_write(self) -> None:
        if self.lost:
            raise ClientGone("the client has closed the connection")
        if self.finished:
            raise ResponseError("the response is already complete")
        raise ResponseError("a response body before the start of the response")

    def end_with_trailers(self, headers: Headers) -> None:
        """Send the trailers that :meth:`start` announced, and the end of the response.

        Where there is no body nothing stands behind it (RFC 9110, sections 15.3.5 and 15.4.5).
        """
        if self.lost or self.finished or not self.trailers:
            self._refuse_write()
        fields = self.render(headers)
        if self.suppress_body:
            self._send(b"", False)
        else:
            self._send_trailers(fields)

    def early_hints(self, headers: Headers) -> None:
        """Send 103 (Early Hints, RFC 8297) ahead of the response."""
        if self.lost:
            self._refuse_write()
        if self.sent_head or self.finished:
            raise ResponseError("early hints after the start of the response")
        self.inform(self.render(headers))

    def render(self, headers: Headers) -> list[bytes]:
        """Check and render the fields of early hints or trailers."""
        fields = [self.field_rules.judge(pair) for pair in headers]
        if not all(isinstance(field, bytes) for field in fields):
            raise ResponseError("a field of the response's framing in early hints or trailers")
        return fields  # type: ignore[return-value]

    async def send_file(self, file: BinaryIO, offset: int, count: int) -> None:
        """Send *count* bytes of *file* from *offset* as the whole rest of the body, and end the response.

        The kernel copies where it can: not into TLS, nor into the frames of HTTP/2. Without a Content-Length from the
        application *count* becomes it.
        """
        if self.lost or self.finished or not self.status:
            self._refuse_write()
        if self.sent_head:
            raise ResponseError("a file after other parts of the response body")
        if self.suppress_body:
            self._send(b"", False)
            return
        if self.length < 0:
            self.fields.append(self.field_rules.render(b"content-length", b"%d" % count))
            self.length = count
        if self.length >= 0:
            self._count(count, False)
        self.bytes_sent += count
        await self._send_file(file, offset, count)

    def answer(self, status: int, headers: Headers = (), text: str | None = None) -> None:
        """Answer in the application's place with a few words of text, where nothing was sent yet."""
        body = f"{text or HTTPStatus(status).phrase}\n".encode()
        try:
            self.start(status, ((b"content-type", b"text/plain; charset=utf-8"), *headers))
        except HookError:
            self.hooks = None
            self.fail()
        else:
            self.write(body, False)

    def fail(self, status: int = 500) -> None:
        """End a response that the application cannot: with *status* while nothing was sent, else broken off."""
        if self.finished or self.lost:
            return
        if self.sent_head:
            self.abort()
        else:
            self.answer(status, [(b"x-request-id", self.request_id.encode())] if status == 500 else ())


def _as_bytes(data: object) -> bytes:
    if isinstance(data, (bytes, bytearray, memoryview)):
        return bytes(data)
    raise ResponseError(f"a response body of type {type(data).__name__}, not bytes")
