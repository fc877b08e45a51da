"""An ASGI application (ASGI 3) without a framework."""

import asyncio
import time


async def application(scope, receive, send):
    if scope["type"] == "lifespan":
        await lifespan(scope, receive, send)
    elif scope["type"] == "http":
        await respond(scope, send)


async def lifespan(scope, receive, send):
    """Runs once in each worker, in the loop that serves requests."""
    while True:
        message = await receive()
        if message["type"] == "lifespan.startup":
            if "state" in scope:
                scope["state"]["started"] = time.monotonic()
            await send({"type": "lifespan.startup.complete"})
        else:
            await send({"type": "lifespan.shutdown.complete"})
            return


async def respond(scope, send):
    if scope["path"] == "/":
        uptime = time.monotonic() - scope.get("state", {}).get("started", time.monotonic())
        await answer(send, 200, f"Hello from ASGI, {uptime:.0f} s after the start of this worker\n".encode())
    elif scope["path"] == "/count":
        await count(send)
    else:
        await answer(send, 404, b"Nothing here\n")


async def answer(send, status, body):
    headers = [(b"content-type", b"text/plain"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def count(send):
    """Each number leaves the server when it is sent."""
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
    for number in range(1, 6):
        await send({"type": "http.response.body", "body": f"{number}\n".encode(), "more_body": True})
        await asyncio.sleep(0.2)
    await send({"type": "http.response.body", "body": b""})
