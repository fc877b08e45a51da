"""wsgi.file_wrapper (PEP 3333, "Optional Platform-Specific File Handling"): by sendfile(2) where the kernel can."""

import gzip
import io
import os
import tempfile
from pathlib import Path

import pytest

from tests.support.applications import head, wsgi
from tests.support.raw import BadResponse
from tests.support.waiting import wait_until

TEXT = [("Content-Type", "text/plain")]
PATTERN = bytes(range(251))
both_loops = pytest.mark.parametrize("loop", ["asyncio", "uvloop"])


def make(folder: Path, size: int) -> tuple[Path, bytes]:
    path = folder / "file"
    content = (PATTERN * (size // len(PATTERN) + 1))[:size]
    path.write_bytes(content)
    return path, content


def wrapping(make_file, fields=(), opened=None):
    """An application that returns what *make_file* returns in a wrapper, and answers /probe."""

    def app(environ, start_response):
        if environ["PATH_INFO"] == "/probe":
            start_response("200 OK", TEXT)
            return [b"probe"]
        start_response("200 OK", [*TEXT, *fields])
        file = make_file()
        if opened is not None:
            opened.append(file)
        return environ["wsgi.file_wrapper"](file)

    return app


@both_loops
@pytest.mark.parametrize("size", [0, 1, 65_536, 5_000_000])
@pytest.mark.parametrize("announced", [False, True])
def test_a_file_is_sent_as_it_is_and_closed(tmp_path: Path, loop: str, size: int, announced: bool):
    """Byte for byte, with its length; the wrapper's close() closes the file; the connection goes on."""
    path, content = make(tmp_path, size)
    opened: list = []
    fields = [("Content-Length", str(size))] if announced else []
    app = wrapping(lambda: path.open("rb"), fields, opened)
    with wsgi(app, loop, checked=False) as served, served.client() as client:
        for _ in range(2):
            client.send(head() + head("/probe"))
            response = client.read_response()
            assert response.header(b"content-length") == b"%d" % size
            assert response.body == content
            assert client.read_response().body == b"probe"
        wait_until(lambda: all(file.closed for file in opened))


def test_the_kernel_copies(tmp_path: Path, monkeypatch):
    """A regular file does not pass through Python."""
    path, content = make(tmp_path, 100_000)
    calls = []
    sendfile = os.sendfile

    def counted(*arguments):
        calls.append(arguments)
        return sendfile(*arguments)

    monkeypatch.setattr(os, "sendfile", counted)
    with wsgi(wrapping(lambda: path.open("rb")), checked=False) as served:
        assert served.get().body == content
    assert calls


def test_inside_of_a_validator_the_wrapper_is_an_iterator(tmp_path: Path):
    """PEP 3333: the wrapper must be iterable, for middleware that does not know of it; close() comes through."""
    path, content = make(tmp_path, 300_000)
    opened: list = []
    with wsgi(wrapping(lambda: path.open("rb"), (), opened)) as served:
        assert served.get().body == content
        wait_until(lambda: opened[0].closed)


@pytest.mark.parametrize("offset", [1, 100_000, 299_999, 300_000, 400_000])
def test_the_rest_of_a_file_is_sent(tmp_path: Path, offset: int):
    """From where the application has left it, buffered reads counted rightly."""
    path, content = make(tmp_path, 300_000)

    def opened():
        file = path.open("rb")
        file.seek(offset - 1)
        file.read(1)
        return file

    with wsgi(wrapping(opened), checked=False) as served:
        assert served.get().body == content[offset:]


def test_no_more_than_content_length_is_sent(tmp_path: Path):
    """PEP 3333: the server sends at most so many bytes (a range of a file is sent this way)."""
    path, content = make(tmp_path, 300_000)
    app = wrapping(lambda: path.open("rb"), [("Content-Length", "1000")])
    with wsgi(app, checked=False) as served, served.client() as client:
        client.send(head() + head("/probe"))
        assert client.read_response().body == content[:1000]
        assert client.read_response().body == b"probe"


def test_a_file_shorter_than_content_length_corrupts_nothing(tmp_path: Path):
    """RFC 9110, section 8.6."""
    path, _ = make(tmp_path, 1000)
    app = wrapping(lambda: path.open("rb"), [("Content-Length", "1001")])
    with wsgi(app, checked=False) as served, served.client() as client:
        client.send(head() + head("/probe"))
        try:
            response = client.read_response()
        except BadResponse:
            assert b"probe" not in client.read_to_end()
        else:
            assert response.status == 500
            assert client.read_response().body == b"probe"
        assert any(record.levelname == "ERROR" for record in served.logs.records)


def test_a_file_that_shrinks_while_it_is_sent(tmp_path: Path):
    """The promise of the head cannot be kept: the client sees the answer cut."""
    path, _ = make(tmp_path, 32_000_000)
    with wsgi(wrapping(lambda: path.open("rb")), checked=False) as served, served.client() as client:
        client.send(head() + head("/probe"))
        assert client.socket.recv(1)
        os.truncate(path, 10_000)
        rest = client.read_to_end()
        assert len(rest) < 32_000_000
        assert b"probe" not in rest[-1000:]


@pytest.mark.parametrize("kind", ["memory", "gzip", "temporary", "spooled", "unbuffered", "pipe", "iterator"])
def test_every_kind_of_file(tmp_path: Path, kind: str):
    """What counts is what read() gives: the descriptor of a compressed file leads to other bytes."""
    path, content = make(tmp_path, 100_000)
    zipped = tmp_path / "zipped"
    with gzip.open(zipped, "wb") as file:
        file.write(content)

    def opened():
        match kind:
            case "memory":
                return io.BytesIO(content)
            case "gzip":
                return gzip.open(zipped)
            case "unbuffered":
                return path.open("rb", buffering=0)
            case "pipe":
                reader, writer = os.pipe()
                os.write(writer, content[:50_000])
                os.close(writer)
                return open(reader, "rb")
            case "iterator":
                return OnlyRead(content)
        make_temporary = tempfile.NamedTemporaryFile if kind == "temporary" else tempfile.SpooledTemporaryFile
        file = make_temporary()
        file.write(content)
        file.seek(0)
        return file

    expected = content[:50_000] if kind == "pipe" else content
    with wsgi(wrapping(opened), checked=False) as served, served.client() as client:
        for _ in range(2):
            assert client.request(head()).body == expected


class OnlyRead:
    """A file-like object as PEP 3333 has it: read() and nothing else."""

    def __init__(self, content: bytes) -> None:
        self.rest = io.BytesIO(content)

    def read(self, size: int) -> bytes:
        return self.rest.read(size)


def test_a_file_written_and_not_flushed_is_whole(tmp_path: Path):
    """What the application has written but Python still buffers belongs to the file."""

    def opened():
        file = (tmp_path / "new").open("w+b")
        file.write(b"x" * 3000)
        file.seek(1000)
        return file

    with wsgi(wrapping(opened), checked=False) as served:
        assert served.get().body == b"x" * 2000


def test_no_file_for_head(tmp_path: Path):
    path, _ = make(tmp_path, 1000)
    opened: list = []
    with wsgi(wrapping(lambda: path.open("rb"), (), opened), checked=False) as served, served.client() as client:
        client.send(head(method="HEAD") + head("/probe"))
        assert client.read_response("HEAD").status == 200
        assert client.read_response().body == b"probe"
        wait_until(lambda: opened[0].closed)


def test_a_file_behind_written_parts_is_framed(tmp_path: Path):
    """write() first and then a file: one chunked response."""
    path, content = make(tmp_path, 100_000)

    def app(environ, start_response):
        start_response("200 OK", TEXT)(b"first ")
        return environ["wsgi.file_wrapper"](path.open("rb"))

    with wsgi(app, checked=False) as served, served.client() as client:
        for _ in range(2):
            assert client.request(head()).body == b"first " + content


def test_a_client_that_goes_in_the_middle_of_a_file(tmp_path: Path):
    """The file is closed and the thread is free."""
    path, _ = make(tmp_path, 32_000_000)
    opened: list = []
    app = wrapping(lambda: path.open("rb"), (), opened)
    with wsgi(app, checked=False, threads=1) as served:
        with served.client() as client:
            client.send(head())
            assert client.socket.recv(1)
        wait_until(lambda: opened[0].closed)
        assert served.get("/probe").body == b"probe"
        assert not served.logs.named("raised")
