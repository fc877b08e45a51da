"""Processes that the application forks, and applications that end the event loop they run in."""

from __future__ import annotations

import errno
import os
import signal
import socket
import urllib.request
from contextlib import suppress
from pathlib import Path

import pytest

from tests.support.daemon import Daemon, alive

ASGI_APP = """
import asyncio, os, signal


def hired():
    pid = os.fork()
    if not pid:
        while True:
            signal.pause()
    return pid


async def application(scope, receive, send):
    if scope["path"] == "/stop":
        asyncio.get_running_loop().call_soon(asyncio.get_running_loop().stop)
    if scope["path"] == "/task":
        asyncio.get_running_loop().call_soon(lambda: 1 / 0)
    body = str(hired() if scope["path"] == "/fork" else os.getpid()).encode()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]})
    await send({"type": "http.response.body", "body": body})
"""

WSGI_APP = """
import os, signal


def hired():
    pid = os.fork()
    if not pid:
        while True:
            signal.pause()
    return pid


def application(environ, start_response):
    if environ["PATH_INFO"] == "/system":
        os.system("readlink /proc/$$/fd/* > descriptors")
    body = str(hired() if environ["PATH_INFO"] == "/fork" else os.getpid()).encode()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]
"""


def daemon(folder: Path, interface: str, *args: str) -> Daemon:
    (folder / "app.py").write_text(ASGI_APP if interface == "asgi" else WSGI_APP)
    return Daemon("app", "--worker-class", interface, "--workers", "1", *args, folder=folder, ready=1)


def get(url: str) -> int:
    with urllib.request.urlopen(url, timeout=10) as answer:
        return int(answer.read())


def refused(address: tuple[str, int]) -> bool:
    with socket.socket() as client:
        return client.connect_ex(address) == errno.ECONNREFUSED


def listeners(port: int) -> list[str]:
    """Who holds a socket that listens there: process, and what it was started as."""
    rows = [row.split() for row in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    sockets = {f"socket:[{row[9]}]" for row in rows if row[3] == "0A" and int(row[1].partition(":")[2], 16) == port}
    found = []
    for link in Path("/proc").glob("[0-9]*/fd/*"):
        with suppress(OSError):
            if str(link.readlink()) in sockets:
                found.append(f"{link.parts[2]} {(link.parents[1] / 'cmdline').read_text()}")
    return found


@pytest.mark.parametrize("loop", ["uvloop", "asyncio"])
@pytest.mark.parametrize("interface", ["asgi", "wsgi"])
class TestForkedChild:
    def test_a_signal_to_it_is_not_taken_for_one_to_the_worker(self, tmp_path: Path, interface: str, loop: str) -> None:
        with daemon(tmp_path, interface, "--loop", loop) as hornbeamd:
            worker, child = get(hornbeamd.url), get(f"{hornbeamd.url}/fork")
            os.kill(child, signal.SIGTERM)
            hornbeamd.wait(lambda: not alive(child), "the child ignores SIGTERM")
            assert get(hornbeamd.url) == worker
            assert "worker leaves" not in hornbeamd.log

    def test_it_keeps_no_connection_open_and_no_address_taken(self, tmp_path: Path, interface: str, loop: str) -> None:
        with daemon(tmp_path, interface, "--loop", loop) as hornbeamd:
            address = ("127.0.0.1", hornbeamd.port)
            with socket.create_connection(address, timeout=5) as client:
                client.sendall(b"GET /fork HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
                with client.makefile("rb") as answer:
                    child = int(answer.read().rpartition(b"\n")[2])
            family = (hornbeamd.pid, *hornbeamd.workers(), hornbeamd.spawner())
            for pid in family:
                os.kill(pid, signal.SIGKILL)
            hornbeamd.wait(lambda: not any(map(alive, family)), "some live on")
            assert alive(child)
            # Not at once: threads hold what their process had for a moment after it is seen to have ended.
            hornbeamd.wait(lambda: refused(address), lambda: listeners(hornbeamd.port))


def test_a_program_gets_no_socket_and_no_memory_of_ours(tmp_path: Path) -> None:
    """``os.system`` closes nothing, and runs none of Python's hooks."""
    with daemon(tmp_path, "wsgi") as hornbeamd:
        get(f"{hornbeamd.url}/system")
    held = (tmp_path / "descriptors").read_text()
    assert "/dev/null" in held
    assert "socket:" not in held
    assert "memfd:" not in held


def test_a_loop_that_the_application_stops_is_told_in_the_event_log(tmp_path: Path) -> None:
    with daemon(tmp_path, "asgi") as hornbeamd:
        worker = get(f"{hornbeamd.url}/stop")
        hornbeamd.wait_log(f"critical worker 1[{worker}] worker: the event loop ended")
        hornbeamd.wait_log("    RuntimeError: Event loop stopped before Future completed.")
        hornbeamd.wait_log("worker ready", count=2)
        assert get(hornbeamd.url) != worker
        assert "\nTraceback" not in hornbeamd.log


def test_what_raises_in_the_background_is_in_the_event_log(tmp_path: Path) -> None:
    with daemon(tmp_path, "asgi") as hornbeamd:
        worker = get(f"{hornbeamd.url}/task")
        hornbeamd.wait_log(f"error   worker 1[{worker}] worker: Exception in callback")
        hornbeamd.wait_log("    ZeroDivisionError")
        assert "\nTraceback" not in hornbeamd.log
