"""One connection of the admin listener: HTTP/1.1 by h11, over a socket that is read and written without buffers.

Whoever is at the other end cannot hold more than his share: a head has a largest size and must be complete in time,
as an answer must be taken in time; a request body is not read. There is one request in hand at a time.
"""

from __future__ import annotations

import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from email.utils import formatdate
from http import HTTPStatus

import anyio
import h11
from anyio.lowlevel import checkpoint

LONGEST_HEAD = 16 * 1024
HEAD_SECONDS = 10.0
"""From the first byte of a request to the end of its head."""
IDLE_SECONDS = 120.0
"""From one request to the next: longer than Prometheus scrapes by default, and than it mostly is told to."""
SEND_SECONDS = 10.0
LINGER_SECONDS = 1.0

_REASONS = {status.value: status.phrase.encode() for status in HTTPStatus}


@dataclass(frozen=True, slots=True)
class Question:
    """A request; *query* is what stands behind the question mark."""

    method: str
    path: str
    query: str = ""
    accept: str = ""


@dataclass(frozen=True, slots=True)
class Answer:
    """What it is answered."""

    status: int
    body: bytes
    content_type: str = "text/plain; charset=utf-8"
    headers: tuple[tuple[str, str], ...] = ()


Respond = Callable[[Question], Awaitable[Answer]]


def words(status: int, text: str, *headers: tuple[str, str]) -> Answer:
    """An answer of one line."""
    return Answer(status, f"{text}\n".encode(errors="backslashreplace"), headers=headers)


class Conversation:
    """The connection behind *sock*, which is non-blocking.

    *respond* answers each request; *answered* is called when that was sent.
    """

    def __init__(self, sock: socket.socket, respond: Respond, answered: Callable[[], None]) -> None:
        self._sock = sock
        self._respond = respond
        self._answered = answered
        self._h11 = h11.Connection(h11.SERVER, max_incomplete_event_size=LONGEST_HEAD)

    async def run(self) -> None:
        """Answer until one side has had enough. Raises OSError, TimeoutError too, when the other does not keep up."""
        while await self._exchange():
            self._answered()
            self._h11.start_next_cycle()
            await checkpoint()  # one who sends ahead takes turns with the rest of the supervisor
        await self._linger()

    async def _exchange(self) -> bool:
        """Answer one request; whether another may follow."""
        try:
            request = await self._next()
            # A body stays unread, and so does what stands behind it.
            close = request is None or not isinstance(self._h11.next_event(), h11.EndOfMessage)
        except h11.RemoteProtocolError as error:
            refusal = words(error.error_status_hint, f"this is no request that can be answered: {error}")
            await self._send(None, refusal, close=True)
            return False
        if request is None:
            return False
        await self._send(request, await self._respond(_question(request)), close=close)
        return self._h11.our_state is h11.DONE and self._h11.their_state is h11.DONE

    async def _next(self) -> h11.Request | None:
        """The head of the next request, or None at the end."""
        if (event := self._h11.next_event()) is h11.NEED_DATA:
            with anyio.fail_after(IDLE_SECONDS):
                await self._read()
            with anyio.fail_after(HEAD_SECONDS):
                while (event := self._h11.next_event()) is h11.NEED_DATA:
                    await self._read()
        return event if isinstance(event, h11.Request) else None

    async def _read(self) -> None:
        self._h11.receive_data(await self._receive())

    async def _receive(self) -> bytes:
        while True:
            await anyio.wait_readable(self._sock)
            try:
                return self._sock.recv(LONGEST_HEAD)
            except BlockingIOError:
                continue

    async def _send(self, request: h11.Request | None, answer: Answer, *, close: bool) -> None:
        headers = [
            ("date", formatdate(usegmt=True)),
            ("content-type", answer.content_type),
            ("content-length", str(len(answer.body))),
            ("cache-control", "no-store"),
            *answer.headers,
        ]
        if close:
            headers.append(("connection", "close"))
        data = (
            self._h11.send(h11.Response(status_code=answer.status, headers=headers, reason=_REASONS[answer.status]))
            or b""
        )
        if request is None or request.method != b"HEAD":
            data += self._h11.send(h11.Data(data=answer.body)) or b""
        data += self._h11.send(h11.EndOfMessage()) or b""
        with anyio.fail_after(SEND_SECONDS):
            await self._write(memoryview(data))

    async def _write(self, data: memoryview) -> None:
        while data:
            try:
                data = data[self._sock.send(data) :]
            except BlockingIOError:
                await anyio.wait_writable(self._sock)

    async def _linger(self) -> None:
        """Close so that what the other side still sends does not take the answer from it."""
        self._sock.shutdown(socket.SHUT_WR)
        with anyio.move_on_after(LINGER_SECONDS):
            while await self._receive():
                pass


def _question(request: h11.Request) -> Question:
    path, _, query = request.target.decode("ascii", "replace").partition("?")
    accept = b",".join(value for name, value in request.headers if name == b"accept")
    return Question(request.method.decode("ascii"), path, query, accept.decode("latin-1"))
