"""The two applications of this folder under the daemon, for clients of HTTP/2."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.daemon import Daemon

HERE = Path(__file__).resolve().parent
BLOCK = bytes(range(256)) * 256
TOGETHER = 4
"""BLOCK and TOGETHER are the applications'."""


@dataclass(frozen=True)
class Server:
    url: str
    interface: str


@pytest.fixture(scope="module", params=["asgi", "wsgi"])
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """HTTP/2 by prior knowledge on a plain socket."""
    interface: str = request.param
    options = ("--worker-class", interface, "--workers", "1", "--threads", str(TOGETHER), "--pythonpath", str(HERE))
    with Daemon(f"{interface}_app:app", *options, folder=tmp_path_factory.mktemp(interface), ready=1) as daemon:
        yield Server(daemon.url, interface)
