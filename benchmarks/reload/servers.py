"""The servers, how each is started, and what each has for a reload."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

WORKERS = 2
APP = "application:application"

GENERATIONS = 32
"""More than there are reloads in a row: WebSockets that were opened before the first stay on its code to the last."""

Command = Callable[[Path, int], list[str]]
"""The folder of the application and a port -> what is run."""


@dataclass(frozen=True, slots=True)
class Way:
    """A way to bring in new code: a signal to the server, or a command of `hornbeamctl`."""

    name: str
    title: str
    order: signal.Signals | tuple[str, ...]
    exchanges: bool = False
    """Connections and WebSockets stay where they are."""


@dataclass(frozen=True, slots=True)
class Server:
    name: str
    command: Command
    ways: tuple[Way, ...]
    http2: bool = True


def config(folder: Path, port: int) -> Path:
    """Write hornbeamd's configuration; gives its path."""
    path = folder / "sys.toml"
    path.write_text(
        f"""[hornbeam]
app = "{APP}"
bind = "127.0.0.1:{port}"
worker_class = "asgi"
workers = {WORKERS}

[hornbeam.log]
level = "warning"

[hornbeam.control]
socket = "control.sock"

[hornbeam.reload]
generations = {GENERATIONS}
"""
    )
    return path


def _hornbeamd(folder: Path, port: int) -> list[str]:
    return [sys.executable, "-m", "hornbeamd", "-c", str(config(folder, port))]


def _gunicorn(folder: Path, port: int) -> list[str]:
    options = f"--bind 127.0.0.1:{port} --worker-class asgi --workers {WORKERS} --log-level warning".split()
    return [sys.executable, "-m", "gunicorn", APP, "--chdir", str(folder), "--no-control-socket", *options]


def _granian(folder: Path, port: int) -> list[str]:
    options = f"--host 127.0.0.1 --port {port} --interface asgi --workers {WORKERS} --log-level warning".split()
    return [sys.executable, "-m", "granian", APP, "--working-dir", str(folder), *options]


def _uvicorn(folder: Path, port: int) -> list[str]:
    options = f"--host 127.0.0.1 --port {port} --workers {WORKERS} --log-level warning --no-access-log".split()
    return [sys.executable, "-m", "uvicorn", APP, "--app-dir", str(folder), *options]


OURS = "hornbeamd"
SWAP = Way("swap", "hornbeamctl reload", ("reload",), exchanges=True)
REPLACE = Way("replace", "hornbeamctl restart", ("restart",))
UPGRADE = Way("upgrade", "hornbeamctl upgrade", ("upgrade",))
HUP = Way("hup", "SIGHUP", signal.SIGHUP)

SERVERS = {
    server.name: server
    for server in (
        Server(OURS, _hornbeamd, (SWAP, REPLACE, UPGRADE)),
        # On a plain socket it speaks either of the two.
        Server("gunicorn", _gunicorn, (HUP,), http2=False),
        Server("granian", _granian, (HUP,)),
        Server("uvicorn", _uvicorn, (HUP,), http2=False),
    )
}
