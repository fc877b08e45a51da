"""Quart: an ASGI framework with a lifespan, a request body and a stream of its own making."""

import pytest

APP = """
import asyncio
from quart import Quart, jsonify, request, session

app = Quart(__name__)
app.secret_key = "x"
app.config["MAX_CONTENT_LENGTH"] = 8_000_000
started = []
gate = asyncio.Event()


@app.before_serving
async def begin():
    started.append(asyncio.get_running_loop())


@app.get("/")
async def home():
    return jsonify(loop=started[0] is asyncio.get_running_loop(), started=len(started))


@app.post("/form")
async def form():
    fields, files = await request.form, await request.files
    return jsonify(name=fields["name"], size=len(files["file"].read()))


@app.put("/body")
async def body():
    size = 0
    async for data in request.body:
        size += len(data)
    return jsonify(size=size)


@app.get("/stream")
async def stream():
    async def parts():
        yield b"first\\n"
        await gate.wait()
        yield b"second\\n"
    return parts(), 200, {"Content-Type": "text/plain"}


@app.post("/gate")
async def go():
    gate.set()
    return "", 204


@app.get("/broken")
async def broken():
    raise RuntimeError("secret of the house")


@app.get("/login")
async def login():
    session["user"] = 3
    return ""


@app.get("/user")
async def user():
    return str(session["user"])
"""


@pytest.fixture(scope="module")
def client(serve):
    return serve(APP, "--worker-class", "asgi")


def test_startup_ran_once_in_the_serving_loop(client):
    assert client.get("/").json() == {"loop": True, "started": 1}


def test_a_form_with_a_file(client):
    answer = client.post("/form", data={"name": "Zoë"}, files={"file": b"x" * 300_000})
    assert answer.json() == {"name": "Zoë", "size": 300_000}


def test_a_body_in_chunks(client):
    assert client.put("/body", content=iter([b"x" * 100_000] * 20)).json() == {"size": 2_000_000}


def test_a_body_above_the_limit_of_the_application(client):
    assert client.put("/body", content=b"x" * 9_000_000).status_code == 413


def test_a_stream(client):
    with client.stream("GET", "/stream") as answer:
        lines = answer.iter_lines()
        assert next(lines) == "first"
        client.post("/gate")
        assert list(lines) == ["second"]


def test_what_went_wrong_stays_in_the_house(client):
    answer = client.get("/broken")
    assert answer.status_code == 500
    assert "secret" not in answer.text


def test_a_session(client):
    client.get("/login")
    assert client.get("/user").text == "3"
