"""Real applications under the daemon, and real clients."""

from __future__ import annotations

import http.client
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from tests.support.daemon import Daemon

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


@pytest.fixture(scope="module")
def serve(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., httpx.Client]]:
    """Write the text of an application and run it until the end of the module; gives a client of it."""
    with ExitStack() as stack:

        def start(text: str, *args: str) -> httpx.Client:
            folder = tmp_path_factory.mktemp("app")
            (folder / "app.py").write_text(text)
            daemon = Daemon("app:app", "--workers", "1", *args, folder=folder)
            return client_of(stack.enter_context(daemon), stack)

        yield start


def client_of(daemon: Daemon, stack: ExitStack) -> httpx.Client:
    """A client of *daemon*, once it serves."""
    daemon.wait_ready()
    return stack.enter_context(httpx.Client(base_url=daemon.url, timeout=10, trust_env=False))


def curl(url: str, upload: Path | None = None) -> bytes:
    """What curl gets from *url*, or for the *upload* it puts there; where there is no curl, http.client stands in."""
    if shutil.which("curl"):
        put = ["--upload-file", str(upload)] if upload else []
        command = ["curl", "--silent", "--show-error", "--fail", "--max-time", "20", "--noproxy", "*", *put, url]
        return subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=20)
    connection.request("PUT" if upload else "GET", parts.path, body=upload and upload.open("rb"))
    response = connection.getresponse()
    assert response.status < 400
    return response.read()
