"""HTTP/2 as curl speaks it."""

import hashlib
import json
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.apps.http2.conftest import BLOCK, Server

pytestmark = pytest.mark.clients


@dataclass
class Answer:
    version: str
    status: int
    head: str
    """All that came before, between and behind the body, in lines as HTTP/1.1 has them."""
    body: bytes


def command(server: Server) -> list[str]:
    """curl, and what it has to know of the server."""
    how = ["--http2-prior-knowledge"] if server.authority is None else ["--http2", "--cacert", str(server.authority)]
    return ["curl", "--silent", "--show-error", "--max-time", "20", "--noproxy", "*", *how]


@pytest.fixture
def curl(server: Server, tmp_path: Path):
    def run(path: str, *arguments: str, data: bytes = b"") -> Answer:
        head = tmp_path / "head"
        tell = ["--dump-header", str(head), "--write-out", "%{stderr}%{http_version} %{response_code}"]
        done = subprocess.run(
            [*command(server), *tell, *arguments, server.url + path], input=data, capture_output=True, check=True
        )
        version, status = done.stderr.decode().split()
        return Answer(version, int(status), head.read_bytes().decode(), done.stdout)

    return run


def test_an_answer_says_its_version(curl, server):
    answer = curl("/hello")
    assert (answer.version, answer.status, answer.body) == ("2", 200, b"hello")
    assert f"x-kind: {server.interface}\r\n" in answer.head


def test_a_body_comes_back_as_it_went(curl):
    body = BLOCK + b"and a rest"
    assert curl("/echo", "--data-binary", "@-", data=body).body == body


def test_an_upload_of_unknown_length_is_whole(curl):
    body = BLOCK * 64
    answer = curl("/digest", "--upload-file", "-", data=body)
    assert json.loads(answer.body) == {"length": len(body), "sha256": hashlib.sha256(body).hexdigest()}


def test_a_download_beyond_every_window_is_whole(curl):
    assert curl("/large?blocks=128").body == BLOCK * 128


def test_a_slow_reader_gets_everything(curl):
    """It reads less than its windows would let it, so the server has to wait for updates."""
    assert curl("/large?blocks=16", "--limit-rate", "4M").body == BLOCK * 16


def test_what_has_no_body_has_none(curl):
    assert curl("/hello", "--head").head.startswith("HTTP/2 200 \r\n")
    assert (curl("/status/204").status, curl("/status/304").status) == (204, 304)


def test_early_hints_come_before_the_answer(curl):
    """RFC 8297."""
    answer = curl("/hints")
    hint, _, final = answer.head.partition("\r\n\r\n")
    assert hint.splitlines() == ["HTTP/2 103 ", "link: </style.css>; rel=preload; as=style"]
    assert final.startswith("HTTP/2 200 ")
    assert answer.body == b"hinted"


@pytest.mark.parametrize("server", ["asgi-plain", "asgi-tls"], indirect=True)
def test_trailers_come_behind_the_body(curl):
    answer = curl("/trailers")
    assert answer.body == b"with trailers"
    assert "x-checksum: 42\r\n" in answer.head.partition("\r\n\r\n")[2]


@pytest.mark.parametrize("server", ["asgi-tls", "wsgi-tls"], indirect=True)
def test_one_connection_serves_many_transfers_at_once(server):
    """Over TLS only: curl 7.88 cannot use a connection of prior knowledge twice, with no server."""
    transfers = [("--output", "/dev/null", f"{server.url}/large?blocks={number}") for number in range(1, 21)]
    tell = ["--parallel", "--write-out", "%{size_download} %{num_connects}\n"]
    words = [word for transfer in transfers for word in transfer]
    said = subprocess.run([*command(server), *tell, *words], capture_output=True, check=True, text=True).stdout
    sizes, connects = zip(*(map(int, line.split()) for line in said.splitlines()), strict=True)
    assert sorted(sizes) == [len(BLOCK) * number for number in range(1, 21)]
    assert sum(connects) == 1
