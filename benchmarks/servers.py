"""The servers: what they serve, how they are started, which versions are installed."""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata, util

from .workloads import Interface

IDLE_SECONDS = 75  # how long an idle keep-alive connection lives; peers' defaults are shorter than a run


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """One start of a server on 127.0.0.1:`port`; `threads` None is the server's default."""

    app: str
    interface: Interface
    port: int
    workers: int = 1
    threads: int | None = None


@dataclass(frozen=True, slots=True)
class Server:
    name: str
    interfaces: tuple[Interface, ...]
    command: Callable[[Launch], list[str]]

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
    }
    return [sys.executable, "-m", "granian", launch.app, *_flags(options)]


def _gunicorn(launch: Launch) -> list[str]:
    options: dict[str, object] = {
        "bind": f"127.0.0.1:{launch.port}",
        "worker_class": "gthread",
        "workers": launch.workers,
        "threads": launch.threads or 4,  # its default of 1 would choose another kind of worker
        "keep_alive": IDLE_SECONDS,
        "worker_connections": 10000,
        "no_control_socket": True,
        "log_level": "warning",
    }
    return [sys.executable, "-m", "gunicorn", launch.app, *_flags(options)]


def _hypercorn(launch: Launch) -> list[str]:
    options: dict[str, object] = {
        "bind": f"127.0.0.1:{launch.port}",
        "worker_class": "uvloop",
        "workers": launch.workers,
        "keep_alive": IDLE_SECONDS,
        "log_level": "warning",
    }
    return [sys.executable, "-m", "hypercorn", launch.app, *_flags(options)]


OURS = "hornbeamd"
SERVERS = {
    server.name: server
    for server in (
        Server(OURS, ("asgi", "wsgi"), _hornbeamd),
        Server("uvicorn", ("asgi",), _uvicorn),
        Server("granian", ("asgi", "wsgi"), _granian),
        Server("gunicorn", ("wsgi",), _gunicorn),
        Server("hypercorn", ("asgi",), _hypercorn),
    )
}
