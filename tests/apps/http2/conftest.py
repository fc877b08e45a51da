"""The two applications of this folder under the daemon, on a plain socket and over TLS, for clients of HTTP/2."""

import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.daemon import Daemon
from tests.support.tls import Authority

HERE = Path(__file__).resolve().parent
BLOCK = bytes(range(256)) * 256
TOGETHER = 4
"""BLOCK and TOGETHER are the applications'."""


@dataclass(frozen=True)
class Server:
    url: str
    interface: str
    authority: Path | None
    """Who has signed the certificate; None on a plain socket, where clients know beforehand what is spoken."""

    def httpx(self) -> dict[str, Any]:
        """The arguments of a client of httpx."""
        verify = True if self.authority is None else ssl.create_default_context(cafile=str(self.authority))
        return {
            "base_url": self.url,
            "http1": False,
            "http2": True,
            "verify": verify,
            "limits": httpx.Limits(max_connections=1),
            "trust_env": False,
            "timeout": 20,
        }


@pytest.fixture(scope="module", params=["asgi-plain", "wsgi-plain", "asgi-tls", "wsgi-tls"])
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    interface, _, way = request.param.partition("-")
    folder = tmp_path_factory.mktemp(request.param)
    options = ["--worker-class", interface, "--workers", "1", "--threads", str(TOGETHER), "--pythonpath", str(HERE)]
    authority = None
    if way == "tls":
        issuer = Authority(folder)
        certfile, keyfile = issuer.issue("127.0.0.1")
        authority = issuer.file
        options += ["--ssl", "--certfile", certfile, "--keyfile", keyfile]
    with Daemon(f"{interface}_app:app", *options, folder=folder, ready=1) as daemon:
        yield Server(daemon.url, interface, authority)
