"""The applications under load. Each answers exactly what its workload in workloads.py expects."""

import time
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
StartResponse = Callable[[str, list[tuple[str, str]]], Any]

HELLO = b"Hello, World!"
CHUNK = b"x" * 65536
CHUNKS = 16
JSON = {"message": "Hello, World!"}
JSON_TEXT = b'{"message":"Hello, World!"}'

_PLAIN = [(b"content-type", b"text/plain"), (b"content-length", b"13")]


async def hello(scope: Scope, receive: Receive, send: Send) -> None:
    """ASGI: 13 bytes."""
    if scope["type"] != "http":
        raise NotImplementedError(scope["type"])
    await send({"type": "http.response.start", "status": 200, "headers": _PLAIN})
    await send({"type": "http.response.body", "body": HELLO})


async def post(scope: Scope, receive: Receive, send: Send) -> None:
    """ASGI: read the whole body, answer its length."""
    if scope["type"] != "http":
        raise NotImplementedError(scope["type"])
    length, more = 0, True
    while more:
        message = await receive()
        length += len(message.get("body", b""))
        more = message.get("more_body", False)
    answer = b"%d" % length
    headers = [(b"content-type", b"text/plain"), (b"content-length", b"%d" % len(answer))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": answer})


async def chunks(scope: Scope, receive: Receive, send: Send) -> None:
    """ASGI: 1 MiB in pieces of 64 KiB, length declared."""
    if scope["type"] != "http":
        raise NotImplementedError(scope["type"])
    length = b"%d" % (len(CHUNK) * CHUNKS)
    headers = [(b"content-type", b"application/octet-stream"), (b"content-length", length)]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    for left in range(CHUNKS - 1, -1, -1):
        await send({"type": "http.response.body", "body": CHUNK, "more_body": left > 0})


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    """ASGI: a WebSocket that sends each text back."""
    if scope["type"] != "websocket":
        raise NotImplementedError(scope["type"])
    await receive()
    await send({"type": "websocket.accept"})
    while (message := await receive())["type"] == "websocket.receive":
        await send({"type": "websocket.send", "text": message["text"]})


def wsgi_hello(environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
    """WSGI: 13 bytes."""
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "13")])
    return [HELLO]


def wsgi_blocking(environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
    """WSGI: 13 bytes after a blocking call of 5 ms, as a database would take."""
    time.sleep(0.005)
    return wsgi_hello(environ, start_response)


def _starlette() -> Any:
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import JSONResponse
    from starlette.routing import Route

    async def answer(request: Request) -> JSONResponse:
        return JSONResponse(JSON)

    return Starlette(routes=[Route("/json", answer)])


def _flask() -> Any:
    from flask import Flask, Response, jsonify

    app = Flask(__name__)

    @app.get("/json")
    def answer() -> Response:
        return jsonify(JSON)

    return app


_FRAMEWORKS: dict[str, Callable[[], Any]] = {"starlette": _starlette, "flask": _flask}


def __getattr__(name: str) -> Any:
    """Frameworks are imported by the servers that run them only: `benchmarks.apps:flask`."""
    if name not in _FRAMEWORKS:
        raise AttributeError(name)
    globals()[name] = app = _FRAMEWORKS[name]()
    return app
