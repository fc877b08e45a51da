"""Serves exchanges through an ASGI 3 application (spec version 2.5).

Each exchange has a Task of its own: ``asyncio.current_task()``, cancel scopes and contextvars are what the
application expects. From Python 3.12 on the Task starts eagerly, so an application that never waits costs no turn
of the event loop.
"""

from __future__ import annotations

import asyncio
import os
import sys
from typing import Any

from hornbeamd.apps.calls import ASGIApplication, Call, Message, Scope
from hornbeamd.apps.joining import Joins
from hornbeamd.apps.lifespan import Lifespan
from hornbeamd.apps.websocket import WebSocketCall
from hornbeamd.config.options import Options
from hornbeamd.errors import ClientGone, ResponseError
from hornbeamd.http.exchange import Exchange, Request

ASGI = {"version": "3.0", "spec_version": "2.5"}
_EXTENSIONS: dict[str, dict[str, Any]] = {
    "http.response.early_hint": {},
    "http.response.pathsend": {},
    "http.response.trailers": {},
}
# What a cancelled request gets for its own ends, in seconds.
_LAST_WORDS = 1.0
_EAGER = sys.version_info >= (3, 12)


class AsgiHandler:
    """Hands exchanges to an ASGI application; *mount* is the prefix that all its paths begin with."""

    capacity = 0

    def __init__(self, app: ASGIApplication, options: Options, mount: str = "") -> None:
        self.app = app
        self.root_path = options.root_path
        self.mount = mount
        self.lifespan = Lifespan(app, options.lifespan, options.lifespan_timeout)
        self.calls: set[Call] = set()
        self._joins = Joins(options.websocket_topics) if options.websocket_topics else None
        # Stands for this handler where requests are remembered, which would keep the application alive.
        self._own = object()

    async def startup(self) -> None:
        """Run the application's lifespan startup."""
        self.loop = asyncio.get_running_loop()
        await self.lifespan.startup()

    def drain(self, seconds: float) -> None:
        """Have WebSockets end, each at some moment within *seconds*."""
        for call in list(self.calls):
            call.drain(seconds)

    async def finished(self) -> None:
        """Return when no call runs any more."""
        while tasks := [call.task for call in self.calls if call.task is not None]:
            await asyncio.wait(tasks)

    async def shutdown(self) -> None:
        """Cut what still runs, then run the application's lifespan shutdown."""
        tasks = [call.task for call in self.calls if call.task is not None]
        for call in list(self.calls):
            call.cut()
        if tasks:  # what they clean up may need what lifespan shuts down
            await asyncio.wait(tasks, timeout=_LAST_WORDS)
        for call in list(self.calls):  # it does not let itself be cancelled
            call.fail()
        await self.lifespan.shutdown()

    def stuck(self, now: float) -> str | None:
        """A blocked event loop cannot ask; its silence is what the supervisor notices."""
        return None

    def handle(self, exchange: Exchange) -> None:
        """Start the application on *exchange*."""
        call = HttpCall(self, exchange) if exchange.websocket is None else WebSocketCall(self, exchange, self._joins)
        exchange.on_timeout = call.timed_out
        self.calls.add(call)
        if _EAGER:
            call.task = asyncio.Task(call.run(), loop=self.loop, eager_start=True)  # type: ignore[call-arg]
        else:
            call.task = self.loop.create_task(call.run())

    def scope(self, exchange: Exchange) -> Scope:
        """Describe the request as the ASGI specification has it."""
        request = exchange.request
        scope: dict[str, Any]
        if request.shared:
            derived = request.derived
            if derived is None or derived[0] is not self._own:
                derived = request.derived = (self._own, self._scope(request))
            scope = derived[1].copy()
        else:
            scope = self._scope(request)
        prefix = exchange.prefix
        if prefix:  # of plain characters: its bytes are its text
            scope["root_path"] = prefix + scope["root_path"]
            scope["path"] = prefix + scope["path"]
            scope["raw_path"] = prefix.encode() + scope["raw_path"]
        # The application may change what it is given: nothing of it is shared with another request.
        scope["asgi"] = ASGI.copy()
        scope["headers"] = list(request.headers)
        scope["scheme"] = exchange.scheme
        scope["client"] = exchange.client
        scope["server"] = exchange.server
        scope["state"] = self.lifespan.state.copy()
        scope["extensions"] = extensions = _EXTENSIONS.copy()
        if exchange.pushable:
            extensions["http.response.push"] = {}
        if exchange.peer.tls is not None:
            extensions["tls"] = exchange.peer.tls.copy()
        return scope

    def _scope(self, request: Request) -> dict[str, Any]:
        root_path = self.root_path
        return {
            "type": "http",
            "http_version": request.http_version,
            "method": request.method,
            "path": root_path + request.path if root_path else request.path,
            "raw_path": root_path.encode() + request.raw_path if root_path else request.raw_path,
            "query_string": request.query,
            "root_path": root_path + self.mount,
        }


class HttpCall(Call):
    """One run of the application on a request."""

    body_done = False
    trailers: list[tuple[bytes, bytes]] | tuple[()] = ()

    # --- receive -----------------------------------------------------------------------------------------------

    async def receive(self) -> Message:
        """Return the next event: a part of the body, or ``http.disconnect``."""
        exchange = self.exchange
        if not self.body_done:
            if exchange.expects_continue:
                exchange.want_body()
            while not exchange.buffered and not exchange.body_complete and not exchange.gone:
                await self._news()
            body = exchange.take() if exchange.buffered else b""
            if body or exchange.body_complete:
                self.body_done = exchange.body_complete
                return {"type": "http.request", "body": body, "more_body": not exchange.body_complete}
        while not exchange.gone and not exchange.finished:
            await self._news()
        return {"type": "http.disconnect"}

    # --- send --------------------------------------------------------------------------------------------------

    async def send(self, message: Message) -> None:
        """Take an event of the response."""
        exchange = self.exchange
        kind = message["type"]
        if kind == "http.response.body":
            if self.abandoned:
                await asyncio.sleep(0)  # one that goes on all the same does not have the loop for itself
                return
            exchange.write(message.get("body", b""), message.get("more_body", False))
            if exchange.blocked:
                await self._room()
        elif kind == "http.response.start":
            if exchange.lost and not self.abandoned:
                raise ClientGone("the client has closed the connection")
            if exchange.status and not self.abandoned:
                raise ResponseError("http.response.start was sent twice")
            exchange.start(message["status"], message.get("headers", ()), message.get("trailers", False))
        elif not self.abandoned:
            await self._send_other(kind, message)

    async def _send_other(self, kind: str, message: Message) -> None:
        exchange = self.exchange
        if kind == "http.response.trailers":
            self.trailers = [*self.trailers, *message.get("headers", ())]
            if not message.get("more_trailers", False):
                exchange.end_with_trailers(self.trailers)
        elif kind == "http.response.early_hint":
            exchange.early_hints([(b"link", link) for link in message.get("links", ())])
        elif kind == "http.response.pathsend":
            with await asyncio.to_thread(open, message["path"], "rb") as file:
                await exchange.send_file(file, 0, os.fstat(file.fileno()).st_size)
        elif kind == "http.response.push":
            exchange.push(message["path"].encode(), message.get("headers", ()))
        else:
            raise ResponseError(f"unexpected ASGI message {kind!r}")
