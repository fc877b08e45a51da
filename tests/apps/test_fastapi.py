"""FastAPI: dependencies with yield, background tasks, server-sent events; and examples/fastapi_app."""

from contextlib import ExitStack

import pytest

from tests.apps.conftest import EXAMPLES, client_of, curl
from tests.support.daemon import Daemon
from tests.support.waiting import wait_until

APP = '''
import asyncio
from collections import defaultdict
from contextlib import asynccontextmanager
from contextvars import ContextVar
from typing import Annotated

from fastapi import BackgroundTasks, Depends, FastAPI, File, Form, Request, UploadFile
from fastapi.responses import StreamingResponse

who = ContextVar("who", default="nobody")
told = []


@asynccontextmanager
async def lifespan(app):
    ticker = asyncio.create_task(tick())
    yield {"started": True}
    ticker.cancel()


async def tick():
    """A task of the startup goes on in the loop that serves."""
    await asyncio.sleep(0.05)
    told.append("tick")


app = FastAPI(lifespan=lifespan)


async def resource():
    told.append("open")
    try:
        yield "resource"
    except ValueError:
        told.append("rolled back")
        raise
    finally:
        told.append("close")


def sync_resource():
    yield "sync"
    told.append("sync close")


@app.get("/depends")
async def depends(a: Annotated[str, Depends(resource)], b: Annotated[str, Depends(sync_resource)]):
    return [a, b]


@app.get("/fails")
async def fails(a: Annotated[str, Depends(resource)]):
    raise ValueError("secret of the house")


@app.get("/told")
async def what_was_told():
    return told


gates = defaultdict(asyncio.Event)


@app.post("/background")
async def background(tasks: BackgroundTasks):
    async def later():
        await gates["background"].wait()
        told.append("background")
    tasks.add_task(later)
    return "answered"


@app.post("/gate/{name}")
async def open_gate(name: str):
    gates[name].set()


@app.get("/events")
async def events():
    async def parts():
        try:
            yield "data: first\\n\\n"
            await gates["events"].wait()
            yield "data: second\\n\\n"
            while True:  # it is by sending that one learns that nobody listens any more
                yield ": still here\\n\\n"
                await asyncio.sleep(0.01)
        finally:
            told.append("stream closed")
    return StreamingResponse(parts(), media_type="text/event-stream")


@app.get("/context")
async def context(request: Request):
    before = who.get()
    who.set("me")
    await asyncio.sleep(0)
    return [before, who.get(), request.state.started, asyncio.current_task() is not None]


@app.post("/upload")
async def upload(title: Annotated[str, Form()], file: Annotated[UploadFile, File()]):
    return {"title": title, "name": file.filename, "size": len(await file.read())}


@app.get("/timeout")
async def time_out():
    """anyio's scopes cancel by the identity of the task."""
    try:
        async with asyncio.timeout(0.01):
            await asyncio.sleep(60)
    except TimeoutError:
        return "timed out"


@app.get("/items/{number}")
def item(number: int, q: str = ""):
    return {"number": number, "q": q}
'''


@pytest.fixture(scope="module")
def client(serve):
    return serve(APP, "--worker-class", "asgi")


def told(client):
    return client.get("/told").json()


def test_dependencies_are_closed_after_the_answer(client):
    assert client.get("/depends").json() == ["resource", "sync"]
    wait_until(lambda: {"open", "close", "sync close"} <= set(told(client)))


def test_dependencies_see_the_exception(client):
    answer = client.get("/fails")
    assert answer.status_code == 500
    assert "secret" not in answer.text
    wait_until(lambda: told(client)[-2:] == ["rolled back", "close"])


def test_a_background_task_does_not_hold_up_the_answer(client):
    assert client.post("/background").json() == "answered"
    assert "background" not in told(client)
    client.post("/gate/background")
    wait_until(lambda: "background" in told(client))


def test_events_arrive_when_they_are_sent(client):
    with client.stream("GET", "/events") as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        lines = answer.iter_lines()
        assert next(lines) == "data: first"
        client.post("/gate/events")
        assert next(lines) == ""
        assert next(lines) == "data: second"
        assert "stream closed" not in told(client)
    wait_until(lambda: "stream closed" in told(client))


def test_every_request_has_a_context_of_its_own(client):
    for _ in range(3):
        assert client.get("/context").json() == ["nobody", "me", True, True]


def test_tasks_of_the_startup_run_in_the_serving_loop(client):
    wait_until(lambda: "tick" in told(client))


def test_cancel_scopes(client):
    assert client.get("/timeout").json() == "timed out"


def test_an_upload(client):
    answer = client.post("/upload", data={"title": "t"}, files={"file": ("a.bin", b"x" * 2_000_000)})
    assert answer.json() == {"title": "t", "name": "a.bin", "size": 2_000_000}


def test_validation(client):
    assert client.get("/items/5?q=%C3%A9%20%2B").json() == {"number": 5, "q": "é +"}
    assert client.get("/items/five").status_code == 422
    assert client.get("/openapi.json").json()["openapi"].startswith("3.")


def test_the_example(tmp_path):
    with ExitStack() as stack:
        folder = EXAMPLES / "fastapi_app"
        daemon = stack.enter_context(Daemon("-c", str(folder / "sys.toml"), folder=tmp_path))
        client = client_of(daemon, stack)
        assert client.post("/sum", json={"a": 2, "b": 40}).json() == {"sum": 42}
        assert curl(f"{daemon.url}/ticks?count=2") == b"data: 0\n\ndata: 1\n\n"
        daemon.wait_log("summed 2 and 40")
