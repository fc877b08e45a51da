"""A reload in place: the processes and their connections stay, and the code is new; or nothing has happened at all."""

from __future__ import annotations

import os
import signal
import urllib.request
from pathlib import Path

import pytest

from tests.support.daemon import Daemon, alive
from tests.support.traffic import Traffic
from tests.support.websocket import TEXT, RawWebSocket, frame

APP = """
import asyncio, os
import words, sys

state = {"carried": 0}


def __code_change__(old):
    state["carried"] = old.state["carried"] + 1


async def ticking():
    while True:
        await asyncio.sleep(60)


async def application(scope, receive, send):
    if scope["type"] == "lifespan":
        await receive()
        scope["state"]["task"] = asyncio.create_task(ticking())
        await send({"type": "lifespan.startup.complete"})
        await receive()
        with open("shutdowns", "a") as file:
            file.write(f"{words.VERSION} {os.getpid()}\\n")
        await send({"type": "lifespan.shutdown.complete"})
    elif scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        while (message := await receive())["type"] == "websocket.receive":
            import words as late  # as the code knew it that this belongs to
            await send({"type": "websocket.send", "text": f"{late.VERSION} {message['text']} {os.getpid()}"})
    else:
        before = words.VERSION
        await asyncio.sleep(0.001)
        import words as late
        body = f"{before} {late.VERSION} {words.VERSION} {state['carried']} {os.getpid()}".encode()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]})
        await send({"type": "http.response.body", "body": body})
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "app.py").write_text(APP)
    say(tmp_path, "one")
    return tmp_path


def say(folder: Path, version: str, more: str = "") -> None:
    (folder / "words.py").write_text(f"{more}\nVERSION = {version!r}\n")


def daemon(folder: Path, *args: str, workers: int = 2, kind: str = "asgi") -> Daemon:
    return Daemon(
        "app:application", "--worker-class", kind, "--workers", str(workers), *args, folder=folder, ready=workers
    )


def reload(hornbeamd: Daemon, count: int = 1) -> None:
    hornbeamd.signal(signal.SIGHUP)
    hornbeamd.wait_log("reload complete", count=count)


def shutdowns(folder: Path) -> list[str]:
    return (folder / "shutdowns").read_text().splitlines()


def echo(socket: RawWebSocket, text: str) -> str:
    socket.send(frame(TEXT, text.encode()))
    return str(socket.read_message())


def test_new_code_in_the_same_processes_and_whoever_is_connected_stays(folder: Path) -> None:
    with daemon(folder) as hornbeamd, Traffic(hornbeamd.port) as traffic:
        before = hornbeamd.workers()
        sockets = [RawWebSocket(("127.0.0.1", hornbeamd.port)) for _ in range(6)]
        for socket in sockets:
            socket.open()
        hornbeamd.wait(lambda: traffic.total > 20, "no answers")
        say(folder, "two")
        reload(hornbeamd)
        assert hornbeamd.workers() == before
        with Traffic(hornbeamd.port) as later:
            hornbeamd.wait(lambda: later.total > 20, "no answers")
        assert {body.rpartition(b" ")[0] for body in later.bodies} == {b"two two two 1"}
        holding = {echo(socket, "hello") for socket in sockets}
        assert {answer.rpartition(" ")[0] for answer in holding} == {"one hello"}
        held = {f"one {answer.rpartition(' ')[2]}" for answer in holding}
        assert held.isdisjoint(shutdowns(folder))
        for socket in sockets:
            socket.close()
        hornbeamd.wait_log("an old generation has ended", count=2)
        # That of the trial, which ran the new code; and that of the old code in each worker.
        assert sorted(line.split()[0] for line in shutdowns(folder)) == ["one", "one", "two"]
        assert held <= set(shutdowns(folder))
    assert traffic.failures == later.failures == []
    assert {body.rpartition(b" ")[0] for body in traffic.bodies} <= {b"one one one 0", b"two two two 1"}


def test_a_process_that_comes_later_and_one_that_had_moved_run_the_same(folder: Path) -> None:
    with daemon(folder) as hornbeamd:
        say(folder, "two")
        reload(hornbeamd)
        gone = hornbeamd.workers()[0]
        os.kill(gone, signal.SIGKILL)
        hornbeamd.wait(lambda: len(hornbeamd.workers()) == 2 and gone not in hornbeamd.workers(), "not replaced")
        hornbeamd.wait_log("worker ready", count=3)
        assert hornbeamd.log.count("generation=2 boot_ms") == 1
        with Traffic(hornbeamd.port) as traffic:
            hornbeamd.wait(lambda: len(traffic.bodies) == 2, "only one answers")
        assert {body.split()[0] for body in traffic.bodies} == {b"two"}
        reload(hornbeamd, 2)
        assert "reload complete generation=2 result=unchanged" in hornbeamd.log


HIRING = """
import multiprocessing
import words


def version():
    return words.VERSION.encode()


async def application(scope, receive, send):
    if scope["type"] == "lifespan":
        await receive()
        with multiprocessing.get_context("fork").Pool(1) as scope["state"]["pool"]:
            await send({"type": "lifespan.startup.complete"})
            await receive()
        await send({"type": "lifespan.shutdown.complete"})
    else:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": scope["state"]["pool"].apply(version)})
"""


def test_processes_that_the_startup_forks_run_the_new_code(folder: Path) -> None:
    (folder / "app.py").write_text(HIRING)
    with daemon(folder, workers=1) as hornbeamd:
        for version in ("two", "three"):
            say(folder, version)
            assert hornbeamd.ask("reload")["road"] == "swapped"
            assert urllib.request.urlopen(hornbeamd.url, timeout=10).read() == version.encode()


BROKEN = {
    "syntax": "def (",
    "import": "import no_such_module",
    "exit": "raise SystemExit('no')",
    "os-exit": "import os; os._exit(9)",
    "segfault": "import ctypes; ctypes.string_at(0)",
    "hang": "import time; time.sleep(60)",
}


def test_code_that_fails_is_tried_where_it_harms_nobody(folder: Path) -> None:
    with daemon(folder, "--boot-timeout", "3s") as hornbeamd, Traffic(hornbeamd.port) as traffic:
        before = hornbeamd.workers()
        for fault in BROKEN:
            say(folder, "two", BROKEN[fault])
            answer = hornbeamd.ask("reload", code=1)
            told = answer["problems"][0]
            assert ('words.py", line 1' in told) == (fault != "os-exit"), told
            assert told.endswith(answer["why"]), told
        assert answer["why"] == "the new code was not ready within 3 s"
        seen = traffic.total
        hornbeamd.wait(lambda: traffic.total > seen + 20, "no answers")
        say(folder, "three")
        assert hornbeamd.ask("reload")["generation"] == 2
        assert hornbeamd.workers() == before
    assert traffic.failures == []
    assert {body.split()[0] for body in traffic.bodies} <= {b"one", b"three"}


LATE = """
def application(environ, start_response):
    import late
    start_response("200 OK", [])
    return [late.WORD]
"""


def test_code_that_is_imported_by_the_first_request_is_tried_too(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(LATE)
    (tmp_path / "late.py").write_text("WORD = b'one'\n")
    with Daemon("app", "--workers", "1", folder=tmp_path, ready=1) as hornbeamd, Traffic(hornbeamd.port) as traffic:
        hornbeamd.wait(lambda: traffic.total > 0, "no answers")
        (tmp_path / "late.py").write_text("WORD = (\n")
        assert "SyntaxError" in hornbeamd.ask("reload", code=1)["why"]
        (tmp_path / "late.py").write_text("__hot_reload__ = False\nWORD = (\n")
        assert "SyntaxError" in hornbeamd.ask("reload", code=1)["why"]
        (tmp_path / "late.py").write_text("__hot_reload__ = False\nWORD = b'two'\n")
        assert hornbeamd.ask("reload")["road"] == "replaced"
    assert traffic.failures == []
    assert traffic.bodies <= {b"one", b"two"}


@pytest.mark.parametrize(
    ("flags", "more", "why"),
    [
        (("--preload-app",), "", "preload_app"),
        ((), "__hot_reload__ = False", "__hot_reload__"),
        # It works in a fresh process, and not beside the old one.
        (
            (),
            "import sys, builtins\nif hasattr(builtins, 'taken'): raise ValueError('taken')\nbuiltins.taken = 1",
            "the new code fails beside the old: ValueError: taken",
        ),
    ],
    ids=["preloaded", "declared", "fails-beside"],
)
def test_what_cannot_be_exchanged_in_place_is_replaced(
    folder: Path, flags: tuple[str, ...], more: str, why: str
) -> None:
    say(folder, "one", more)
    with daemon(folder, *flags, workers=1) as hornbeamd, Traffic(hornbeamd.port) as traffic:
        before = hornbeamd.workers()
        say(folder, "two", more)
        reload(hornbeamd)
        assert "generation=2 result=replaced" in hornbeamd.log
        assert why in hornbeamd.log.rpartition("reload complete")[2].partition("\n")[0]
        hornbeamd.wait(lambda: not any(map(alive, before)), "the old worker stays")
        seen = traffic.total
        hornbeamd.wait(lambda: traffic.total > seen + 20, "no answers")
    assert traffic.failures == []
    assert {body.split()[0] for body in traffic.bodies} == {b"one", b"two"}


SQLITE = """
import sqlite3
db = sqlite3.connect(":memory:")

async def application(scope, receive, send):
    assert scope["type"] == "http"
    (body,) = db.execute("SELECT 'one'").fetchone()
    await send({"type": "http.response.start", "status": 200})
    await send({"type": "http.response.body", "body": body.encode()})
"""


def test_what_only_the_thread_can_use_that_loads_modules_comes_in_a_new_process(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(SQLITE)
    with daemon(tmp_path, workers=1) as hornbeamd, Traffic(hornbeamd.port) as traffic:
        (tmp_path / "app.py").write_text(SQLITE.replace("'one'", "'two'"))
        answer = hornbeamd.ask("reload")
        assert answer["road"] == "replaced"
        assert "sqlite3" in answer["why"]
        hornbeamd.wait(lambda: b"two" in traffic.bodies, "no answers")
    assert traffic.failures == []
    assert traffic.bodies <= {b"one", b"two"}
