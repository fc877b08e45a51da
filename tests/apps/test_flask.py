"""examples/flask_app, and Flask's ways of streaming."""

import hashlib
import os
import shutil
from contextlib import ExitStack

import pytest

from tests.apps.conftest import EXAMPLES, client_of, curl
from tests.support.daemon import Daemon
from tests.support.waiting import wait_until

BIG = os.urandom(5_000_000)


CHECKED = """
from wsgiref.validate import validator
from app import app as flask
app = validator(flask.wsgi_app)
"""


@pytest.fixture(scope="module")
def clients(tmp_path_factory):
    """The example, plain and within the validator of the standard library."""
    with ExitStack() as stack:

        def start(app):
            folder = tmp_path_factory.mktemp("flask")
            shutil.copytree(EXAMPLES / "flask_app", folder, dirs_exist_ok=True)
            (folder / "checked.py").write_text(CHECKED)
            return client_of(stack.enter_context(Daemon("-c", "sys.toml", "--app", app, folder=folder)), stack)

        yield {"plain": start("app:app"), "validated": start("checked:app")}


@pytest.fixture
def plain(clients):
    return clients["plain"]


@pytest.fixture(params=["plain", "validated"])
def client(request, clients):
    return clients[request.param]


def test_json(client):
    assert client.get("/api/sum/2/40").json() == {"sum": 42}


def test_a_form(plain):
    """Not within the validator, which takes ``read()`` without a size for an error; PEP 3333 does not."""
    assert "Hello, Zoë &amp; Co!" in plain.post("/", data={"name": "Zoë & Co"}).text
    assert plain.post("/").status_code == 400


def test_routing(client):
    assert client.get("/nothing").status_code == 404
    assert client.delete("/").status_code == 405
    assert client.head("/").content == b""
    assert "OPTIONS" in client.options("/").headers["allow"]


def test_an_upload_with_a_length(client):
    answer = client.put("/upload", content=BIG).json()
    assert answer == {"size": len(BIG), "sha256": hashlib.sha256(BIG).hexdigest()}


def test_an_upload_in_chunks(client):
    chunks = (BIG[start : start + 70_001] for start in range(0, len(BIG), 70_001))
    answer = client.put("/upload", content=chunks).json()
    assert answer == {"size": len(BIG), "sha256": hashlib.sha256(BIG).hexdigest()}


def test_an_upload_by_curl(client, tmp_path):
    """Of a body so large curl first asks whether it may send it: Expect: 100-continue."""
    (tmp_path / "big").write_bytes(BIG)
    answer = curl(f"{client.base_url}/upload", tmp_path / "big")
    assert hashlib.sha256(BIG).hexdigest().encode() in answer


STREAMS = """
import queue
from flask import Flask, Response, session, stream_with_context, request, send_file

app = Flask(__name__)
app.secret_key = "x"
steps = queue.Queue()
closings = []


@app.get("/steps")
def stream():
    def parts():
        try:
            while (step := steps.get(timeout=10)) != "end":
                yield f"{request.args['q']}{step}\\n"
        finally:
            closings.append(request.args["q"])
    return Response(stream_with_context(parts()), mimetype="text/plain")


@app.get("/closed")
def closed():
    return str(closings)


@app.post("/steps")
def step():
    steps.put(request.get_json())
    return "", 204


@app.get("/cookies")
def cookies():
    session["user"] = 7
    answer = Response("two")
    answer.set_cookie("first", "1")
    answer.set_cookie("second", "2")
    return answer


@app.get("/who")
def who():
    return str(session["user"])


@app.get("/broken")
def broken():
    raise RuntimeError("secret of the house")


@app.get("/file")
def file():
    return send_file(__file__, conditional=True)
"""


@pytest.fixture(scope="module")
def streams(serve):
    return serve(STREAMS, "--threads", "4")


def test_each_part_of_a_stream_arrives_before_the_next_is_made(streams):
    streams.post("/steps", json=0)  # the head is sent with the first part (PEP 3333)
    with streams.stream("GET", "/steps?q=n") as answer:
        lines = answer.iter_lines()
        assert next(lines) == "n0"
        for number in range(1, 4):
            streams.post("/steps", json=number)
            assert next(lines) == f"n{number}"
        streams.post("/steps", json="end")
        assert list(lines) == []


def test_a_stream_whose_reader_leaves_is_closed(streams):
    streams.post("/steps", json=1)
    with streams.stream("GET", "/steps?q=left") as answer:
        next(answer.iter_lines())

    def closed():
        streams.post("/steps", json="x" * 100_000)  # it is the next write that finds the reader gone
        return "left" in streams.get("/closed").text

    wait_until(closed)


def test_cookies_and_session(streams):
    answer = streams.get("/cookies")
    assert len(answer.headers.get_list("set-cookie")) == 3
    assert streams.get("/who").text == "7"


def test_what_went_wrong_stays_in_the_house(streams):
    answer = streams.get("/broken")
    assert answer.status_code == 500
    assert "secret" not in answer.text


def test_a_file_and_a_range_of_it(streams):
    text = STREAMS.encode()
    whole = streams.get("/file")
    assert whole.content == text
    part = streams.get("/file", headers={"Range": "bytes=3-9"})
    assert (part.status_code, part.content) == (206, text[3:10])
    assert part.headers["content-range"] == f"bytes 3-9/{len(text)}"
    same = streams.get("/file", headers={"If-None-Match": whole.headers["etag"]})
    assert (same.status_code, same.content) == (304, b"")
