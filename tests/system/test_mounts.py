"""Mounts, files and hooks under the installed command, from a file."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from tests.support.daemon import Daemon

FILE = """
[hornbeam]
app = "pages:application"
workers = 1

[[hornbeam.mounts]]
prefix = "/api"
app = "api:app"
worker_class = "asgi"
timeout = "200ms"
lifespan = "on"

[[hornbeam.mounts]]
prefix = "/static"
directory = "public"

[hornbeam.hooks]
on_request = "auth:check"
on_response = "auth:mark"
on_error = "auth:sorry"
"""

PAGES = """
import os, threading

def application(environ, start_response):
    if environ["PATH_INFO"] == "/raise":
        raise RuntimeError("secret")
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [f"{os.getpid()} {threading.current_thread().name[:4]} {environ['HTTP_X_USER']}".encode()]
"""

API = """
import asyncio, json, os

IMPORTED_BY = os.getpid()

async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        await receive()
        if os.path.exists("refuse"):
            await send({"type": "lifespan.startup.failed", "message": "not today"})
            return
        await send({"type": "lifespan.startup.complete"})
        await receive()
        open("ended", "w").close()
        await send({"type": "lifespan.shutdown.complete"})
        return
    if scope["path"].endswith("/slow"):
        await asyncio.sleep(60)
    shown = {"root_path": scope["root_path"], "path": scope["path"], "imported_by": IMPORTED_BY, "pid": os.getpid()}
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": json.dumps(shown).encode()})
"""

AUTH = """
def check(request):
    name = request.headers.get("X-Name")
    if name is None:
        return 401, {}, "who are you"
    request.headers.set("X-User", name.upper())

def mark(request, response):
    response.headers.set("X-Marked", request.path)

def sorry(error, request):
    return 500, {}, f"sorry ({type(error).__name__})"
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, text in {"sys.toml": FILE, "pages.py": PAGES, "api.py": API, "auth.py": AUTH}.items():
        (tmp_path / name).write_text(text)
    (tmp_path / "public").mkdir()
    (tmp_path / "public" / "a.txt").write_text("file")
    return tmp_path


def get(url: str, **fields: str) -> tuple[int, str, str]:
    """Status, body and mark of the answer."""
    request = urllib.request.Request(url, headers={name.replace("_", "-"): value for name, value in fields.items()})
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, answer.read().decode(), answer.headers["X-Marked"]
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode(), error.headers["X-Marked"]


@pytest.mark.parametrize("preload", ["--preload-app", "--no-preload-app"])
def test_a_file_with_mounts_files_and_hooks(folder: Path, preload: str) -> None:
    with Daemon("-c", "sys.toml", preload, folder=folder, ready=1) as hornbeamd:
        url = hornbeamd.url
        (pid,) = hornbeamd.workers()
        for path in ("/", "/api", "/static/a.txt", "/static/b.txt"):
            assert get(f"{url}{path}") == (401, "who are you", path)
        assert get(f"{url}/x", X_Name="alice") == (200, f"{pid} wsgi ALICE", "/x")
        status, body, mark = get(f"{url}/api/x", X_Name="alice")
        shown = json.loads(body)
        assert (status, mark, shown["root_path"], shown["path"]) == (200, "/api/x", "/api", "/api/x")
        assert (shown["imported_by"] == pid) == (preload == "--no-preload-app")
        assert get(f"{url}/static/a.txt", X_Name="alice") == (200, "file", "/static/a.txt")
        assert get(f"{url}/static/../auth.py", X_Name="alice")[0] == 404
        assert get(f"{url}/api/slow", X_Name="alice") == (504, "Gateway Timeout\n", "/api/slow")
        assert get(f"{url}/raise", X_Name="alice") == (500, "sorry (RuntimeError)", "/raise")
        assert "secret" in hornbeamd.log
    assert (folder / "ended").exists()


def test_a_mount_that_refuses_the_start_refuses_the_boot(folder: Path) -> None:
    (folder / "refuse").touch()
    with Daemon("-c", "sys.toml", folder=folder, ready=0) as hornbeamd:
        assert hornbeamd.wait_ended() == 1
        assert "the mount /api: lifespan startup failed: not today" in hornbeamd.log


@pytest.mark.parametrize("preload", ["--preload-app", "--no-preload-app"])
def test_what_cannot_be_loaded_is_named(folder: Path, preload: str) -> None:
    (folder / "api.py").write_text("def ap(): ...")
    with Daemon("-c", "sys.toml", preload, folder=folder, ready=0) as hornbeamd:
        assert hornbeamd.wait_ended() == 1
        assert "the mount /api: 'api' has no attribute 'app'; did you mean 'ap'?" in hornbeamd.log


def test_a_coroutine_function_that_a_thread_cannot_await_refuses_the_boot(folder: Path) -> None:
    (folder / "auth.py").write_text(AUTH.replace("def check", "async def check"))
    with Daemon("-c", "sys.toml", folder=folder, ready=0) as hornbeamd:
        assert hornbeamd.wait_ended() == 1
        assert "hooks.on_request: 'auth:check' is a coroutine function" in hornbeamd.log


def test_mounts_may_stand_in_the_environment(folder: Path) -> None:
    mounts = json.dumps([{"prefix": "/s", "directory": "public"}])
    env = {"HORNBEAM_MOUNTS": mounts}
    with Daemon("--workers", "1", folder=folder, env=env, ready=1) as hornbeamd:
        assert get(f"{hornbeamd.url}/s/a.txt")[:2] == (200, "file")
        assert get(f"{hornbeamd.url}/")[0] == 404
