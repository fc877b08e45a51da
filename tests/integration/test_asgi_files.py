"""ASGI extension "http.response.pathsend": files by sendfile(2)."""

import asyncio
import socket
from pathlib import Path

import pytest

from tests.support.applications import answer, asgi, begin, head, part
from tests.support.raw import BadResponse
from tests.support.waiting import wait_until

both_loops = pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
PATTERN = bytes(range(251))


def make(folder: Path, size: int) -> tuple[Path, bytes]:
    path = folder / "file"
    content = (PATTERN * (size // len(PATTERN) + 1))[:size]
    path.write_bytes(content)
    return path, content


def sending(path: Path, status: int = 200, headers=()):
    async def app(scope, receive, send):
        if scope["path"] == "/probe":
            await answer(send, b"probe")
            return
        await begin(send, status, headers)
        await send({"type": "http.response.pathsend", "path": str(path)})

    return app


@both_loops
@pytest.mark.parametrize("size", [0, 1, 1000, 65_536, 5_000_000])
@pytest.mark.parametrize("announced", [False, True])
def test_a_file_is_sent_as_it_is(tmp_path: Path, loop: str, size: int, announced: bool):
    """Byte for byte, with its length, and the connection goes on."""
    path, content = make(tmp_path, size)
    fields = [(b"content-length", b"%d" % size)] if announced else []
    with asgi(sending(path, headers=fields), loop) as served, served.client() as client:
        for _ in range(2):
            client.send(head() + head("/probe"))
            response = client.read_response()
            assert response.header(b"content-length") == b"%d" % size
            assert response.body == content
            assert client.read_response().body == b"probe"


@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_a_file_to_both_versions(tmp_path: Path, version: str):
    path, content = make(tmp_path, 100_000)
    with asgi(sending(path)) as served, served.client() as client:
        assert client.request(head(version=version)).body == content


@pytest.mark.parametrize(("method", "status"), [("HEAD", 200), ("GET", 304), ("GET", 204)])
def test_no_file_where_there_is_no_body(tmp_path: Path, method: str, status: int):
    """RFC 9110, section 6.4.1."""
    path, _ = make(tmp_path, 1000)
    with asgi(sending(path, status)) as served, served.client() as client:
        client.send(head(method=method) + head("/probe"))
        assert client.read_response(method).status == status
        assert client.read_response().body == b"probe"


@pytest.mark.parametrize("announced", [999, 1001])
def test_a_file_of_another_length_than_announced(tmp_path: Path, announced: int):
    """RFC 9110, section 8.6: refused while that is possible, and nothing of it in the next answer."""
    path, _ = make(tmp_path, 1000)
    fields = [(b"content-length", b"%d" % announced)]
    with asgi(sending(path, headers=fields)) as served, served.client() as client:
        client.send(head() + head("/probe"))
        assert client.read_response().status == 500
        assert client.read_response().body == b"probe"
        assert served.logs.wait_for("application raised ResponseError")


def test_a_file_behind_other_parts_is_framed_or_refused(tmp_path: Path):
    """A chunked response stays one: raw file bytes in it would be read as chunk sizes."""
    path, content = make(tmp_path, 1000)

    async def app(scope, receive, send):
        if scope["path"] == "/probe":
            await answer(send, b"probe")
            return
        await begin(send)
        await part(send, b"first")
        await send({"type": "http.response.pathsend", "path": str(path)})

    with asgi(app) as served, served.client() as client:
        client.send(head() + head("/probe"))
        try:
            response = client.read_response()
        except BadResponse:
            assert b"probe" not in client.read_to_end()
            assert PATTERN[:50] not in client.buffer
        else:
            assert response.body == b"first" + content
            assert client.read_response().body == b"probe"


def test_several_files_at_once(tmp_path: Path):
    """Each connection has its own place in the same file."""
    path, content = make(tmp_path, 3_000_000)
    with asgi(sending(path)) as served:
        clients = [served.client() for _ in range(8)]
        try:
            for client in clients:
                client.send(head())
            for client in clients:
                assert client.read_response().body == content
        finally:
            for client in clients:
                client.close()


@both_loops
@pytest.mark.parametrize("half_closed", [False, True])
def test_a_client_that_goes_in_the_middle_of_a_file(tmp_path: Path, loop: str, half_closed: bool):
    """send() raises OSError, and nothing is left; the loop does not read from one that had closed its side before."""
    path, _ = make(tmp_path, 32_000_000)
    errors = []

    async def app(scope, receive, send):
        await begin(send)
        try:
            await send({"type": "http.response.pathsend", "path": str(path)})
        except OSError as error:
            errors.append(error)
            raise

    before = len(list(Path("/proc/self/fd").iterdir()))
    with asgi(app, loop) as served:
        server = served.running.server
        with served.client() as client:
            client.send(head())
            assert client.socket.recv(100)
            if half_closed:
                client.socket.shutdown(socket.SHUT_WR)
                wait_until(lambda: all(connection.exchange.gone for connection in server.connections))
        wait_until(lambda: errors)
        wait_until(lambda: not server.connections and not server.in_flight)
        assert not served.logs.named("application")
    wait_until(lambda: len(list(Path("/proc/self/fd").iterdir())) <= before)


def test_a_listener_beside_a_file_hears_of_the_disconnect(tmp_path: Path):
    """receive() that waits while a file is sent is told that the client has gone."""
    path, _ = make(tmp_path, 32_000_000)
    events = []

    async def app(scope, receive, send):
        await receive()

        async def listen():
            events.append(await receive())

        listener = asyncio.create_task(listen())
        await begin(send)
        try:
            await send({"type": "http.response.pathsend", "path": str(path)})
        finally:
            await listener

    with asgi(app) as served:
        with served.client() as client:
            client.send(head())
            assert client.socket.recv(100)
        wait_until(lambda: events)
    assert events[0]["type"] == "http.disconnect"


def test_a_file_over_a_unix_socket(tmp_path: Path):
    path, content = make(tmp_path, 1_000_000)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(tmp_path / "s"))
    listener.listen()
    with asgi(sending(path), listener=listener) as served:
        assert served.get().body == content
