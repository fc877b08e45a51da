"""The servers: what they serve, how they are started, which versions are installed."""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata, util
from pathlib import Path

from .workloads import Interface, Protocol, Workload

IDLE_SECONDS = 75  # how long an idle keep-alive connection lives; peers' defaults are shorter than a run
CERTIFICATE, KEY = "cert.pem", "key.pem"
HYPERCORN = Path(__file__).resolve().parent / "hypercorn.toml"


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """One start of a server on 127.0.0.1:`port`; `threads` None is the server's default.

    `certificate` is a folder with CERTIFICATE and KEY, or None without TLS.
    """

    app: str
    interface: Interface
    protocol: Protocol
    port: int
    workers: int = 1
    threads: int | None = None
    certificate: Path | None = None

    def tls(self, certificate: str, key: str) -> dict[str, object]:
        """The two files under the names that a server's options have for them."""
        if self.certificate is None:
            return {}
        return {certificate: self.certificate / CERTIFICATE, key: self.certificate / KEY}


@dataclass(frozen=True, slots=True)
class Server:
    """`takes_part` says in which workloads: those for which people choose it."""

    name: str
    takes_part: dict[Interface, tuple[Protocol, ...]]
    command: Callable[[Launch], list[str]]

    def serves(self, workload: Workload) -> bool:
        return workload.protocol in self.takes_part.get(workload.interface, ())

    @property
    def installed(self) -> bool:
        return util.find_spec(self.name) is not None

    @property
    def version(self) -> str:
        try:
            return metadata.version(self.name)
        except metadata.PackageNotFoundError:  # run from a checkout
            return str(getattr(__import__(self.name), "__version__", "unknown"))


def _flags(options: dict[str, object]) -> list[str]:
    """{"log_level": "warning", "no_ws": True, "threads": None} -> --log-level warning --no-ws"""
    words = []
    for name, value in options.items():
        if value is not None:
            words.append("--" + name.replace("_", "-"))
            if value is not True:
                words.append(str(value))
    return words


def _hornbeamd(launch: Launch) -> list[str]:
    options: dict[str, object] = {
        "bind": f"127.0.0.1:{launch.port}",
        "worker_class": launch.interface,
        "workers": launch.workers,
        "threads": launch.threads,
        "keepalive": IDLE_SECONDS,
        "log_level": "warning",
        **({"ssl": True} if launch.certificate else {}),
        **launch.tls("certfile", "keyfile"),
    }
    return [sys.executable, "-m", "hornbeamd", launch.app, *_flags(options)]


def _uvicorn(launch: Launch) -> list[str]:
    options: dict[str, object] = {
        "host": "127.0.0.1",
        "port": launch.port,
        "workers": launch.workers,
        "loop": "uvloop",
        "http": "httptools",
        "timeout_keep_alive": IDLE_SECONDS,
        "no_proxy_headers": True,
        "no_access_log": True,
        "log_level": "warning",
        "ws": "websockets-sansio",
        **launch.tls("ssl_certfile", "ssl_keyfile"),
    }
    return [sys.executable, "-m", "uvicorn", launch.app, *_flags(options)]


def _granian(launch: Launch) -> list[str]:
    options: dict[str, object] = {
        "host": "127.0.0.1",
        "port": launch.port,
        "interface": launch.interface,
        "workers": launch.workers,
        "blocking_threads": launch.threads,
        "loop": "uvloop",
        "backlog": 4096,  # also its limit of connections; the default is below the 2000 idle ones
        "no_access_log": True,
        "log_level": "warning",
        "http": 2 if launch.protocol == "h2c" else None,
        **launch.tls("ssl_certificate", "ssl_keyfile"),
    }
    return [sys.executable, "-m", "granian", launch.app, *_flags(options)]


def _gunicorn(launch: Launch) -> list[str]:
    options: dict[str, object] = {
        "bind": f"127.0.0.1:{launch.port}",
        "worker_class": "asgi" if launch.interface == "asgi" else "gthread",
        "workers": launch.workers,
        "threads": launch.threads or 4,  # its default of 1 would choose another kind of worker
        "keep_alive": IDLE_SECONDS,
        "worker_connections": 10000,
        "no_control_socket": True,
        "log_level": "warning",
    }
    if launch.protocol == "h2c":
        options |= {"http_protocols": "h2,h1", "http2_cleartext": "prior-knowledge"}
    return [sys.executable, "-m", "gunicorn", launch.app, *_flags(options)]


def _hypercorn(launch: Launch) -> list[str]:
    options: dict[str, object] = {
        "bind": f"127.0.0.1:{launch.port}",
        "worker_class": "uvloop",
        "workers": launch.workers,
        "keep_alive": IDLE_SECONDS,
        "config": HYPERCORN,
        "log_level": "warning",
    }
    return [sys.executable, "-m", "hypercorn", launch.app, *_flags(options)]


OURS = "hornbeamd"
SERVERS = {
    server.name: server
    for server in (
        Server(OURS, {"asgi": ("http", "https", "h2c", "websocket"), "wsgi": ("http",)}, _hornbeamd),
        Server("uvicorn", {"asgi": ("http", "https", "websocket")}, _uvicorn),
        Server("granian", {"asgi": ("http", "https", "h2c", "websocket"), "wsgi": ("http",)}, _granian),
        Server("gunicorn", {"asgi": ("h2c", "websocket"), "wsgi": ("http",)}, _gunicorn),
        Server("hypercorn", {"asgi": ("h2c", "websocket")}, _hypercorn),
    )
}
