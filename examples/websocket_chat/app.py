"""A chat over WebSocket: an ASGI application (ASGI 3) without a framework, in as many workers as there are.

What is said in a room is published to its topic, and reaches its people in all workers.
"""

import asyncio
import json
import string
from pathlib import Path
from urllib.parse import parse_qs

from hornbeam_erlang.aio import publish, subscribe

PAGE = Path(__file__).with_name("page.html").read_bytes()
ROOM = set(string.ascii_letters + string.digits + "_-")
LONGEST = 2000
BEHIND = 100


async def application(scope, receive, send):
    if scope["type"] == "websocket":
        await chat(scope, receive, send)
    elif scope["type"] == "http":
        await respond(scope, send)
    else:
        raise NotImplementedError(scope["type"])  # no lifespan


async def respond(scope, send):
    found = scope["path"] == scope.get("root_path", "") + "/"
    body = PAGE if found else b"Nothing here\n"
    kind = b"text/html; charset=utf-8" if found else b"text/plain"
    headers = [(b"content-type", kind), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200 if found else 404, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def chat(scope, receive, send):
    """One person in a room: /chat/ROOM?name=NAME. Who gives no name is not let in (403)."""
    await receive()
    name = parse_qs(scope["query_string"].decode()).get("name", [""])[0].strip()[:40]
    start, _, room = scope["path"].removeprefix(scope.get("root_path", "")).rpartition("/")
    if start != "/chat" or not room or not ROOM.issuperset(room) or not name:
        await send({"type": "websocket.close"})
        return
    topic = f"chat:{room}"
    async with subscribe(topic, queue_size=BEHIND) as news:
        await say(topic, name, "joined")
        await send({"type": "websocket.accept"})
        writer = asyncio.create_task(deliver(news, send))
        try:
            while (message := await receive())["type"] == "websocket.receive":
                text = message.get("text") or ""
                if text.strip():
                    await say(topic, name, "said", text[:LONGEST])
        finally:
            writer.cancel()
    await say(topic, name, "left")


async def say(topic, name, event, text=""):
    """Tell everybody in the room. Nobody waits for the slowest: messages wait in a queue for each."""
    await publish(topic, {"name": name, "event": event, "text": text})


async def deliver(news, send):
    """Send what is said in the room to one of its people. Who is so far behind that news were dropped is sent away."""
    try:
        async for message in news:
            if news.missed:
                await send({"type": "websocket.close", "code": 1013, "reason": "too slow"})
                return
            await send({"type": "websocket.send", "text": json.dumps(message)})
    except OSError:
        pass  # they have left, which receive() tells as well
