"""WebSockets of an ASGI application (ASGI WebSocket specification 2.5).

Until the application decides, a WebSocket is a request that waits for its answer: with ``websocket.accept`` it becomes
a session, any other way it gets a response and the client sees a handshake that failed.
"""

from __future__ import annotations

import asyncio
from typing import Any

from hornbeamd.apps.calls import Call, Caller, Message, Scope
from hornbeamd.apps.joining import Guest, Joins
from hornbeamd.errors import ClientGone, ResponseError
from hornbeamd.http.exchange import Exchange
from hornbeamd.http.websocket.session import FAILED, LOST, RESTART, Session


class WebSocketCall(Call):
    """One run of the application on a WebSocket."""

    announced = False  # websocket.connect was given
    session: Session | None = None
    guest: Guest | None = None
    leaves_within: float | None = None
    """Seconds; None while nothing has asked it to end."""

    def __init__(self, handler: Caller, exchange: Exchange, joins: Joins | None = None) -> None:
        super().__init__(handler, exchange)
        self.joins = joins

    async def run(self) -> None:
        """Run the application; what it has joined by its path it leaves with it."""
        try:
            await super().run()
        finally:
            self._leave()

    def scope(self) -> Scope:
        scope = super().scope()
        offer = self.exchange.websocket
        assert offer is not None
        del scope["method"]
        scope["type"] = "websocket"
        scope["scheme"] = "wss" if scope["scheme"] == "https" else "ws"
        scope["subprotocols"] = list(offer.subprotocols)
        extensions: dict[str, Any] = {"websocket.http.response": {}}
        if "tls" in scope["extensions"]:
            extensions["tls"] = scope["extensions"]["tls"]
        scope["extensions"] = extensions
        return scope

    # --- receive -----------------------------------------------------------------------------------------------

    async def receive(self) -> Message:
        """Return the next event: ``websocket.connect``, a message, or ``websocket.disconnect``."""
        if not self.announced:
            self.announced = True
            return {"type": "websocket.connect"}
        while (session := self.session) is None:
            exchange = self.exchange
            if exchange.gone or exchange.finished:
                return {"type": "websocket.disconnect", "code": LOST, "reason": ""}
            await self._news()
        while True:
            message = session.receive()
            if message is not None:
                key = "text" if message.__class__ is str else "bytes"
                return {"type": "websocket.receive", key: message}
            if session.closed is not None:
                code, reason = session.closed
                return {"type": "websocket.disconnect", "code": code, "reason": reason}
            await self._news()

    # --- send --------------------------------------------------------------------------------------------------

    async def send(self, message: Message) -> None:
        """Take an event from the application."""
        if self.session is None:
            await self._send_before(message)
        elif message["type"] == "websocket.send":
            await self._send_message(self.session, message)
        elif message["type"] == "websocket.close":
            self.session.close(message.get("code", 1000), message.get("reason") or "")
            self._leave()
        else:
            raise ResponseError(f"unexpected ASGI message {message['type']!r} on an open WebSocket")

    async def _send_message(self, session: Session, message: Message) -> None:
        data = message.get("text")
        if data is None:
            data = message.get("bytes")
            if data.__class__ is not bytes:
                if not isinstance(data, (bytearray, memoryview)):
                    raise ResponseError("websocket.send with neither text nor bytes")
                data = bytes(data)
        elif not isinstance(data, str):
            raise ResponseError(f"websocket.send with text of type {type(data).__name__}")
        while session.blocked:
            await self._news()
        session.send(data)

    async def _send_before(self, message: Message) -> None:
        """Take what decides about the handshake (or a part of the response that denies it)."""
        exchange = self.exchange
        kind = message["type"]
        if kind == "websocket.accept" and self.joins is not None:
            await self._join(self.joins)
        if self.abandoned:
            await asyncio.sleep(0)  # for the cancellation
            return
        if exchange.lost:
            raise ClientGone("the client has closed the connection")
        if kind == "websocket.http.response.body" and exchange.status:
            exchange.write(message.get("body", b""), message.get("more_body", False))
            await self._room()
        elif exchange.status:
            raise ResponseError(f"unexpected ASGI message {kind!r} on a WebSocket that was refused")
        elif kind == "websocket.accept":
            self._begin(message)
        elif kind == "websocket.close":
            exchange.answer(403)
        elif kind == "websocket.http.response.start":
            exchange.start(message["status"], message.get("headers", ()))
        else:
            raise ResponseError(f"unexpected ASGI message {kind!r} before the WebSocket was accepted")

    async def _join(self, joins: Joins) -> None:
        """Before the client is told that it is let in: it misses nothing from then on."""
        if self.guest is None and (topics := joins.topics(self.exchange.request.raw_path)):
            self.guest = Guest(topics)
            await self.guest.join()

    def _begin(self, message: Message) -> None:
        session = self.session = self._accept(message)
        if self.news is None:
            self.news = asyncio.Event()
        session.notify = self.news.set if self.guest is None else self._notify
        self.news.set()
        if self.leaves_within is not None:
            session.leave(self.leaves_within)
        if self.guest is not None:
            self.guest.begin(session, self._news)

    def _notify(self) -> None:
        """There are news; the last of them is that the client has left."""
        assert self.news is not None
        self.news.set()
        if self.lost:
            self._leave()

    def _leave(self) -> None:
        if self.guest is not None:
            self.guest.leave()

    def _accept(self, message: Message) -> Session:
        exchange = self.exchange
        hooks, exchange.hooks = exchange.hooks, None  # what is accepted is no answer, and none of theirs to change
        try:
            return exchange.accept(message.get("subprotocol"), message.get("headers", ()))
        except ResponseError:
            exchange.hooks = hooks
            raise

    # --- the end -----------------------------------------------------------------------------------------------

    def drain(self, seconds: float) -> None:
        """Close the WebSocket at some moment within *seconds*, counted from when it is accepted."""
        self.leaves_within = seconds
        if self.session is not None:
            self.session.leave(seconds)

    @property
    def lost(self) -> bool:
        return self.exchange.lost if self.session is None else self.session.closed is not None

    def fail(self) -> None:
        if self.session is None:
            super().fail()
        else:
            self.session.fail(RESTART if self.cut_off else FAILED)

    def returned(self) -> None:
        if self.session is None:
            super().returned()
        elif self.session.closed is None:
            self.session.close()
