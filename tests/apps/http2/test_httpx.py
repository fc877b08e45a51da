"""HTTP/2 as httpx speaks it."""

import asyncio
import hashlib

import httpx
import pytest

from tests.apps.http2.conftest import BLOCK, TOGETHER
from tests.support.waiting import wait_until


@pytest.fixture
def client(server):
    with httpx.Client(**server.httpx()) as client:
        yield client


def test_an_answer_says_its_version(client, server):
    answer = client.get("/hello")
    assert (answer.http_version, answer.status_code, answer.text) == ("HTTP/2", 200, "hello")
    assert answer.headers["x-kind"] == server.interface
    assert "connection" not in answer.headers  # RFC 9113, section 8.2.2


def test_a_body_comes_back_as_it_went(client):
    body = BLOCK * 3 + b"and a rest"
    assert client.post("/echo", content=body).content == body
    assert client.post("/echo", content=iter([b"in ", b"", b"parts"])).content == b"in parts"


def test_an_upload_beyond_every_window_is_whole(client):
    """RFC 9113, section 5.2: without updates of the windows it would stop after 64 KiB."""
    answer = client.put("/digest", content=(BLOCK for _ in range(64)))
    assert answer.json() == {"length": len(BLOCK) * 64, "sha256": hashlib.sha256(BLOCK * 64).hexdigest()}


def test_a_download_beyond_every_window_is_whole(client):
    found = hashlib.sha256()
    with client.stream("GET", "/large", params={"blocks": 128}) as answer:
        for chunk in answer.iter_raw():
            found.update(chunk)
    assert found.digest() == hashlib.sha256(BLOCK * 128).digest()


def test_what_has_no_body_has_none_and_the_connection_goes_on(client):
    head = client.head("/hello")
    assert (head.status_code, head.content, head.headers["content-length"]) == (200, b"", "5")
    for code in (204, 304):
        answer = client.get(f"/status/{code}")
        assert (answer.status_code, answer.content, answer.headers["etag"]) == (code, b"", '"one"')
    assert client.get("/hello").text == "hello"


def test_early_hints_leave_the_answer_alone(client):
    answer = client.get("/hints")
    assert (answer.status_code, answer.text) == (200, "hinted")


@pytest.mark.parametrize("server", ["asgi-plain", "asgi-tls"], indirect=True)
def test_trailers_leave_the_answer_alone(client):
    answer = client.get("/trailers")
    assert (answer.status_code, answer.text) == (200, "with trailers")


def test_many_streams_of_one_connection_are_kept_apart(server):
    async def scenario():
        async with httpx.AsyncClient(**server.httpx()) as client:
            bodies = [b"%d " % number * number for number in range(1, 201)]
            answers = await asyncio.gather(*(client.post("/echo", content=body) for body in bodies))
            assert [answer.content for answer in answers] == bodies

    asyncio.run(scenario())


def test_streams_of_one_connection_run_at_once(server):
    async def scenario():
        async with httpx.AsyncClient(**server.httpx()) as client:
            answers = await asyncio.gather(*(client.get("/meet") for _ in range(TOGETHER)))
            assert [answer.text for answer in answers] == ["met"] * TOGETHER

    asyncio.run(scenario())


def test_an_application_learns_that_the_client_has_gone(client, server):
    before = int(client.get("/gone").text)
    other = httpx.Client(**server.httpx())
    with other, other.stream("GET", "/endless") as answer:
        assert next(answer.iter_raw())
    wait_until(lambda: int(client.get("/gone").text) == before + 1, explain="the application goes on")
