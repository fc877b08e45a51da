"""Files on streams of HTTP/2: pathsend and wsgi.file_wrapper there."""

import os
from pathlib import Path

import h2.errors
import pytest

from tests.support.applications import asgi, begin, wsgi
from tests.support.h2client import H2Client

CONTENT = bytes(range(251)) * 4000


@pytest.fixture
def path(tmp_path: Path) -> Path:
    found = tmp_path / "file"
    found.write_bytes(CONTENT)
    return found


def sending(path: Path, headers=()):
    async def app(scope, receive, send):
        await begin(send, 200, headers)
        await send({"type": "http.response.pathsend", "path": str(path)})

    return app


@pytest.mark.parametrize("window", [1000, 65535, 1 << 24])
def test_a_file_is_sent_as_the_windows_allow(path: Path, window: int):
    """RFC 9113, section 5.2."""
    with (
        asgi(sending(path)) as running,
        H2Client(running.running.address, initial_window_size=window) as client,
    ):
        streams = [client.start(), client.start()]
        client.finish(*streams)
        assert [bytes(client.bodies[stream]) for stream in streams] == [CONTENT, CONTENT]
        assert client.heads[streams[0]][b"content-length"] == b"%d" % len(CONTENT)


def test_an_empty_file(tmp_path: Path):
    (tmp_path / "empty").touch()
    with asgi(sending(tmp_path / "empty")) as running, H2Client(running.running.address) as client:
        assert client.get() == (200, b"")


def test_a_wrapped_file_is_sent(path: Path):
    def app(environ, start_response):
        start_response("200 OK", [("Content-Type", "text/plain")])
        return environ["wsgi.file_wrapper"](path.open("rb"))

    with wsgi(app, checked=False) as running, H2Client(running.running.address) as client:
        assert client.get() == (200, CONTENT)


def test_a_file_that_becomes_shorter_resets_the_stream(path: Path):
    with (
        asgi(sending(path)) as running,
        H2Client(running.running.address, initial_window_size=1000) as client,
    ):
        stream = client.start()
        while not client.bodies[stream]:
            client.read()
        os.truncate(path, 100)
        client.finish(stream)
        assert client.resets[stream] == h2.errors.ErrorCodes.INTERNAL_ERROR
        assert len(client.bodies[stream]) < len(CONTENT)


def test_a_client_that_goes_ends_the_sending(path: Path):
    with asgi(sending(path)) as running:
        with H2Client(running.running.address, initial_window_size=1000) as client:
            stream = client.start()
            while not client.bodies[stream]:
                client.read()
        with H2Client(running.running.address) as client:
            assert client.get()[1] == CONTENT
        assert running.logs.named("application raised") == []
