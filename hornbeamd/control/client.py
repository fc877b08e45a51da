"""A connection to a daemon's control socket, as ``hornbeamctl`` has it: blocking, with as few imports as can be."""

from __future__ import annotations

import os
import socket
import time

from hornbeamd.control import codes, places
from hornbeamd.control.wire import LONGEST_QUESTION
from hornbeamd.jsonlines import Lines, Malformed, decode, encode

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from typing import Any

    Plain = dict[str, Any]

VARIABLE = "HORNBEAM_CONTROL_SOCKET"
LOOK_TIMEOUT = 3.0
"""How long, in seconds, a daemon may take to say who it is."""
PAUSE = 0.01


class Failure(Exception):
    """A command cannot be carried out; ``code`` is what the program ends with."""

    def __init__(self, text: str, code: int) -> None:
        self.code = code
        super().__init__(text)


class Client:
    """A connection to the daemon at *path*."""

    def __init__(self, path: str, timeout: float | None = None) -> None:
        """Connect. Raises Failure, which says what to do next. *timeout* seconds are how long it may be silent."""
        self.path = path
        self._lines = Lines()
        self._heard: list[bytes] = []
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.settimeout(timeout)
        try:
            self._connect(timeout)
        except OSError as error:
            self._socket.close()
            raise _unreachable(path, error) from None

    def _connect(self, timeout: float | None) -> None:
        end = time.monotonic() + (timeout or 0.0)
        while True:
            try:
                self._socket.connect(self.path)
                return
            except BlockingIOError:  # many others wait to be let in; with a time-out the kernel does not wait for us
                if time.monotonic() > end:
                    raise
                time.sleep(PAUSE)

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def be_patient(self) -> None:
        """Let it be silent for as long as it likes, once it has said who it is. Raises Failure."""
        self.ask("version", {})
        self._socket.settimeout(None)

    def ask(self, command: str, arguments: Mapping[str, Any], progress: Callable[[Plain], None] | None = None) -> Plain:
        """The answer to a command, after each *progress* of it. Raises Failure."""
        question = encode({"command": command, "arguments": arguments})
        if len(question) > LONGEST_QUESTION:
            raise Failure(f"that is too long: a command may have {LONGEST_QUESTION >> 10} KiB", codes.USAGE)
        try:
            self._socket.sendall(question)
        except OSError:
            pass  # refused before it was read; what was said to that can still be read
        while True:
            message = self._next()
            if "answer" in message:
                answer: Plain = message["answer"]
                return answer
            if "error" in message:
                raise Failure(message["error"], message.get("code", codes.FAILED))
            if progress is not None and "progress" in message:
                progress(message["progress"])

    def _next(self) -> Plain:
        try:
            while not self._heard:
                data = self._socket.recv(65536)
                if not data:
                    raise Failure(f"the daemon at {self.path} has gone away before it answered", codes.UNREACHABLE)
                self._heard += self._lines.feed(data)
            return decode(self._heard.pop(0))
        except TimeoutError:
            raise Failure(f"the daemon at {self.path} does not answer", codes.TIMED_OUT) from None
        except (OSError, Malformed):
            raise Failure(f"the connection to the daemon at {self.path} is broken", codes.UNREACHABLE) from None


def _unreachable(path: str, error: OSError) -> Failure:
    if isinstance(error, PermissionError):
        return Failure(
            f"you may not use {path}: try as root, as the user the daemon runs as, or as a member of its control.group",
            codes.DENIED,
        )
    if isinstance(error, FileNotFoundError | ConnectionRefusedError | NotADirectoryError):
        return Failure(f"no daemon listens at {path}: is it running, and its option control.socket?", codes.UNREACHABLE)
    if isinstance(error, TimeoutError | BlockingIOError):
        return Failure(f"the daemon at {path} does not answer", codes.TIMED_OUT)
    return Failure(f"cannot connect to {path}: {error.strerror or error}", codes.UNREACHABLE)


# --- which daemon ---


def find(environ: Mapping[str, str], config: str | None = None) -> str:
    """The socket of the only daemon there is, or of the one that runs with the file *config*. Raises Failure."""
    paths = places.sockets(environ)
    if config is not None and (named := environ.get(VARIABLE)):
        paths.append(named)  # it may be what the daemon was told by its environment, too
    alive, mute = _alive(paths)
    if config is not None:
        file = os.path.realpath(config)
        alive = {path: who for path, who in alive.items() if who["config"] and os.path.realpath(who["config"]) == file}
        if not alive:
            others = f"\n{mute}" if mute else ""
            raise Failure(f"no daemon runs with {config}: is it running?{others}", codes.UNREACHABLE)
    if len(alive) == 1:
        return next(iter(alive))
    if alive:
        lines = (f"  --socket {path}    {_told(who)}" for path, who in alive.items())
        raise Failure("several daemons run; say which:\n" + "\n".join(lines), codes.USAGE)
    if mute:
        raise mute
    looked = ", ".join(places.folders(environ))
    raise Failure(
        f"no daemon found (looked in {looked}): is it running? One with a control.socket of its own is found by"
        " -c FILE or --socket PATH",
        codes.UNREACHABLE,
    )


def _alive(paths: Iterable[str]) -> tuple[dict[str, Plain], Failure | None]:
    """Who answers, by his socket; and why somebody is there who does not."""
    alive: dict[str, Plain] = {}
    mute = None
    for path in paths:
        try:
            with Client(path, LOOK_TIMEOUT) as client:
                alive[path] = client.ask("version", {})
        except Failure as failure:
            if failure.code in (codes.DENIED, codes.TIMED_OUT):
                mute = failure
    return alive, mute


def _told(who: Plain) -> str:
    run = f"-c {who['config']}" if who["config"] else who["app"]
    return f"{run}, process {who['pid']}, {' '.join(who['listening'])}"
