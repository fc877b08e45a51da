"""WebSockets through the daemon: draining, reload, and a worker that is replaced."""

from __future__ import annotations

import os
import selectors
import signal
import time
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.support.daemon import Daemon, alive
from tests.support.websocket import TEXT, RawWebSocket, frame

APP = """
import os

VERSION = "one"


async def application(scope, receive, send):
    if scope["type"] != "websocket":
        raise NotImplementedError(scope["type"])
    await receive()
    await send({"type": "websocket.accept"})
    await send({"type": "websocket.send", "text": f"{VERSION} {os.getpid()}"})
    while (message := await receive())["type"] == "websocket.receive":
        await send({"type": "websocket.send", "text": message["text"]})
    with open("ends", "a") as file:
        file.write(f"{os.getpid()} {message['code']}\\n")
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "app.py").write_text(APP)
    return tmp_path


def daemon(folder: Path, *args: str, workers: int = 1) -> Daemon:
    options = ("--worker-class", "asgi", "--workers", str(workers), *args)
    return Daemon("app:application", *options, folder=folder, ready=workers)


def greeted(daemon: Daemon) -> tuple[RawWebSocket, str, int]:
    """A WebSocket, and the version and the process that serve it."""
    client = RawWebSocket(("127.0.0.1", daemon.port), 15.0)
    client.open()
    version, pid = str(client.read_message()).split()
    return client, version, int(pid)


def test_sigterm_closes_with_1012_and_the_applications_see_it(folder: Path) -> None:
    with daemon(folder) as hornbeamd, ExitStack() as stack:
        clients = [stack.enter_context(greeted(hornbeamd)[0]) for _ in range(20)]
        pid = hornbeamd.workers()[0]
        hornbeamd.signal(signal.SIGTERM)
        assert [client.read_close() for client in clients] == [(1012, "service restart")] * 20
        assert hornbeamd.wait_ended() == 0
        assert (folder / "ends").read_text().splitlines() == [f"{pid} 1012"] * 20


def test_new_processes_serve_new_ones_by_new_code_and_the_old_are_closed(folder: Path) -> None:
    with daemon(folder, "--no-reload-in-place") as hornbeamd:
        old, version, pid = greeted(hornbeamd)
        with old:
            assert version == "one"
            (folder / "app.py").write_text(APP.replace('VERSION = "one"', 'VERSION = "two!"'))
            hornbeamd.signal(signal.SIGHUP)
            hornbeamd.wait_log("reload complete")
            new, version, new_pid = greeted(hornbeamd)
            with new:
                assert version == "two!"
                assert new_pid != pid
                assert old.read_close() == (1012, "service restart")
                hornbeamd.wait(lambda: not alive(pid), "the old worker stays")
                new.send(frame(TEXT, b"still here"))
                assert new.read_message() == "still here"


def test_closes_are_spread_over_time(folder: Path) -> None:
    """Ten thousand clients that all come back in one moment would be the next outage."""
    with daemon(folder, "--no-reload-in-place") as hornbeamd, ExitStack() as stack:
        clients = [stack.enter_context(greeted(hornbeamd)[0]) for _ in range(30)]
        hornbeamd.signal(signal.SIGHUP)
        ends = []
        with selectors.DefaultSelector() as selector:
            for client in clients:
                selector.register(client.socket, selectors.EVENT_READ, client)
            while selector.get_map():
                for key, _ in selector.select(15):
                    assert key.data.read_close()[0] == 1012
                    ends.append(time.monotonic())
                    selector.unregister(key.fileobj)
        assert ends[-1] - ends[0] > 0.5


def test_a_worker_that_dies_takes_its_websockets_with_it_and_a_new_one_serves(folder: Path) -> None:
    with daemon(folder) as hornbeamd:
        client, _, pid = greeted(hornbeamd)
        with client:
            os.kill(pid, signal.SIGKILL)
            client.expect_end()
        hornbeamd.wait_log("worker ready", count=2)
        again, _, new_pid = greeted(hornbeamd)
        with again:
            assert new_pid != pid
