"""The server in a Python program, which goes on as what it is: the daemon is a child process.

    import hornbeamd

    hornbeamd.register_function("price", price)
    hornbeamd.start("shop:application", bind="127.0.0.1:8000", workers=4)
    ...
    hornbeamd.stop()

The program is joined to the server as a worker is: ``hornbeam_erlang`` works in it, and the functions that it has
registered are called from all workers. What runs in the child is ``embedded.py``.

Between the two is a pipe, of which the program alone has the writing end. It closes when the program ends, in whatever
way, and then the daemon drains and ends. (Linux can send a signal to the child of a parent that dies, too, but it does
so as soon as the very thread ends that started the child.)
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from hornbeamd import node
from hornbeamd.errors import BootError, HubGone
from hornbeamd.node import Place
from hornbeamd.node.alone import AlonePost
from hornbeamd.node.handlers import load

if TYPE_CHECKING:
    from hornbeamd.config.options import Options

WHO = "embedding program"
# How often it is looked whether the daemon still lives while it starts.
LOOK = 0.1


def start(app: str | None = None, *, config: str | None = None, **options: Any) -> None:
    """Start the server with *app* ("module:callable"), and return when it serves.

    *options* have the names, values and units of a configuration file; sections and tables are dicts, as in
    ``hub={"call_timeout": "5s"}``. They are stronger than the environment and the file *config*. Functions that are
    registered before are offered when this returns; the startup of the application does not find them yet.

    Raises ConfigError with all that is wrong; BootError with the daemon's last line when it does not come up;
    RuntimeError when the server of this program runs already, or this process itself is one of a server.
    """
    global _server
    from hornbeamd.config.resolve import load as load_options  # and with it all readers of files

    with _lock:
        if _server is not None and _server.running:
            raise RuntimeError("the server runs already; there is one for a program")
        _end()
        if not isinstance(node.current().post, AlonePost):
            # A worker that imports its application would start the next server, whose worker would start the next.
            raise RuntimeError(
                "start() in a process of the server: in a module that workers import, too, it belongs under"
                " if __name__ == '__main__'"
            )
        arguments = options if app is None else {"app": app, **options}
        folder = os.getcwd()
        loaded = load_options(config, dict(os.environ), folder=folder, arguments=arguments).options
        server = _Server({"config": config, "arguments": arguments, "folder": folder}, loaded)
        try:
            _join(server.wait_ready(), loaded)
        except BaseException:
            server.stop()
            raise
        _server = server


def stop() -> None:
    """Drain the server and wait for its end; nothing happens when it does not run.

    Functions stay registered, for the next start.
    """
    with _lock:
        _end()


def register_function(name: str, function: Callable[..., Any] | str, attribute: str | None = None) -> None:
    """Have ``call(name, ...)`` of ``hornbeam_erlang`` call *function* here, from all processes of the server.

    Or, with two texts, the function *attribute* of the module *function*, which is imported at once. It gets the
    arguments as they were given; what it raises arrives as CallError. Several calls may be at work at once, each in a
    thread; a coroutine function runs in an event loop in the background.
    """
    if isinstance(function, str) and attribute is not None:
        found = load(f"{function}:{attribute}")
    elif not isinstance(function, str) and attribute is None:
        found = function
    else:
        raise TypeError("register_function() takes a function, or the names of a module and of a function in it")
    node.current().offers.register_function(name, found)


def unregister_function(name: str) -> None:
    """Take no more calls of the function *name*; nothing happens when there is none."""
    node.current().offers.unregister_function(name)


class _Server:
    """The daemon as a child process."""

    def __init__(self, setup: Mapping[str, Any], options: Options) -> None:
        """Start it; *setup* is what ``embedded.py`` reads, *options* what it comes to."""
        # Not to be mistaken for a runtime directory by a daemon that looks for those that were left behind.
        self._folder = tempfile.TemporaryDirectory(prefix="hornbeam-notify-")
        address = os.path.join(self._folder.name, "ready")
        self._ready = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._ready.bind(address)
        self._ready.settimeout(LOOK)
        self._told = "it said nothing"
        reading, self._lifeline = os.pipe()
        inherited = [bind.fd for bind in options.bind if bind.kind == "fd"]
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "hornbeamd.embedded", str(reading)],
            pass_fds=[reading, *inherited],
            stdin=subprocess.DEVNULL,
            env={**_surroundings(), "NOTIFY_SOCKET": address},
            # An interrupt from the terminal is for the program, which decides what becomes of the server.
            process_group=0,
        )
        os.close(reading)
        with contextlib.suppress(BrokenPipeError), open(self._lifeline, "wb", closefd=False) as pipe:
            pipe.write(json.dumps(setup).encode() + b"\n")

    @property
    def running(self) -> bool:
        """Whether it lives."""
        return self._process.poll() is None

    def wait_ready(self) -> str:
        """Wait until it serves; gives its runtime directory. Raises BootError when it ends instead."""
        while True:
            ended = not self.running  # asked before the last look at what it has said
            while said := self._hear():
                self._told = said.get("STATUS", self._told)
                if "READY" in said:
                    return said["X_HORNBEAM_RUNTIME"]
            if ended:
                raise BootError(f"hornbeamd did not start: {self._told}")

    def stop(self) -> None:
        """Have it drain, and wait for its end."""
        if self.running:
            self._process.send_signal(signal.SIGTERM)
        self._process.wait()
        self._ready.close()
        self._folder.cleanup()
        self.let_go()

    def let_go(self) -> None:
        """Close the pipe: the daemon ends when all copies of it are closed."""
        if self._lifeline >= 0:
            os.close(self._lifeline)
            self._lifeline = -1

    def _hear(self) -> dict[str, str]:
        """The next message, as sd_notify(3) has them; empty when none comes in a moment."""
        try:
            lines = self._ready.recv(65536).decode(errors="surrogateescape").split("\n")
        except TimeoutError:
            return {}
        return {name: value for name, _, value in (line.partition("=") for line in lines)}


_server: _Server | None = None
_lock = threading.Lock()


def _join(directory: str, options: Options) -> None:
    """Make this program a part of the server."""
    before = node.current()
    place = Place(directory, options.state.path or os.path.join(directory, "state"))
    joined = node.joined(place, options, WHO)
    try:
        joined.connect_in_background()
    except HubGone as error:
        joined.leave_background()
        joined.close()
        raise BootError(f"hornbeamd started, but its hub cannot be reached: {error}") from None
    joined.offers.take_over(before.offers)
    node.install(joined)


def _end() -> None:
    """End the server, if there is one, and be a program on its own again, with the functions that it has registered."""
    global _server
    if _server is None:
        return
    _server.stop()
    _server = None
    joined = node.current()
    alone = node.alone()
    alone.offers.take_over(joined.offers)
    node.install(alone)
    joined.leave_background()
    joined.close()


def _surroundings() -> dict[str, str]:
    """The environment in which the child finds this very package, also when it was found in the current folder."""
    home = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    before = os.environ.get("PYTHONPATH")
    return {**os.environ, "PYTHONPATH": os.pathsep.join([home, before] if before else [home])}


def _after_fork() -> None:
    """A forked child is not the program: its copy of the pipe must not keep the daemon alive."""
    global _server, _lock
    _lock = threading.Lock()
    if _server is not None:
        _server.let_go()
        _server = None


os.register_at_fork(after_in_child=_after_fork)
