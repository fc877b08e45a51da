"""Long tasks that run in a pool and tell how far they are: an ASGI application.

POST /tasks    {"below": 1000000}    begins to count primes; gives the id of the task
GET /tasks/ID                        how far it is
WebSocket /tasks/ID                  the same, again with each step
"""

import asyncio
import json
import secrets
from pathlib import Path

from work import KEPT, tell, topic

from hornbeam_erlang import CallError
from hornbeam_erlang.aio import await_result, execute_async, state_get, state_set, subscribe

PAGE = Path(__file__).with_name("page.html").read_bytes()
MOST = 50_000_000

followers = set()
"""Tasks of the event loop are kept by whoever makes them."""


async def application(scope, receive, send):
    if scope["type"] == "websocket":
        await watch(scope["path"].removeprefix("/tasks/"), receive, send)
    elif scope["type"] == "http":
        await respond(scope, receive, send)
    else:
        raise NotImplementedError(scope["type"])


async def respond(scope, receive, send):
    method, path = scope["method"], scope["path"]
    if (method, path) == ("GET", "/"):
        await answer(send, 200, PAGE, b"text/html; charset=utf-8")
    elif (method, path) == ("POST", "/tasks"):
        await begin(receive, send)
    elif method == "GET" and (progress := await state_get(topic(path.removeprefix("/tasks/")))):
        await answer(send, 200, json.dumps(progress).encode())
    else:
        await answer(send, 404, b'{"error": "nothing here"}')


async def begin(receive, send):
    """Begin a task, which runs on when this request is answered, and give its id."""
    try:
        below = json.loads((await receive()).get("body", b""))["below"]
        if type(below) is not int or not 2 <= below <= MOST:
            raise ValueError(below)
    except (ValueError, KeyError, TypeError):
        await answer(send, 400, f'{{"error": "below is a number from 2 to {MOST}"}}'.encode())
        return
    task = secrets.token_urlsafe(12)
    await state_set(topic(task), {"state": "waiting", "percent": 0}, ttl=KEPT)
    follower = asyncio.create_task(follow(task, await execute_async("primes", "count", task, below)))
    followers.add(follower)
    follower.add_done_callback(followers.discard)
    await answer(send, 202, json.dumps({"task": task}).encode())


async def follow(task, id):
    """See a task to its end: where the process at work on it dies, somebody has to tell."""
    try:
        await await_result(id, timeout_ms=KEPT * 1000)
    except CallError as error:
        tell(task, {"state": "failed", "percent": 0, "error": str(error)})


async def watch(task, receive, send):
    """Tell whoever looks how far a task is, until it is over. Many may look, in any worker, also later."""
    await receive()
    async with subscribe(topic(task)) as steps:  # first, so that no step is between what is kept and what comes
        progress = await state_get(topic(task))
        if progress is None:
            await send({"type": "websocket.close"})  # 403: there is no such task
            return
        await send({"type": "websocket.accept"})
        try:
            await send({"type": "websocket.send", "text": json.dumps(progress)})
            while progress["state"] in ("waiting", "running"):
                step = await steps.get_async()
                if step["state"] != "running" or step["percent"] > progress["percent"]:
                    progress = step
                    await send({"type": "websocket.send", "text": json.dumps(progress)})
            await send({"type": "websocket.close", "code": 1000})
        except OSError:
            pass  # they look no more


async def answer(send, status, body, kind=b"application/json"):
    headers = [(b"content-type", kind), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
