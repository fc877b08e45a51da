"""Applications that show which process answered, and that can be slow, blocked, broken, or gone."""

from __future__ import annotations

from pathlib import Path

import pytest

WSGI_APP = """
import os, time

VERSION = "one"


def application(environ, start_response):
    path = environ["PATH_INFO"]
    if path == "/slow":
        open(environ["QUERY_STRING"], "w").close()
        time.sleep(1.0)
    elif path == "/endless":
        open(environ["QUERY_STRING"], "w").close()
        time.sleep(60)
    elif path == "/die":
        os._exit(7)
    elif path == "/crash":
        import ctypes
        ctypes.string_at(0)
    elif path == "/orphan":
        import subprocess, sys
        subprocess.run([sys.executable, "-c", "import os,time\\nif not os.fork(): time.sleep(0.3); os._exit(3)"])
    elif path == "/user":
        VALUES = f"{os.getuid()}:{os.getgid()}:{os.environ.get('HOME')}"
        start_response("200 OK", [("Content-Length", str(len(VALUES)))])
        return [VALUES.encode()]
    body = f"{VERSION} {os.getpid()}".encode()
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]
"""

ASGI_APP = """
import os, time


async def application(scope, receive, send):
    if scope["type"] == "lifespan":
        while (message := await receive())["type"] == "lifespan.startup":
            await send({"type": "lifespan.startup.complete"})
        with open("shutdowns", "a") as file:
            file.write(f"{os.getpid()}\\n")
        await send({"type": "lifespan.shutdown.complete"})
        return
    if scope["path"] == "/block":
        time.sleep(60)
    body = f"one {os.getpid()}".encode()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]})
    await send({"type": "http.response.body", "body": body})
"""


@pytest.fixture
def wsgi_app(tmp_path: Path) -> Path:
    """The folder of a WSGI application named ``app``."""
    (tmp_path / "app.py").write_text(WSGI_APP)
    return tmp_path


@pytest.fixture
def asgi_app(tmp_path: Path) -> Path:
    """The folder of an ASGI application named ``app``."""
    (tmp_path / "app.py").write_text(ASGI_APP)
    return tmp_path


@pytest.fixture(autouse=True)
def no_control_socket(monkeypatch: pytest.MonkeyPatch) -> None:
    """Daemons have none in the folders of the machine; those of ``Daemon`` have one of their own."""
    monkeypatch.setenv("HORNBEAM_CONTROL_SOCKET", "")
