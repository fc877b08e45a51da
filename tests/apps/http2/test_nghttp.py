"""HTTP/2 as nghttp, nghttp2's client, speaks it; it shows every frame."""

import hashlib
import json
import re
import subprocess

import pytest

from tests.apps.http2.conftest import BLOCK, TOGETHER

pytestmark = pytest.mark.clients

_COLOUR = re.compile(r"\x1b\[[0-9;]*m")


@pytest.fixture
def nghttp(server):
    def run(path: str, *arguments: str) -> bytes:
        done = subprocess.run(
            ["nghttp", "--timeout=20s", "--no-verify-peer", *arguments, server.url + path],
            capture_output=True,
            check=True,
        )
        return done.stdout

    return run


@pytest.fixture
def frames(nghttp):
    """What nghttp says of the frames and fields that it sent and received, line by line."""

    def run(path: str, *arguments: str) -> list[str]:
        said = nghttp(path, "--verbose", "--null-out", *arguments).decode()
        return [_COLOUR.sub("", line).strip() for line in said.splitlines()]

    return run


def test_a_body_comes(nghttp):
    assert nghttp("/hello") == b"hello"


def test_the_connection_begins_and_ends_in_order(frames):
    """RFC 9113, sections 3.4 and 6.5.3."""
    lines = frames("/hello")
    assert any("recv SETTINGS frame" in line for line in lines)
    assert any("recv SETTINGS frame <length=0, flags=0x01" in line for line in lines)
    assert any(line.endswith("recv (stream_id=13) :status: 200") for line in lines)
    assert not any("recv GOAWAY" in line or "recv RST_STREAM" in line for line in lines)


def test_an_upload_beyond_every_window_is_whole(nghttp, tmp_path):
    body = BLOCK * 64
    (tmp_path / "body").write_bytes(body)
    answer = json.loads(nghttp("/digest", "-H:method: PUT", f"--data={tmp_path / 'body'}"))
    assert answer == {"length": len(body), "sha256": hashlib.sha256(body).hexdigest()}


def test_a_request_with_trailers_is_whole(nghttp, tmp_path):
    """RFC 9113, section 8.1."""
    (tmp_path / "body").write_bytes(b"with trailers")
    assert nghttp("/echo", f"--data={tmp_path / 'body'}", "--trailer=x-checksum: 42") == b"with trailers"


def test_small_windows_hold_the_server_back_and_lose_nothing(nghttp):
    """RFC 9113, section 6.9."""
    assert nghttp("/large?blocks=8", "--window-bits=10", "--connection-window-bits=16") == BLOCK * 8


def test_padding_is_no_part_of_a_body(nghttp, tmp_path):
    """RFC 9113, section 6.1."""
    (tmp_path / "body").write_bytes(BLOCK)
    assert nghttp("/echo", "--padding=200", f"--data={tmp_path / 'body'}") == BLOCK


def test_fields_that_need_a_continuation_are_read(frames):
    """RFC 9113, section 6.10. nghttp tells the length of the whole block, which is more than a frame may hold."""
    lines = frames("/hello", "--continuation")
    (length,) = (int(found[1]) for line in lines if (found := re.search(r"send HEADERS frame <length=(\d+)", line)))
    assert length > 16384
    assert any(line.endswith(":status: 200") for line in lines)


def test_early_hints_come_before_the_answer(frames):
    """RFC 8297."""
    lines = frames("/hints")
    statuses = [line.rpartition(" ")[2] for line in lines if "recv" in line and ":status:" in line]
    assert statuses == ["103", "200"]
    assert any(line.endswith("link: </style.css>; rel=preload; as=style") for line in lines)


@pytest.mark.parametrize("server", ["asgi-plain", "asgi-tls"], indirect=True)
def test_trailers_come_behind_the_body(frames):
    """RFC 9113, section 8.1."""
    received = [line for line in frames("/trailers") if " recv " in line]
    body = next(index for index, line in enumerate(received) if "recv DATA frame <length=13" in line)
    assert any(line.endswith("x-checksum: 42") for line in received[body:])


def test_many_streams_of_one_connection_are_answered(frames):
    lines = frames("/large?blocks=2", "--multiply=100")
    assert sum(line.endswith(":status: 200") for line in lines) == 100


def test_streams_of_one_connection_run_at_once(nghttp):
    assert nghttp("/meet", f"--multiply={TOGETHER}") == b"met" * TOGETHER


@pytest.mark.parametrize("server", ["asgi-plain", "asgi-tls"], indirect=True)
def test_a_push_is_promised_and_kept(frames):
    """RFC 9113, section 8.4."""
    received = [line for line in frames("/push") if " recv " in line]
    promised = next(index for index, line in enumerate(received) if "recv PUSH_PROMISE frame" in line)
    assert any(line.endswith("recv (stream_id=2) :status: 200") for line in received[promised:])
    assert any("recv DATA frame <length=5," in line and "stream_id=2>" in line for line in received[promised:])


@pytest.mark.parametrize("server", ["asgi-plain", "asgi-tls"], indirect=True)
def test_a_client_that_wants_no_push_gets_none(frames):
    """RFC 9113, section 6.5.2."""
    lines = frames("/push", "--no-push")
    assert any(line.endswith(":status: 200") for line in lines)
    assert not any("recv PUSH_PROMISE" in line for line in lines)
