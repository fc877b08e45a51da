"""FastAPI, with what it has no name for (trailers, early hints, push) as plain ASGI beside it."""

import asyncio
import hashlib

from fastapi import FastAPI, Request, Response
from fastapi.responses import StreamingResponse

BLOCK = bytes(range(256)) * 256
TOGETHER = 4

api = FastAPI()
present = 0
met = asyncio.Event()
gone = 0


@api.get("/hello")
@api.head("/hello")
def hello():
    return Response(b"hello", media_type="text/plain", headers={"x-kind": "asgi"})


@api.post("/echo")
async def echo(request: Request):
    return StreamingResponse(request.stream(), media_type="application/octet-stream")


@api.put("/digest")
async def digest(request: Request):
    found, length = hashlib.sha256(), 0
    async for chunk in request.stream():
        found.update(chunk)
        length += len(chunk)
    return {"length": length, "sha256": found.hexdigest()}


@api.get("/large")
async def large(blocks: int):
    async def parts():
        for _ in range(blocks):
            yield BLOCK

    return StreamingResponse(parts(), media_type="application/octet-stream")


@api.get("/status/{code}")
async def status(code: int):
    return Response(status_code=code, headers={"etag": '"one"'})


@api.get("/meet")
async def meet():
    """Answers when so many requests are in hand at once."""
    global present
    present += 1
    if present == TOGETHER:
        met.set()
    await asyncio.wait_for(met.wait(), 10)
    return Response(b"met")


@api.get("/endless")
async def endless():
    async def parts():
        global gone
        try:
            while True:
                yield BLOCK
                await asyncio.sleep(0)
        finally:
            gone += 1

    return StreamingResponse(parts(), media_type="application/octet-stream")


@api.get("/gone")
async def how_many_are_gone():
    return gone


async def app(scope, receive, send):
    raw = (
        {"/hints": hints, "/push": push, "/trailers": trailers}.get(scope["path"]) if scope["type"] == "http" else None
    )
    await (raw or api)(scope, receive, send)


async def hints(scope, receive, send):
    await send({"type": "http.response.early_hint", "links": [b"</style.css>; rel=preload; as=style"]})
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
    await send({"type": "http.response.body", "body": b"hinted"})


async def trailers(scope, receive, send):
    headers = [(b"content-type", b"text/plain"), (b"trailer", b"x-checksum")]
    await send({"type": "http.response.start", "status": 200, "headers": headers, "trailers": True})
    await send({"type": "http.response.body", "body": b"with trailers"})
    await send({"type": "http.response.trailers", "headers": [(b"x-checksum", b"42")]})


async def push(scope, receive, send):
    if "http.response.push" in scope["extensions"]:
        await send({"type": "http.response.push", "path": "/hello", "headers": []})
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
    await send({"type": "http.response.body", "body": b"pushed"})
