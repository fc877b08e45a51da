"""A chat over WebSocket: an ASGI application (ASGI 3) without a framework.

The rooms are in the memory of one worker, so this runs with one: people in another worker would not be heard.
"""

import asyncio
import json
from pathlib import Path
from urllib.parse import parse_qs

PAGE = Path(__file__).with_name("page.html").read_bytes()
LONGEST = 2000
BEHIND = 100

rooms = {}


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
    path = scope["path"].removeprefix(scope.get("root_path", ""))
    if not path.startswith("/chat/") or not name:
        await send({"type": "websocket.close"})
        return
    await send({"type": "websocket.accept"})
    room = rooms.setdefault(path, set())
    member = asyncio.Queue(BEHIND)
    room.add(member)
    writer = asyncio.create_task(deliver(member, send))
    say(room, name, "joined")
    try:
        while (message := await receive())["type"] == "websocket.receive":
            text = message.get("text") or ""
            if text.strip():
                say(room, name, "said", text[:LONGEST])
    finally:
        writer.cancel()
        room.discard(member)
        say(room, name, "left")
        if not room:
            rooms.pop(path, None)


def say(room, name, event, text=""):
    """Tell everybody in *room*. Nobody waits for the slowest: who is too far behind is sent away."""
    news = json.dumps({"name": name, "event": event, "text": text})
    for member in list(room):
        if member.full():
            room.discard(member)
            member.get_nowait()
            member.put_nowait(None)
        else:
            member.put_nowait(news)


async def deliver(member, send):
    """Send what is said in the room to one of its people, as fast as they take it."""
    try:
        while (news := await member.get()) is not None:
            await send({"type": "websocket.send", "text": news})
        await send({"type": "websocket.close", "code": 1013, "reason": "too slow"})
    except OSError:
        pass  # they have left, which receive() tells as well
