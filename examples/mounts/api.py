"""The interface of the site: an ASGI application that does not know where it is mounted."""

import json

NOTES = {"alice": ["buy milk"], "bob": []}


async def app(scope, receive, send):
    if scope["type"] != "http":
        raise NotImplementedError(scope["type"])
    place = scope["path"].removeprefix(scope["root_path"])
    user = dict(scope["headers"])[b"x-user"].decode()
    if place == "/notes":
        await answer(send, 200, {"user": user, "notes": NOTES[user]})
    else:
        await answer(send, 404, {"error": f"nothing at {place}"})


async def answer(send, status, value):
    body = json.dumps(value).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
