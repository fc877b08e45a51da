"""The application under load. Its version is stated by three of its modules, and edited while it serves."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import bodies
import heads
from fastapi import FastAPI, Request, Response, WebSocket, WebSocketDisconnect
from fastapi.responses import StreamingResponse


@asynccontextmanager
async def lifespan(application: FastAPI) -> AsyncIterator[None]:
    application.state.ticking = asyncio.create_task(_tick())
    yield
    application.state.ticking.cancel()


async def _tick() -> None:
    """Work in the background, as applications have."""
    application.state.ticks = 0
    while True:
        await asyncio.sleep(0.1)
        application.state.ticks += 1


application = FastAPI(lifespan=lifespan)


@application.get("/")
async def home() -> Response:
    return Response(bodies.text(), headers=heads.fields())


@application.get("/waits")
async def waits() -> Response:
    fields = heads.fields()
    await asyncio.sleep(0.05)
    return Response(bodies.text(), headers=fields)


@application.get("/thread")
def thread() -> Response:
    return Response(bodies.text(), headers=heads.fields())


@application.get("/download")
async def download() -> StreamingResponse:
    return StreamingResponse(bodies.pieces(), headers=heads.fields())


@application.post("/upload")
async def upload(request: Request) -> Response:
    fields, size = heads.fields(), 0
    async for piece in request.stream():
        size += len(piece)
    return Response(bodies.text(), headers={**fields, "x-size": str(size)})


@application.websocket("/echo")
async def echo(websocket: WebSocket) -> None:
    await websocket.accept()
    try:
        while True:
            await websocket.send_text(f"{heads.VERSION} {await websocket.receive_text()}")
    except WebSocketDisconnect:
        pass
