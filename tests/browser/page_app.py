"""A page, streams that wait or are cut, and a WebSocket that says how it came."""

import asyncio

PAGE = b"<!doctype html><title>Page</title><link rel=icon href=data:,><p>Hello"
HTML = [(b"content-type", b"text/html")]

go_on = asyncio.Event()
gone = 0


async def app(scope, receive, send):
    if scope["type"] == "websocket":
        await echo(scope, receive, send)
    else:
        await _PATHS.get(scope["path"], page)(receive, send)


async def page(receive, send):
    await answer(send, PAGE, HTML)


async def length(receive, send):
    """How much it was sent."""
    found, more = 0, True
    while more:
        message = await receive()
        found, more = found + len(message["body"]), message["more_body"]
    await answer(send, b"%d" % found)


async def parts(receive, send):
    """One part, and when somebody asks for /go_on another."""
    await begin(send)
    await send({"type": "http.response.body", "body": b"first", "more_body": True})
    await go_on.wait()
    await send({"type": "http.response.body", "body": b"second"})


async def release(receive, send):
    go_on.set()
    await answer(send)


async def endless(receive, send):
    """Sends until the client goes, and counts that."""
    global gone
    await receive()
    left = asyncio.ensure_future(receive())
    await begin(send)
    while not left.done():
        await send({"type": "http.response.body", "body": bytes(1024), "more_body": True})
        await asyncio.wait([left], timeout=0.01)
    gone += 1


async def how_many_are_gone(receive, send):
    await answer(send, b"%d" % gone)


async def echo(scope, receive, send):
    await receive()
    await send({"type": "websocket.accept"})
    while (message := await receive())["type"] == "websocket.receive":
        if message.get("text") is not None:
            told = f"{scope['scheme']} {scope['http_version']} {message['text']}"
            await send({"type": "websocket.send", "text": told})
        else:
            await send({"type": "websocket.send", "bytes": message["bytes"]})


async def begin(send, headers=()):
    await send({"type": "http.response.start", "status": 200, "headers": headers})


async def answer(send, body=b"", headers=()):
    await begin(send, headers)
    await send({"type": "http.response.body", "body": body})


_PATHS = {
    "/endless": endless,
    "/go_on": release,
    "/gone": how_many_are_gone,
    "/length": length,
    "/parts": parts,
}
