"""FastAPI: a dependency with yield, a background task, and server-sent events."""

import asyncio
import logging
import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Annotated

from fastapi import BackgroundTasks, Depends, FastAPI
from fastapi.responses import StreamingResponse
from pydantic import BaseModel

log = logging.getLogger(__name__)


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[dict[str, str]]:
    yield {"greeting": "hello"}


app = FastAPI(title="FastAPI under hornbeamd", lifespan=lifespan)


def database() -> Iterator[sqlite3.Connection]:
    """A connection for one request: made before it, closed after it, whatever happens."""
    connection = sqlite3.connect(":memory:", check_same_thread=False)
    try:
        yield connection
    finally:
        connection.close()


class Sum(BaseModel):
    a: int
    b: int


@app.post("/sum")
def add(numbers: Sum, database: Annotated[sqlite3.Connection, Depends(database)], tasks: BackgroundTasks):
    (result,) = database.execute("select ? + ?", (numbers.a, numbers.b)).fetchone()
    tasks.add_task(log.warning, "summed %d and %d", numbers.a, numbers.b)
    return {"sum": result}


@app.get("/ticks")
async def ticks(count: int = 5) -> StreamingResponse:
    """Server-sent events: `curl -N` shows them as they come."""

    async def events() -> AsyncIterator[str]:
        for number in range(count):
            yield f"data: {number}\n\n"
            await asyncio.sleep(0.2)

    return StreamingResponse(events(), media_type="text/event-stream")
