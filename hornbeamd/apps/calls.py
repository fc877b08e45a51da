"""One run of an ASGI application: a Task that ends what it was started for, whatever the application does.

What the kinds of calls (HTTP in ``asgi``, WebSocket in ``websocket``) have in common.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Protocol

from hornbeamd.apps import hooks
from hornbeamd.errors import ClientGone, HookError
from hornbeamd.http.exchange import Exchange

log = logging.getLogger("hornbeamd.app")

Message = MutableMapping[str, Any]
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
ASGIApplication = Callable[[Scope, Receive, Send], Awaitable[None]]


class Caller(Protocol):
    """Who makes calls: the handler of one application."""

    app: ASGIApplication
    calls: set[Call]

    def scope(self, exchange: Exchange) -> Scope: ...


class Call:
    """One run of the application: its ``receive`` and ``send``."""

    # Defaults are class attributes, as in Exchange: a call is made for every request.
    task: asyncio.Task[None] | None = None
    news: asyncio.Event | None = None
    abandoned: bool = False
    """The server has ended the exchange in the application's place."""
    cut_off: bool = False
    """The handler has ended while this ran."""

    def __init__(self, handler: Caller, exchange: Exchange) -> None:
        self.handler = handler
        self.exchange = exchange

    async def run(self) -> None:
        """Run the application and see to it that the exchange ends, whatever the application does."""
        exchange = self.exchange
        handler = self.handler
        try:
            await handler.app(self.scope(), self.receive, self.send)
        except ClientGone:
            pass
        except HookError:
            self.fail()
        except asyncio.CancelledError:
            if not self.abandoned:
                log.error("application cancelled itself", extra={"fields": self._facts()})
            self.fail()
        except BaseException as error:  # SystemExit too: an application does not end the server
            if not (self.lost and isinstance(error, OSError)):
                log.exception("application raised %s", type(error).__name__, extra={"fields": self._facts()})
            if exchange.hooks is None or not await hooks.recover(exchange, error):
                self.fail()
        else:
            self.returned()
        finally:
            handler.calls.discard(self)
            # Without these the two hold each other, and only the garbage collector would free them.
            exchange.on_timeout = exchange.notify = None

    def scope(self) -> Scope:
        """What the application is told at the start."""
        return self.handler.scope(self.exchange)

    async def receive(self) -> Message:
        """Return the next event."""
        raise AssertionError("each kind of call implements this")

    async def send(self, message: Message) -> None:
        """Take an event from the application."""
        raise AssertionError("each kind of call implements this")

    @property
    def lost(self) -> bool:
        """Nothing can be sent any more."""
        return self.exchange.lost

    def fail(self) -> None:
        """End what the application could not."""
        self.exchange.fail(503 if self.cut_off else 500)

    def returned(self) -> None:
        """The application has returned: see to it that it was not too early."""
        exchange = self.exchange
        if exchange.finished:
            return
        if exchange.gone:  # it was told so, and has given up: nothing is wrong
            exchange.abort()
            return
        what = "before the response was complete" if exchange.status else "without a response"
        log.error("application returned %s", what, extra={"fields": self._facts()})
        exchange.fail()

    def drain(self, seconds: float) -> None:
        """End within *seconds* what would not end by itself."""

    def cut(self) -> None:
        """The handler ends: cancel the application."""
        self.cut_off = True
        self.timed_out()

    def timed_out(self) -> None:
        """The server has answered 504 in the application's place: cancel it."""
        self.abandoned = True
        if self.task is not None:
            self.task.cancel()

    async def _news(self) -> None:
        """Wait until something about the exchange has changed. Several may wait at once."""
        news = self.news
        if news is None:
            news = self.news = asyncio.Event()
            self.exchange.notify = news.set
        news.clear()
        await news.wait()

    async def _room(self) -> None:
        """Wait until the client has taken enough of the response."""
        exchange = self.exchange
        while exchange.blocked:
            await self._news()

    def _facts(self) -> dict[str, object]:
        exchange = self.exchange
        return {"request": exchange.request_id, "method": exchange.method, "path": exchange.path}
