"""HTTP hooks: functions of the configuration that see every request before the application, and every answer.

=================================  =======================================================================
``on_request(request)``            may change headers; returns None, or (status, headers, body) to answer
``on_response(request, response)`` may change status and headers, whoever made the answer
``on_error(error, request)``       the application raised: returns None, or an answer in place of the 500
=================================  =======================================================================

They fail closed: where ``on_request`` or ``on_response`` raises, the answer is 500, and nothing of the application's
is sent. For ASGI applications and files hooks run in the event loop, for WSGI in the thread of the request.
``on_request`` and ``on_error`` may be coroutine functions where no WSGI application is served. ``on_response`` may not:
it is called from where an answer begins, and that waits for nothing.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Awaitable, Callable
from contextvars import copy_context
from dataclasses import dataclass
from typing import Any, cast

from hornbeamd.apps import loader
from hornbeamd.apps.messages import Answer, Headers, Request, Response, answer
from hornbeamd.config.hooks import HookOptions
from hornbeamd.errors import AppLoadError, ClientGone, HookError, ResponseError
from hornbeamd.http.exchange import Exchange, Handler
from hornbeamd.http.exchange import Headers as Pairs

log = logging.getLogger("hornbeamd.app")

Hook = Callable[..., Any]


@dataclass(frozen=True, slots=True)
class Hooks:
    """The functions, as loaded; None for each that is not configured."""

    on_request: Hook | None = None
    on_response: Hook | None = None
    on_error: Hook | None = None


def load(options: HookOptions, threads: bool) -> Hooks | None:
    """Import the hooks; None where there are none. *threads* tells that some run in threads, where nothing is awaited.

    Raises AppLoadError.
    """
    names = ("on_request", "on_response", "on_error")
    found = {name: _load(name, spec, threads) for name in names if (spec := getattr(options, name)) is not None}
    return Hooks(**found) if found else None


def _load(name: str, spec: str, threads: bool) -> Hook:
    try:
        hook = loader.load(spec)
    except AppLoadError as error:
        raise AppLoadError(f"hooks.{name}: {error}") from error.__cause__
    waits = inspect.iscoroutinefunction(hook) or inspect.iscoroutinefunction(getattr(hook, "__call__", None))  # noqa: B004
    if waits and name == "on_response":
        raise AppLoadError(f"hooks.{name}: {spec!r} is a coroutine function; expected a plain one")
    if waits and threads:
        raise AppLoadError(
            f"hooks.{name}: {spec!r} is a coroutine function, which the threads of a WSGI application cannot await;"
            " expected a plain one"
        )
    return hook


class Passage:
    """One exchange on its way past the hooks; an :class:`~hornbeamd.http.exchange.Interceptor`."""

    __slots__ = ("_exchange", "_failed", "_hooks", "_in_thread", "_request")

    def __init__(self, hooks: Hooks, exchange: Exchange, mount: str | None = None, *, in_thread: bool = False) -> None:
        self._hooks = hooks
        self._exchange = exchange
        self._in_thread = in_thread
        self._request = Request(exchange, mount)
        self._failed = False

    def ask(self) -> Answer | Awaitable[Answer | None] | None:
        """Run ``on_request``. Raises HookError where it does not say what to do."""
        hook = self._hooks.on_request
        if hook is None:
            return None
        return self._run("on_request", hook, self._request)

    def answer_to(self, error: BaseException) -> Answer | Awaitable[Answer | None] | None:
        """Run ``on_error``. Raises HookError where that raises, too."""
        hook = self._hooks.on_error
        if hook is None:
            return None
        return self._run("on_error", hook, error, self._request)

    def _run(self, name: str, hook: Hook, *arguments: object) -> Answer | Awaitable[Answer | None] | None:
        try:
            given = hook(*arguments)
            if hasattr(given, "__await__"):
                if self._in_thread:
                    raise TypeError("the hook returned an awaitable, which a thread cannot await")
                return self._later(name, given)
            return self._taken(given)
        except BaseException as error:  # SystemExit too: a hook does not end the server
            raise self._failure(name, error) from error

    async def _later(self, name: str, given: Awaitable[object]) -> Answer | None:
        try:
            return self._taken(await given)
        except asyncio.CancelledError:
            raise
        except BaseException as error:
            raise self._failure(name, error) from error

    def _taken(self, given: object) -> Answer | None:
        """Take over what a hook has returned, and the headers that it has changed."""
        if self._request.changed:
            self._exchange.request = self._exchange.request.with_headers(self._request.headers.encoded())
            self._request.headers.changed = False
        return None if given is None else answer(given)

    def respond(self, status: int, headers: Pairs) -> tuple[int, Pairs]:
        """Run ``on_response``. Raises HookError where it raises, and from then on."""
        hook = self._hooks.on_response
        if hook is None:
            return status, headers
        if self._failed:
            raise HookError("the hook on_response has raised before")
        pairs = list(headers)
        response = Response(status, Headers(_of_bytes(pairs)))
        try:
            given = hook(self._request, response)
            if given is not None:  # a coroutine, say, of which nothing would ever be run
                raise TypeError(f"the hook returned {type(given).__name__}; it changes the response that it is given")
            if not isinstance(response.status, int) or not 200 <= response.status <= 599:
                raise ValueError(f"the hook set the status {response.status!r}, no number from 200 to 599")
        except BaseException as error:
            self._failed = True
            raise self._failure("on_response", error) from error
        return int(response.status), response.headers.encoded() if response.headers.changed else pairs

    def _failure(self, name: str, error: BaseException) -> HookError:
        exchange = self._exchange
        facts = {"request": exchange.request_id, "method": exchange.method, "path": exchange.path}
        log.error("hook %s raised %s", name, type(error).__name__, exc_info=error, extra={"fields": facts})
        return HookError(f"the hook {name} raised {type(error).__name__}")


def _of_bytes(pairs: list[Any]) -> list[tuple[bytes, bytes]]:
    """Return header pairs as they should be, or say that an application's are not."""
    for pair in pairs:
        if len(pair) != 2 or not isinstance(pair[0], bytes) or not isinstance(pair[1], bytes):
            raise ResponseError(f"response header {pair!r} is not a pair of bytes")
    return pairs


def send(exchange: Exchange, given: Answer) -> None:
    """Send *given* as the whole answer of *exchange*; on the event loop's thread."""
    try:
        exchange.start(given.status, given.headers)
        exchange.write(given.body, False)
    except ClientGone:
        pass
    except (HookError, ResponseError):
        exchange.fail()


async def recover(exchange: Exchange, error: BaseException) -> bool:
    """Have ``on_error`` answer in place of the plain 500, where nothing was sent; whether it did."""
    if exchange.hooks is None or exchange.sent_head or exchange.finished:
        return False
    try:
        given = exchange.hooks.answer_to(error)
        if hasattr(given, "__await__"):
            given = await given
    except HookError:
        return False
    if given is None or exchange.finished:
        return False
    send(exchange, given)
    return True


class Hooked:
    """A handler behind the hooks, for the prefix *mount*.

    Where *in_thread* the handler asks ``on_request`` itself, in the thread of the request.
    """

    def __init__(self, handler: Handler, hooks: Hooks, mount: str | None, *, in_thread: bool = False) -> None:
        self.handler = handler
        self.hooks = hooks
        self.mount = mount
        self.in_thread = in_thread
        self.asking: set[asyncio.Task[None]] = set()

    @property
    def capacity(self) -> int:
        return self.handler.capacity

    async def startup(self) -> None:
        await self.handler.startup()

    def drain(self, seconds: float) -> None:
        self.handler.drain(seconds)

    async def finished(self) -> None:
        """Return when no hook is waited for, and nothing runs behind it."""
        while True:
            while self.asking:
                await asyncio.wait(self.asking)
            await self.handler.finished()
            if not self.asking:
                return

    async def shutdown(self) -> None:
        """Cancel what still waits for a hook, then end the handler."""
        for task in self.asking:
            task.cancel()
        await self.handler.shutdown()

    def stuck(self, now: float) -> str | None:
        return self.handler.stuck(now)

    def handle(self, exchange: Exchange) -> None:
        """Hand *exchange* to the handler, when the hooks let it pass."""
        exchange.hooks = Passage(self.hooks, exchange, self.mount, in_thread=self.in_thread)
        if self.in_thread or self.hooks.on_request is None:
            self.handler.handle(exchange)
        else:
            # What a hook puts into context variables is the application's to see, and no other request's.
            copy_context().run(self._ask, exchange, exchange.hooks)

    def _ask(self, exchange: Exchange, passage: Passage) -> None:
        try:
            given = passage.ask()
        except HookError:
            exchange.fail()
            return
        if given is None or isinstance(given, Answer):
            self._go_on(exchange, given)
            return
        task = asyncio.get_running_loop().create_task(self._wait(exchange, given))
        self.asking.add(task)
        task.add_done_callback(self.asking.discard)
        exchange.on_timeout = cast(Callable[[], None], task.cancel)

    async def _wait(self, exchange: Exchange, coming: Awaitable[Answer | None]) -> None:
        try:
            given = await coming
        except HookError:
            exchange.fail()
            return
        except asyncio.CancelledError:
            exchange.fail(503)  # unless it was answered 504, which is why
            return
        finally:
            exchange.on_timeout = None
        if not exchange.finished:
            self._go_on(exchange, given)

    def _go_on(self, exchange: Exchange, given: Answer | None) -> None:
        if given is None:
            self.handler.handle(exchange)
        else:
            send(exchange, given)
