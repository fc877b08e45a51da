"""Development mode: a server that cannot start waits until a file is saved, and browsers are told why."""

from __future__ import annotations

import contextlib
import logging
import socket
from collections.abc import AsyncIterable, Callable
from signal import SIGHUP, SIGINT, SIGQUIT, SIGTERM, Signals

import anyio
from anyio.abc import TaskGroup

from hornbeamd.config.options import Options
from hornbeamd.config.resolve import Loaded
from hornbeamd.errors import ConfigError
from hornbeamd.reload import page
from hornbeamd.supervisor.listeners import Listener
from hornbeamd.supervisor.watching import note_saved

log = logging.getLogger("hornbeamd.supervisor")

WHAT = "The server cannot start. This page looks again by itself; the whole traceback is in the log of the server."
# What a client may take to send its request, and to take the page.
PATIENCE = 2.0
PAUSE = 0.1


def waits(options: Options) -> bool:
    """Whether a start that fails is not the end."""
    return options.reload.watch and options.reload.development


class Healing:
    """The wait, to be made before the start that may fail, for what is saved from then on may be the repair.

    ``read`` gives the configuration as it is now; it raises ConfigError.
    """

    def __init__(self, loaded: Loaded, read: Callable[[], Loaded]) -> None:
        from hornbeamd.reload.watch import Watcher

        options, file = loaded.options, loaded.file
        self._options = options
        self._read = read
        self._watcher = Watcher(options.reload, options.pythonpath, [] if file is None else [file], self._saved)
        self._before = self._watcher.look()
        self._over: Callable[[], None]
        self._page: bytes
        self._healed: Loaded | None = None

    async def wait(self, why: str, listeners: list[Listener]) -> Loaded | None:
        """Return the configuration once files were saved and it is good; None when told to end. *why* is shown."""
        log.critical("cannot start; waiting for a file to be saved", extra={"fields": {"error": why}})
        self._page = page.render(why, WHAT, again=True)
        with anyio.open_signal_receiver(SIGTERM, SIGINT, SIGQUIT, SIGHUP) as signals:
            async with anyio.create_task_group() as group:
                self._over = group.cancel_scope.cancel
                group.start_soon(self._watcher.run, self._before)
                group.start_soon(self._obey, signals)
                for listener in listeners:
                    if not self._options.ssl:
                        group.start_soon(self._show, group, listener)
        return self._healed

    async def _saved(self, paths: set[str]) -> None:
        note_saved(paths)
        self._try_again()

    async def _obey(self, signals: AsyncIterable[Signals]) -> None:
        async for number in signals:
            log.info(f"{number.name} received")
            if number == SIGHUP:
                self._try_again()
            else:
                self._over()

    def _try_again(self) -> None:
        try:
            self._healed = self._read()
        except ConfigError as error:
            for problem in error.problems:
                log.error("the configuration has an error", extra={"fields": {"problem": problem}})
        else:
            self._over()

    async def _show(self, group: TaskGroup, listener: Listener) -> None:
        """Have every connection answered."""
        listener.socket.setblocking(False)
        while True:
            await anyio.wait_readable(listener.socket)
            try:
                connection, _ = listener.socket.accept()
            except OSError:  # out of descriptors, say
                await anyio.sleep(PAUSE)
                continue
            group.start_soon(self._answer, connection)

    async def _answer(self, connection: socket.socket) -> None:
        """Answer a request, whatever it is, with the page."""
        head = "".join(f"{name}: {value}\r\n" for name, value in page.HEADERS)
        head = f"HTTP/1.1 500 Internal Server Error\r\n{head}content-length: {len(self._page)}\r\nconnection: close\r\n"
        answer = head.encode() + b"\r\n" + self._page
        with connection, anyio.move_on_after(PATIENCE):
            connection.setblocking(False)
            await anyio.wait_readable(connection)
            with contextlib.suppress(OSError):
                connection.recv(65536)
                connection.send(answer)
