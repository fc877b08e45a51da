"""Sentence embeddings over HTTP: an ASGI application whose model is loaded in the processes of a pool.

POST /embed   {"text": "..."}                    its vector
POST /rank    {"text": "...", "among": ["..."]}  these, the nearest in meaning first
GET /stats                                       what the cache did
"""

import asyncio
import json

from hornbeam_erlang.aio import execute
from hornbeam_ml import cache_stats
from hornbeam_ml.aio import cached_inference

LONGEST = 64 * 1024


async def embed(text):
    return await execute("embeddings", "encode", text)


async def vector(text):
    """The vector of *text*, computed once for all workers."""
    return await cached_inference(embed, text, cache_prefix="embeddings")


async def application(scope, receive, send):
    if scope["type"] != "http":
        raise NotImplementedError(scope["type"])
    route = ROUTES.get((scope["method"], scope["path"]))
    try:
        status, answer = (404, {"error": "nothing here"}) if route is None else (200, await route(receive))
    except (ValueError, KeyError, TypeError) as error:
        status, answer = 400, {"error": f"{type(error).__name__}: {error}"}
    body = json.dumps(answer).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def embed_text(receive):
    asked = await read(receive)
    model = await execute("embeddings", "describe")
    return {"model": model, "vector": [float(number) for number in await vector(text_of(asked["text"]))]}


async def rank(receive):
    asked = await read(receive)
    texts = [text_of(text) for text in (asked["text"], *asked["among"])]
    first, *others = await asyncio.gather(*map(vector, texts))
    near = [(sum(float(a) * float(b) for a, b in zip(first, other, strict=True))) for other in others]
    ranked = sorted(zip(asked["among"], near, strict=True), key=lambda pair: -pair[1])
    return {"ranked": [{"text": text, "near": round(value, 4)} for text, value in ranked]}


async def stats(receive):
    return cache_stats()


async def read(receive):
    body = b""
    while True:
        message = await receive()
        body += message.get("body", b"")
        if len(body) > LONGEST:
            raise ValueError(f"more than {LONGEST} bytes")
        if not message.get("more_body"):
            return json.loads(body)


def text_of(value):
    if not isinstance(value, str) or not value.strip():
        raise TypeError("a text is expected")
    return value


ROUTES = {("POST", "/embed"): embed_text, ("POST", "/rank"): rank, ("GET", "/stats"): stats}
