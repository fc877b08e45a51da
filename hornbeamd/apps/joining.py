"""WebSockets that join topics by their path, as the option ``websocket_topics`` has it.

What is published goes to the client without the application's doing. A client that takes less than is published misses
messages, as any slow subscriber does.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable, Iterable
from typing import Any
from urllib.parse import unquote_to_bytes

from hornbeamd import node
from hornbeamd.config.websockets import NAMES, WebSocketTopic
from hornbeamd.errors import ClientGone
from hornbeamd.http.websocket.session import Session
from hornbeamd.node.subscriptions import Subscription, unpack

log = logging.getLogger("hornbeamd.app")

# How long a client that is accepted waits for the hub, in seconds; after that it misses what is published until then.
_PATIENCE = 1.0


class Joins:
    """The tables of the option, compiled."""

    def __init__(self, tables: Iterable[WebSocketTopic]) -> None:
        self._tables = [(table.path.encode().split(b"/"), table.topic) for table in tables]

    def topics(self, raw_path: bytes) -> list[str]:
        """The topics that a WebSocket joins at *raw_path*, as the client sent it."""
        given = [unquote_to_bytes(segment) for segment in raw_path.split(b"/")]
        return [
            NAMES.sub(lambda name, values=values: values[name[1]], topic)  # type: ignore[misc]
            for path, topic in self._tables
            if (values := _values(path, given)) is not None
        ]


def _values(path: list[bytes], given: list[bytes]) -> dict[str, str] | None:
    """What the names in *path* stand for; None where *given* is another path, or would lead to another topic."""
    if len(path) != len(given):
        return None
    values = {}
    for wanted, segment in zip(path, given, strict=True):
        if not wanted.startswith(b"{"):
            if wanted != segment:
                return None
            continue
        try:
            value = segment.decode()
        except UnicodeDecodeError:
            return None
        if not value or ":" in value or "*" in value:
            return None
        values[wanted[1:-1].decode()] = value
    return values


class Guest:
    """A WebSocket in the topics that it joins."""

    def __init__(self, topics: Iterable[str]) -> None:
        self._subscriptions = [node.current().subscribe(topic) for topic in topics]
        self._tasks: list[asyncio.Task[None]] = []

    async def join(self) -> None:
        """Join the topics: from now on no message is missed."""
        for subscription in self._subscriptions:
            if not await subscription.enter(_PATIENCE):
                log.warning("a WebSocket waits for the hub", extra={"fields": {"topic": subscription.pattern}})

    def begin(self, session: Session, news: Callable[[], Awaitable[None]]) -> None:
        """Send to the client of *session* what comes, and what has come since it joined; *news* waits for room."""
        for subscription in self._subscriptions:
            self._tasks.append(asyncio.create_task(_forward(subscription, session, news)))

    def leave(self) -> None:
        """Leave all topics."""
        for subscription in self._subscriptions:
            subscription.close()


async def _forward(subscription: Subscription, session: Session, news: Callable[[], Awaitable[None]]) -> None:
    try:
        while (item := await subscription.take_async()) is not None:
            message = _rendered(*item)
            while session.blocked:
                await news()
            if message is not None:
                session.send(message)
    except ClientGone:
        pass
    finally:
        subscription.close()


_last: tuple[bytes, str | bytes | None] = (b"", None)


def _rendered(topic: str, payload: bytes) -> str | bytes | None:
    """A message as clients get it; rendered once for all clients in this process. None for what they cannot get."""
    global _last
    if payload is not _last[0]:
        try:
            _last = payload, _render(unpack(payload))
        except Exception as error:
            _last = payload, None
            log.error("a message cannot be sent", extra={"fields": {"topic": topic, "why": str(error)}})
    return _last[1]


def _render(message: Any) -> str | bytes:
    if isinstance(message, bytes):
        return message
    if not isinstance(message, str):
        message = json.dumps(message, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    message.encode()  # raises on what is no Unicode
    return str(message)
