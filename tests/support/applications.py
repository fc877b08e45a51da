"""ASGI and WSGI applications served in this process, with what the server logged meanwhile."""

import inspect
import logging
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from wsgiref.validate import validator

from hornbeamd.apps.asgi import AsgiHandler
from hornbeamd.apps.hooks import Hooks
from hornbeamd.apps.site import Site
from hornbeamd.apps.site import handler as make_handler
from hornbeamd.apps.wsgi import WsgiHandler
from hornbeamd.config.mounts import Mount
from hornbeamd.config.options import Options
from hornbeamd.http.exchange import Handler
from tests.support.inprocess import InProcess, serving
from tests.support.raw import DEADLINE, RawClient, Response
from tests.support.waiting import wait_until

PARSERS = ("httptools", "h11")

Scope = dict[str, Any]
Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


class Records(logging.Handler):
    """Log records, as they come."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)

    def named(self, text: str) -> list[logging.LogRecord]:
        """The records whose message holds *text*."""
        return [record for record in self.records if text in record.getMessage()]

    def wait_for(self, text: str) -> logging.LogRecord:
        """The first record whose message holds *text*, once it is there."""
        return wait_until(lambda: self.named(text), explain=lambda: [r.getMessage() for r in self.records])[0]


@dataclass(slots=True)
class Served:
    """A served application, and how to talk to it."""

    running: InProcess
    logs: Records

    def client(self, deadline: float = DEADLINE) -> RawClient:
        return RawClient(self.running.address, deadline)

    def get(self, target: str = "/", *fields: str, method: str = "GET") -> Response:
        """One request on a connection of its own."""
        with self.client() as client:
            return client.request(head(target, *fields, method=method), method)


def head(target: str = "/", *fields: str, method: str = "GET", version: str = "1.1") -> bytes:
    """The bytes of a request's head, with a Host."""
    lines = [f"{method} {target} HTTP/{version}", "Host: a", *fields, "", ""]
    return "\r\n".join(lines).encode("latin-1")


def post(body: bytes, *fields: str, target: str = "/") -> bytes:
    """The bytes of a POST with *body* and its Content-Length."""
    return head(target, f"Content-Length: {len(body)}", *fields, method="POST") + body


@contextmanager
def served(handler: Handler, options: Options, loop: str = "uvloop", **more: Any) -> Iterator[Served]:
    """Serve *handler*. Anything that goes wrong in the event loop itself fails the test."""
    logs = Records()
    root = logging.getLogger()
    root.addHandler(logs)
    area = logging.getLogger("hornbeamd")
    level = area.level
    area.setLevel(logging.DEBUG)
    try:
        with serving(handler, options, loop=loop, **more) as running:
            yield Served(running, logs)
    finally:
        area.setLevel(level)
        root.removeHandler(logs)
    loop_errors = [record for record in logs.records if record.name == "asyncio"]
    assert not loop_errors, [(record.getMessage(), record.exc_info and record.exc_info[1]) for record in loop_errors]


@contextmanager
def asgi(
    app: Any,
    loop: str = "uvloop",
    listener: Any = None,
    row: Any = None,
    total: Callable[[], int] | None = None,
    on_recycle: Callable[[], None] | None = None,
    meter: Any = None,
    **options: Any,
) -> Iterator[Served]:
    """Serve an ASGI application; *options* are those of the configuration. No lifespan unless they say so."""
    chosen = Options(worker_class="asgi", workers=1, **{"lifespan": "off", **options})
    handler = AsgiHandler(app, chosen)
    more = {"listener": listener, "row": row, "total": total, "on_recycle": on_recycle, "meter": meter}
    with served(handler, chosen, loop, **more) as running:
        yield running


@contextmanager
def wsgi(
    app: Any,
    loop: str = "uvloop",
    listener: Any = None,
    checked: bool = True,
    **options: Any,
) -> Iterator[Served]:
    """Serve a WSGI application inside ``wsgiref.validate``; not *checked* where it breaks the rules on purpose."""
    chosen = Options(worker_class="wsgi", workers=1, **options)
    handler = WsgiHandler(validator(app) if checked else app, chosen)
    with served(handler, chosen, loop, listener=listener) as running:
        yield running


@contextmanager
def site(mounts: dict[str, Any], hooks: Hooks | None = None, loop: str = "uvloop", **options: Any) -> Iterator[Served]:
    """Serve applications and folders, by prefix: a path is a folder, a pair an application with keys of its mount.

    An application alone is ASGI when it is a coroutine function, else WSGI.
    """
    tables, apps = [], []
    for prefix, what in mounts.items():
        app, keys = what if isinstance(what, tuple) else (what, {})
        if isinstance(app, Path):
            tables.append(Mount(prefix=prefix, directory=str(app)))
            apps.append(None)
            continue
        kind = "asgi" if inspect.iscoroutinefunction(app) else "wsgi"
        tables.append(Mount(prefix=prefix, app="a:b", **{"worker_class": kind, **keys}))
        apps.append(app if kind == "asgi" else validator(app))
    chosen = Options(mounts=tuple(tables), workers=1, **{"lifespan": "off", **options})
    made = Site(tuple(apps), hooks)
    with served(make_handler(made, chosen), chosen, loop, on_refuse=made.watch) as running:
        yield running


# --- ASGI, in short ---


async def read_body(receive: Receive) -> bytes:
    """The whole request body; ConnectionError when the client goes before its end."""
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] != "http.request":
            raise ConnectionError(message["type"])
        body += message["body"]
        if not message["more_body"]:
            return bytes(body)


async def answer(
    send: Send,
    body: bytes = b"",
    status: int = 200,
    headers: Iterable[tuple[bytes, bytes]] = (),
    **more: Any,
) -> None:
    """Send a whole response in the two usual messages."""
    await begin(send, status, headers)
    await send({"type": "http.response.body", "body": body, **more})


async def begin(send: Send, status: int = 200, headers: Iterable[tuple[bytes, bytes]] = (), **more: Any) -> None:
    """Send the start of a response."""
    await send({"type": "http.response.start", "status": status, "headers": headers, **more})


async def part(send: Send, body: bytes, more_body: bool = True) -> None:
    """Send a part of a response's body."""
    await send({"type": "http.response.body", "body": body, "more_body": more_body})
