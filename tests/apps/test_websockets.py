"""WebSockets of real frameworks, with a real client."""

from contextlib import ExitStack

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

STARLETTE = """
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocketDisconnect


async def echo(websocket):
    if websocket.query_params.get("denied"):
        await websocket.send_denial_response(PlainTextResponse("not you", 401))
        return
    await websocket.accept(subprotocol="chat", headers=[(b"x-user", b"ann")])
    try:
        while (text := await websocket.receive_text()) != "bye":
            await websocket.send_text(text)
    except WebSocketDisconnect as gone:
        print("gone with", gone.code, flush=True)
        return
    await websocket.close(4000, "as you wish")


app = Starlette(routes=[WebSocketRoute("/echo", echo)])
"""

FASTAPI = """
from fastapi import Depends, FastAPI, WebSocket, WebSocketException

app = FastAPI()


async def user(websocket: WebSocket):
    if websocket.query_params.get("denied"):
        raise WebSocketException(1008)
    return "ann"


@app.websocket("/echo")
async def echo(websocket: WebSocket, name: str = Depends(user)):
    await websocket.accept(subprotocol="chat", headers=[(b"x-user", name.encode())])
    async for text in websocket.iter_text():
        if text == "bye":
            await websocket.close(4000, "as you wish")
            return
        await websocket.send_text(text)
"""

QUART = """
from quart import Quart, abort, websocket

app = Quart(__name__)


@app.websocket("/echo")
async def echo():
    if websocket.args.get("denied"):
        abort(401)
    await websocket.accept(headers={"x-user": "ann"}, subprotocol="chat")
    while (text := await websocket.receive()) != "bye":
        await websocket.send(text)
    await websocket.close(4000, "as you wish")
"""


@pytest.fixture(scope="module", params=[STARLETTE, FASTAPI, QUART], ids=["starlette", "fastapi", "quart"])
def url(request, serve):
    client = serve(request.param, "--worker-class", "asgi")
    return f"ws://{client.base_url.host}:{client.base_url.port}/echo"


def test_a_conversation(url):
    with connect(url, subprotocols=["v0", "chat"]) as client:
        assert client.subprotocol == "chat"
        assert client.response.headers["x-user"] == "ann"
        for text in ("one", "x" * 100_000, ""):
            client.send(text)
            assert client.recv(timeout=10) == text
        client.send("bye")
        with pytest.raises(ConnectionClosed) as closed:
            client.recv(timeout=10)
        assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (4000, "as you wish")


def test_a_refusal(url):
    with pytest.raises(InvalidStatus) as refused:
        connect(f"{url}?denied=1")
    assert refused.value.response.status_code in (401, 403)


def test_many_at_once(url):
    with ExitStack() as stack:
        clients = [stack.enter_context(connect(url, subprotocols=["chat"])) for _ in range(50)]
        for number, client in enumerate(clients):
            client.send(f"hello {number}")
        for number, client in enumerate(clients):
            assert client.recv(timeout=10) == f"hello {number}"
