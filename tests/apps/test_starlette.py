"""Starlette: its kinds of responses, middleware, and what they ask of the server."""

import hashlib

import httpx
import pytest

from tests.support.waiting import wait_until

APP = """
import asyncio, hashlib
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.responses import FileResponse, JSONResponse, PlainTextResponse, RedirectResponse, StreamingResponse
from starlette.routing import Mount, Route


class Mark(BaseHTTPMiddleware):
    async def dispatch(self, request, call_next):
        response = await call_next(request)
        response.headers["x-marked"] = "yes"
        return response


state = {"left": False}


async def show(request):
    return JSONResponse({
        "path": request.url.path, "raw": request.scope["raw_path"].decode(), "query": request.url.query,
        "version": request.scope["http_version"], "client": request.client.host, "port": request.url.port,
        "root": request.scope["root_path"], "state": request.state.greeting,
    })


async def digest(request):
    sha = hashlib.sha256()
    async for chunk in request.stream():
        sha.update(chunk)
    return PlainTextResponse(sha.hexdigest())


async def stream(request):
    async def parts():
        for number in range(100):
            yield f"{number:>1000}"
    return StreamingResponse(parts(), media_type="text/plain")


async def wait(request):
    while not await request.is_disconnected():
        await asyncio.sleep(0.01)
    state["left"] = True


async def left(request):
    return JSONResponse(state["left"])


async def file(request):
    return FileResponse(__file__)


async def broken(request):
    raise RuntimeError("secret of the house")


async def half(request):
    async def parts():
        yield "half"
        raise RuntimeError("secret of the house")
    return StreamingResponse(parts())


async def redirect(request):
    response = RedirectResponse("/show", status_code=303)
    response.set_cookie("a", "1")
    response.set_cookie("b", "2")
    return response


@asynccontextmanager
async def lifespan(app):
    yield {"greeting": "hello"}


routes = [Route("/" + each.__name__, each, methods=["GET", "POST"]) for each in
          (show, digest, stream, wait, left, file, broken, half, redirect)]
app = Starlette(
    routes=[*routes, Mount("/inner", routes=[Route("/show", show)])],
    middleware=[Middleware(Mark), Middleware(GZipMiddleware, minimum_size=500)],
    lifespan=lifespan,
)
plain = Starlette(routes=routes, lifespan=lifespan)
"""


@pytest.fixture(scope="module")
def client(serve):
    return serve(APP, "--worker-class", "asgi")


def test_the_request_as_it_was_sent(client):
    seen = client.get("/show?a=%20&b").json()
    assert seen.pop("port") == client.base_url.port
    assert seen == {
        "path": "/show",
        "raw": "/show",
        "query": "a=%20&b",
        "version": "1.1",
        "client": "127.0.0.1",
        "root": "",
        "state": "hello",
    }
    assert client.get("/inner/show").json()["root"] == "/inner"


def test_a_root_path(serve):
    client = serve(APP, "--worker-class", "asgi", "--root-path", "/shop")
    assert client.get("/show").json()["root"] == "/shop"


def test_a_streamed_body(client):
    parts = [bytes([number]) * 9000 for number in range(200)]
    assert client.post("/digest", content=iter(parts)).text == hashlib.sha256(b"".join(parts)).hexdigest()


def test_a_streamed_answer_within_middleware_and_gzip(client):
    answer = client.get("/stream")
    assert answer.headers["x-marked"] == "yes"
    assert answer.headers["content-encoding"] == "gzip"
    assert answer.text == "".join(f"{number:>1000}" for number in range(100))


@pytest.fixture(scope="module")
def plain(serve):
    """Without middleware."""
    return serve(APP + "\napp = plain\n", "--worker-class", "asgi")


def test_a_client_that_leaves_is_noticed(plain):
    with pytest.raises(httpx.ReadTimeout):
        plain.get("/wait", timeout=0.2)
    wait_until(lambda: plain.get("/left").json())


def test_a_file_and_a_range_of_it(client):
    answer = client.get("/file", headers={"Accept-Encoding": "identity"})
    assert answer.text == APP
    part = client.get("/file", headers={"Range": "bytes=0-9", "Accept-Encoding": "identity"})
    assert (part.status_code, part.text) == (206, APP[:10])


def test_what_went_wrong_stays_in_the_house(client):
    answer = client.get("/broken")
    assert answer.status_code == 500
    assert "secret" not in answer.text


def test_an_answer_that_breaks_off_does_not_look_whole(plain):
    """Starlette's BaseHTTPMiddleware would end it as if it were whole."""
    with pytest.raises(httpx.RemoteProtocolError):
        plain.get("/half")
    assert plain.get("/show").status_code == 200


def test_a_redirect_with_two_cookies(client):
    answer = client.get("/redirect")
    assert (answer.status_code, answer.headers["location"]) == (303, "/show")
    assert [each.split(";")[0] for each in answer.headers.get_list("set-cookie")] == ["a=1", "b=2"]
