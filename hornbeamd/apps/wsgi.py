"""Serves exchanges through a WSGI application (PEP 3333), in threads.

A request is given to a thread when its body is complete, or when so much of it has arrived that the rest is better
streamed: a slow client does not hold a thread while it sends a small form. The thread never touches the connection;
what it has to say to it is posted to the event loop (see ``threads.py``).
"""

from __future__ import annotations

import asyncio
import io
import logging
import threading
from collections.abc import Callable, Iterable
from contextvars import copy_context
from types import TracebackType
from typing import Any, BinaryIO

from hornbeamd.apps.environ import Environ
from hornbeamd.apps.filewrapper import FileWrapper
from hornbeamd.apps.messages import Answer
from hornbeamd.apps.threads import Threads
from hornbeamd.config.options import Options
from hornbeamd.errors import ClientGone, HookError, ResponseError
from hornbeamd.http.exchange import Exchange

log = logging.getLogger("hornbeamd.app")

WSGIApplication = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]
ExcInfo = tuple[type[BaseException], BaseException, TracebackType | None]

# Of a body that is still arriving: a thread takes over when so much is there.
_STREAM_FROM = 65536
# Response bytes that a thread may be ahead of the client.
_AHEAD = 262144

_ENCODED: dict[tuple[str, str], tuple[bytes, bytes]] = {}
_ENCODED_BOUND = 1024


class WsgiHandler:
    """Hands exchanges to a WSGI application; *mount* is the prefix that all its paths begin with."""

    def __init__(self, app: WSGIApplication, options: Options, mount: str = "") -> None:
        self.app = app
        self.timeout = options.timeout
        self.capacity = options.threads
        self.environ = Environ(options, FileWrapper, mount)
        self.threads: Threads
        self.arriving: set[Call] = set()
        """Calls that wait for more of their body before a thread gets them."""
        self._arrived: asyncio.Event | None = None

    async def startup(self) -> None:
        """Start the threads."""
        self.threads = Threads(self.capacity, asyncio.get_running_loop())

    def drain(self, seconds: float) -> None:
        """There are no WebSockets."""

    async def finished(self) -> None:
        """Return when no thread runs anything, and nothing is on its way to one."""
        while self.arriving:
            self._arrived = self._arrived or asyncio.Event()
            await self._arrived.wait()
        await self.threads.finished()

    async def shutdown(self) -> None:
        """Cut what still runs, and end the threads."""
        # Once: connections that were cut just now are lost with the next turn of the loop, and answered no more.
        await asyncio.sleep(0)
        for job in (*self.arriving, *self.threads.jobs()):
            if isinstance(job, Call):
                job.exchange.fail(503)
        self.threads.close()

    def arrived(self, call: Call) -> None:
        """*call* does not wait for its body any more."""
        self.arriving.discard(call)
        if self._arrived is not None and not self.arriving:
            self._arrived.set()
            self._arrived = None

    def stuck(self, now: float) -> str | None:
        """All threads hang: each has had one request for longer than ``timeout``, and nobody waits for it any more."""
        running = self.threads.running()
        if running is None or not all(isinstance(job, Call) and job.hangs() for _, job in running):
            return None
        seconds = now - max(since for since, _ in running)
        if seconds <= self.timeout:
            return None
        return f"all {self.capacity} threads have been busy with one request each for {seconds:.0f} s"

    def handle(self, exchange: Exchange) -> None:
        """Queue *exchange* for a thread, now or when enough of its body is here."""
        if exchange.method == "CONNECT":  # a WebSocket over HTTP/2, which has no other meaning
            exchange.answer(501)
            return
        call = Call(self, exchange)
        if exchange.body_complete:
            body = exchange.take()
            call.input = io.BytesIO(body)
            self.threads.submit(call)
        elif exchange.expects_continue:
            call.queue_streaming()
        else:
            self.arriving.add(call)
            exchange.notify = call.body_news
            call.body_news()


class Call:
    """One run of the application."""

    __slots__ = ("_error", "_file_done", "_news", "_posted", "_written", "began", "exchange", "handler", "input")

    def __init__(self, handler: WsgiHandler, exchange: Exchange) -> None:
        self.handler = handler
        self.exchange = exchange
        self.input: io.BytesIO | io.BufferedReader
        self.began = False  # body bytes of the response have been posted: its head cannot change any more
        self._posted = 0  # response bytes: counted by the thread
        self._written = 0  # and by the loop, once they were written
        self._error: Exception | None = None
        self._news: threading.Event | None = None
        self._file_done = False

    # --- on the loop's thread ------------------------------------------------------------------------------------

    def body_news(self) -> None:
        """Called while the body arrives and no thread has the request yet."""
        exchange = self.exchange
        if exchange.finished or exchange.lost:
            exchange.notify = None
        elif exchange.body_complete:
            exchange.notify = self._wake
            self.input = io.BytesIO(exchange.take())
            self.handler.threads.submit(self)
        elif exchange.buffered >= _STREAM_FROM:
            self.queue_streaming()
        else:
            return
        self.handler.arrived(self)

    def queue_streaming(self) -> None:
        """Queue the request although its body is not complete: the application reads it as it comes."""
        self._news = threading.Event()
        self.exchange.notify = self._wake
        self.input = io.BufferedReader(BodyStream(self), _STREAM_FROM)
        self.handler.threads.submit(self)

    def _wake(self) -> None:
        if self._news is not None:
            self._news.set()

    def _write(self, data: bytes, more: bool) -> None:
        self._written += len(data)
        exchange = self.exchange
        try:
            if not (exchange.finished and not exchange.lost):
                exchange.write(data, more)
        except ClientGone as error:
            self._error = error
        except ResponseError as error:
            self._error = error
            log.error("response refused: %s", error, extra={"fields": self._facts()})
            exchange.fail()
        self._wake()

    def _fail(self, _one: None, _two: None) -> None:
        self.exchange.fail()

    def _inform(self, fields: list[bytes], _two: None) -> None:
        if not self.exchange.finished and not self.exchange.sent_head:
            self.exchange.inform(fields)

    def _send_file(self, file: tuple[BinaryIO, int, int], _two: None) -> None:
        task = asyncio.ensure_future(self.exchange.send_file(*file))
        task.add_done_callback(self._file_sent)

    def _file_sent(self, task: asyncio.Task[None]) -> None:
        error = None if task.cancelled() else task.exception()
        if error is not None:
            self._error = error if isinstance(error, Exception) else None
            if not isinstance(error, ClientGone):
                log.error("response refused: %s", error, extra={"fields": self._facts()})
            self.exchange.fail()
        self._file_done = True
        self._wake()

    def _facts(self) -> dict[str, object]:
        exchange = self.exchange
        return {"request": exchange.request_id, "method": exchange.method, "path": exchange.path}

    def hangs(self) -> bool:
        """The exchange is over, with 504 or without its client, and the application is at it still.

        While it is not, a thread may be long for reasons that are none of its own: a slow download, or upload.
        """
        return self.exchange.finished

    # --- on a thread ---------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Run the application, whatever it does."""
        if self.exchange.finished:  # it timed out in the queue, or the client has gone
            return
        if self.exchange.hooks is None:
            self._serve()
        else:
            # The thread serves others after this one: who is logged in, a hook may have put into a context variable.
            copy_context().run(self._serve)

    def _serve(self) -> None:
        exchange = self.exchange
        try:
            if exchange.hooks is not None and (answer := exchange.hooks.ask()) is not None:
                self._answer(answer)
                return
            environ = self.handler.environ.of(exchange)
            environ["wsgi.input"] = self.input
            environ["wsgi.early_hints"] = self.early_hints
            result = self.handler.app(environ, self.start_response)
            try:
                self._respond(result)
                self.began = True
            finally:
                close = getattr(result, "close", None)
                if close is not None:
                    close()
        except ClientGone:
            pass
        except HookError:
            self.handler.threads.post(self._fail, None, None)
        except BaseException as error:  # SystemExit too: an application does not end the server
            if not (exchange.lost and isinstance(error, OSError)):
                log.exception("application raised %s", type(error).__name__, extra={"fields": self._facts()})
            self._recover(error)

    def _recover(self, error: BaseException) -> None:
        """Let the hooks answer in place of the plain 500, where nothing was sent."""
        hooks = self.exchange.hooks
        try:
            if hooks is not None and not self.began and not self.exchange.finished:
                answer = hooks.answer_to(error)
                if answer is not None:
                    self._answer(answer)
                    return
        except (HookError, ResponseError):
            pass
        self.handler.threads.post(self._fail, None, None)

    def _answer(self, answer: Answer) -> None:
        """Send what a hook gave in place of the application's answer."""
        self.exchange.start(answer.status, answer.headers)
        self.handler.threads.post(self._write, answer.body, False)

    def start_response(
        self,
        status: str,
        headers: list[tuple[str, str]],
        exc_info: ExcInfo | None = None,
    ) -> Callable[[bytes], None]:
        """Take status and headers (PEP 3333, "The start_response() Callable")."""
        exchange = self.exchange
        if exc_info is not None:
            try:
                if self.began:
                    raise exc_info[1].with_traceback(exc_info[2])
            finally:
                exc_info = None  # breaks the reference cycle, as the PEP asks
        elif exchange.status and not exchange.finished:
            raise ResponseError("start_response() was called twice")
        if not isinstance(status, str) or not status[:3].isdecimal() or status[3:4] not in (" ", ""):
            raise ResponseError(f"status {status!r} is not a text such as '200 OK'")
        if exchange.finished:
            raise ClientGone("the request has been answered with a time-out, or the client has gone")
        exchange.start(int(status[:3]), [_ENCODED.get(pair) or _encode(pair) for pair in headers])
        return self.write

    def write(self, data: bytes) -> None:
        """The ``write()`` callable that ``start_response`` returns."""
        if data:
            self._put(data, True)

    def early_hints(self, headers: list[tuple[str, str]]) -> None:
        """``wsgi.early_hints``: send 103 (Early Hints) with *headers* ahead of the response."""
        self.handler.threads.post(self._inform, self.exchange.render([_encode(pair) for pair in headers]), None)

    def _respond(self, result: Iterable[bytes]) -> None:
        if isinstance(result, FileWrapper) and not self.began and self._by_sendfile(result):
            return
        post = self.handler.threads.post
        if isinstance(result, (list, tuple)) and len(result) == 1:
            data = result[0]
            if not self.exchange.status:
                raise ResponseError("a response body before start_response()")
            if not isinstance(data, bytes):
                raise ResponseError(f"the application returned {type(data).__name__}, not bytes")
            post(self._write, data, False)
            return
        for data in result:
            if data:
                self._put(data, True)
        if not self.exchange.status:
            raise ResponseError("the application did not call start_response()")
        post(self._write, b"", False)

    def _put(self, data: bytes, more: bool) -> None:
        """Post *data*; wait while the client is too far behind."""
        if not isinstance(data, bytes):
            raise ResponseError(f"the application returned {type(data).__name__}, not bytes")
        if not self.exchange.status:
            raise ResponseError("a response body before start_response()")
        if self._error is not None:
            raise self._error
        self.began = True
        self._posted += len(data)
        self.handler.threads.post(self._write, data, more)
        if self._behind():
            self.wait_until(lambda: not self._behind())

    def _behind(self) -> bool:
        return self._posted - self._written > _AHEAD or self.exchange.blocked

    def _by_sendfile(self, wrapper: FileWrapper) -> bool:
        file = wrapper.regular()
        exchange = self.exchange
        if file is None or not exchange.status:
            return False
        if exchange.length >= 0:
            file = (file[0], file[1], min(file[2], exchange.length))
        self._news = self._news or threading.Event()
        exchange.notify = exchange.notify or self._wake
        self.handler.threads.post(self._send_file, file, None)
        self.wait_until(lambda: self._file_done)
        return True

    def wait_until(self, condition: Callable[[], bool]) -> None:
        """Block this thread until *condition* holds; raises ClientGone when the exchange ends before."""
        news = self._news
        if news is None:
            news = self._news = threading.Event()
            if self.exchange.notify is None:
                self.exchange.notify = self._wake
        while True:
            news.clear()
            if condition():
                return
            if self._error is not None:
                raise self._error
            if self.exchange.lost or self.exchange.finished:
                raise ClientGone("the client has closed the connection")
            # A bound, in case the exchange ended between the check and the wait without further news.
            news.wait(1.0)


class BodyStream(io.RawIOBase):
    """The body of a request that is still arriving, as the application's thread reads it."""

    def __init__(self, call: Call) -> None:
        self.call = call
        self.chunk = memoryview(b"")
        self._fetched: bytes | None = None

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        """Wait for body bytes; 0 at its end. Raises :class:`ClientGone` where the body broke off."""
        if not self.chunk:
            self._fetched = None
            self.call.handler.threads.post(self._fetch, None, None)
            self.call.wait_until(lambda: self._fetched is not None)
            self.chunk = memoryview(self._fetched or b"")
        size = min(len(buffer), len(self.chunk))
        buffer[:size] = self.chunk[:size]
        self.chunk = self.chunk[size:]
        return size

    def _fetch(self, _one: None, _two: None) -> None:
        """On the loop's thread: take what has arrived, or have the next news try again."""
        exchange = self.call.exchange
        exchange.want_body()
        if exchange.buffered or exchange.body_complete:
            exchange.notify = self.call._wake
            self._fetched = exchange.take()
        elif exchange.gone:
            self.call._error = ClientGone("the request body ended before its announced length")
        else:
            exchange.notify = self._again
            return
        self.call._wake()

    def _again(self) -> None:
        self._fetch(None, None)
        self.call._wake()


def _encode(pair: Any) -> tuple[bytes, bytes]:
    """Return a header as bytes; :class:`ResponseError` where it is not a pair of latin-1 texts."""
    try:
        name, value = pair
        encoded = (name.encode("latin-1"), value.encode("latin-1"))
    except (ValueError, TypeError, AttributeError):
        raise ResponseError(f"response header {pair!r} is not a pair of latin-1 strings") from None
    if len(value) <= 256:
        if len(_ENCODED) >= _ENCODED_BOUND:
            _ENCODED.clear()
        _ENCODED[pair] = encoded
    return encoded
