"""A daemon that is started with standard descriptors closed."""

from __future__ import annotations

import http.client
import socket
from pathlib import Path

import pytest

from tests.support.daemon import Daemon

APP = """
import os, sys


def application(environ, start_response):
    print("printed", flush=True)
    print("printed", file=sys.stderr, flush=True)
    links = [os.readlink(f"/proc/{pid}/fd/{fd}") for pid in (os.getpid(), os.getppid()) for fd in (0, 1, 2)]
    start_response("200 OK", [])
    return [" ".join(links).encode()]
"""


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_what_is_printed_goes_to_no_socket(tmp_path: Path, closed: str) -> None:
    (tmp_path / "app.py").write_text(APP)
    command = ["--workers", "1", "--bind", "unix:app.sock", "--log-file", "event.log"]
    prefix = ("sh", "-c", f'exec "$@" {closed}', "sh")
    with Daemon("app", *command, folder=tmp_path, bind=None, prefix=prefix) as hornbeamd:
        log = tmp_path / "event.log"
        hornbeamd.wait(lambda: log.exists() and " serving" in log.read_text(), hornbeamd.log)
        used = get(tmp_path / "app.sock")
        assert [link for link in used if link.startswith("socket:") or "memfd" in link] == []
        hornbeamd.process.terminate()
        assert hornbeamd.wait_ended() == 0
    assert "Traceback" not in hornbeamd.log


def get(path: Path) -> list[str]:
    connection = http.client.HTTPConnection("localhost")
    connection.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.sock.connect(str(path))
        connection.request("GET", "/", headers={"Connection": "close"})
        with connection.getresponse() as answer:
            return answer.read().decode().split()
    finally:
        connection.close()
