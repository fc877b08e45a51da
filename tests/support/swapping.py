"""An application that is exchanged while it serves, as a reload in place does it, in this process."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from hornbeamd import node
from hornbeamd.apps.asgi import AsgiHandler
from hornbeamd.apps.owned import Owned
from hornbeamd.apps.wsgi import WsgiHandler
from hornbeamd.config.options import Options
from hornbeamd.http.exchange import Handler
from hornbeamd.node import Node
from tests.support.applications import Served, read_body, served

Make = Callable[[int], Handler]
"""Makes what serves, by the number of its generation."""


class Swapping:
    """A server, and the generations of its application."""

    def __init__(self, served: Served, here: Node, make: Make, first: Owned) -> None:
        self.served = served
        self.node = here
        self.handler = first
        self._make = make

    @property
    def number(self) -> int:
        """That of the current generation."""
        return self.handler.generation.number

    def swap(self) -> Owned:
        """Exchange the application; gives the handler of the old one, which is still at work."""
        return self.served.running.call(self._swap)

    async def _swap(self) -> Owned:
        generation = self.node.generations.prepare(self.number + 1)
        with generation.running():
            handler = Owned(self._make(generation.number), generation)
        await handler.startup()
        generation.commit()
        with handler.running():
            self.served.running.server.adopt(handler)
        old, self.handler = self.handler, handler
        return old

    def retire(self, old: Owned, timeout: float = 5.0) -> bool:
        """Wait until *old* is finished, and end it; whether it took less than *timeout* seconds."""
        return self.served.running.call(lambda: self._retire(old, timeout))

    async def _retire(self, old: Owned, timeout: float) -> bool:
        try:
            async with asyncio.timeout(timeout):
                await old.finished()
            finished = True
        except TimeoutError:
            finished = False
        finished = await old.generation.finish(timeout) and finished
        await old.shutdown()
        old.generation.retire()
        return finished

    def finished(self, old: Owned) -> bool:
        """Whether nothing runs on *old* at the moment."""

        async def look() -> bool:
            task = asyncio.ensure_future(old.finished())
            for _ in range(20):
                await asyncio.sleep(0)
            done = task.done()
            task.cancel()
            return done

        return self.served.running.call(look)


@contextmanager
def swapping(make: Make, loop: str = "uvloop", **options: Any) -> Iterator[Swapping]:
    """Serve what *make* makes of generation 1, to be exchanged."""
    here = node.alone()
    node.install(here)
    generation = here.generations.current
    with generation.running():
        first = Owned(make(1), generation)
    try:
        with served(first, Options(workers=1, **options), loop) as running:
            yield Swapping(running, here, make, first)
    finally:
        node.install(None)


def acting() -> bytes:
    """The number of the generation whose code is running, as the node has it."""
    return b"%d " % node.current().generations.acting().number


class Code:
    """What the applications of all generations share; it belongs to none of them."""

    def __init__(self, **options: Any) -> None:
        self.options = Options(**{"lifespan": "on", "workers": 1, **options})
        self.events: list[tuple[str, int]] = []
        self.inside = 0
        """Requests that wait for :attr:`gate`."""
        self.gate = threading.Event()

    def asgi(self, number: int) -> AsgiHandler:
        """An ASGI application that says in every way it knows of which generation it is."""

        async def app(scope: Any, receive: Any, send: Any) -> None:
            if scope["type"] == "lifespan":
                await self._lifespan(number, scope, receive, send)
            elif scope["type"] == "websocket":
                await _echo(number, receive, send)
            else:
                head = {"type": "http.response.start", "status": 200, "headers": [(b"x-version", b"%d" % number)]}
                if scope["path"] == "/upload":
                    body = await read_body(receive)
                    await send(head)
                    await send({"type": "http.response.body", "body": b"%d %d" % (number, len(body))})
                    return
                await send(head)
                await send({"type": "http.response.body", "body": b"%d " % number, "more_body": True})
                if scope["path"] == "/slow":
                    await asyncio.to_thread(self._wait)
                child = asyncio.create_task(_later())
                body = acting() + await child + await asyncio.to_thread(acting) + b"%d" % scope["state"]["number"]
                await send({"type": "http.response.body", "body": body})

        return AsgiHandler(app, self.options)

    def wsgi(self, number: int) -> WsgiHandler:
        """The same for WSGI."""

        def app(environ: Any, start_response: Any) -> Any:
            start_response("200 OK", [("X-Version", str(number))])
            if environ["PATH_INFO"] == "/upload":
                return [b"%d %d" % (number, len(environ["wsgi.input"].read()))]
            return self._parts(number, environ["PATH_INFO"])

        return WsgiHandler(app, self.options)

    def _parts(self, number: int, path: str) -> Iterator[bytes]:
        yield b"%d " % number
        if path == "/slow":
            self._wait()
        yield acting()

    def _wait(self) -> None:
        self.inside += 1
        self.gate.wait(10)
        self.inside -= 1

    async def _lifespan(self, number: int, scope: Any, receive: Any, send: Any) -> None:
        assert acting() == b"%d " % number
        scope["state"]["number"] = number
        for event in ("startup", "shutdown"):
            assert (await receive())["type"] == f"lifespan.{event}"
            self.events.append((event, number))
            assert acting() == b"%d " % number
            await send({"type": f"lifespan.{event}.complete"})


async def _later() -> bytes:
    await asyncio.sleep(0)
    return acting()


async def _echo(number: int, receive: Any, send: Any) -> None:
    await receive()
    await send({"type": "websocket.accept"})
    while (message := await receive())["type"] == "websocket.receive":
        await send({"type": "websocket.send", "text": f"{number} {acting().decode()}{message['text']}"})


def version(headers: Any, body: bytes) -> int:
    """Which generation an answer is of; fails where it is of two."""
    said = int(dict(headers)[b"x-version"])
    assert {int(word) for word in body.split()} == {said}, (said, body)
    return said
