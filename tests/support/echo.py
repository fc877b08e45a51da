"""A handler that answers every complete request with what it saw of it, as JSON, and remembers it."""

import json
from dataclasses import dataclass, field
from typing import Any

from hornbeamd.http.exchange import Exchange


@dataclass(slots=True)
class Echo:
    """Serves exchanges without any application in between."""

    capacity = 0

    seen: list[dict[str, Any]] = field(default_factory=list)
    """The requests that arrived whole, in order."""
    begun: int = 0
    broken: int = 0
    """Requests whose client went away, or broke off, before the body was complete."""

    def handle(self, exchange: Exchange) -> None:
        self.begun += 1
        if exchange.path == "/unread":
            self._answer(exchange, b"(unread)")
            return
        body = bytearray()

        def go_on() -> None:
            body.extend(exchange.take())
            if exchange.body_complete:
                exchange.notify = None
                self._answer(exchange, bytes(body))
            elif exchange.gone:
                exchange.notify = None
                self.broken += 1
                exchange.fail(400)

        exchange.notify = go_on
        if not exchange.body_complete:
            exchange.want_body()
        go_on()

    def _answer(self, exchange: Exchange, body: bytes) -> None:
        request = {
            "method": exchange.method,
            "target": exchange.target.decode("latin-1"),
            "body": body.decode("latin-1"),
            "headers": [[name.decode("latin-1"), value.decode("latin-1")] for name, value in exchange.headers],
        }
        self.seen.append(request)
        text = json.dumps(request).encode()
        headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(text))]
        exchange.start(200, headers)
        exchange.write(text, False)

    async def startup(self) -> None:
        pass

    def drain(self, seconds: float) -> None:
        pass

    async def finished(self) -> None:
        pass

    async def shutdown(self) -> None:
        pass

    def stuck(self, now: float) -> str | None:
        return None
