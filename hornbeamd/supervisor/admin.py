"""The admin listener in the daemon: its sockets, which follow reloads as all do, and who attends to them."""

from __future__ import annotations

import logging
import socket
from collections.abc import Sequence

import anyio
from anyio.abc import TaskGroup

from hornbeamd.admin.exposition import Exposition
from hornbeamd.admin.listening import Door
from hornbeamd.admin.pages import Pages
from hornbeamd.config.address import Address
from hornbeamd.config.options import Options
from hornbeamd.supervisor.binds import Listeners
from hornbeamd.supervisor.census import Census
from hornbeamd.supervisor.listeners import Listener
from hornbeamd.worker.scoreboard import Scoreboard

log = logging.getLogger("hornbeamd.supervisor")


class AdminListeners(Listeners):
    """The sockets of ``admin.bind``. No worker gets them."""

    def wanted(self, options: Options) -> Sequence[Address]:
        return options.admin.bind

    def announce(self, listeners: Sequence[Listener]) -> None:
        for listener in listeners:
            log.info(f"admin listener at {listener.url(tls=False)}")


class Admin:
    """Answers at *listeners* with what *census* knows. Workers measure requests as long as there is one: *board*."""

    def __init__(self, group: TaskGroup, listeners: AdminListeners, census: Census, board: Scoreboard) -> None:
        self._group = group
        self._listeners = listeners
        self._board = board
        self._door = Door(group, Pages(census, Exposition(census.take).answer).respond)
        self._attended: list[Listener] = []
        self._accepting: set[anyio.CancelScope] = set()

    def attend(self) -> None:
        """Accept at all sockets that are open now. Those that are closed are left by themselves."""
        before, self._attended = self._attended, list(self._listeners.current)
        for listener in self._attended:
            if not any(listener is each for each in before):
                # A descriptor of its own: ours may be closed, and its number used again, at any moment.
                self._group.start_soon(self._accept, listener.socket.dup())
        self._board.measured = bool(self._attended)

    def leave(self) -> None:
        """Accept no more: the sockets are another daemon's. Conversations go on."""
        for scope in self._accepting:
            scope.cancel()

    async def _accept(self, sock: socket.socket) -> None:
        with anyio.CancelScope() as scope:
            self._accepting.add(scope)
            await self._door.attend(sock)
        self._accepting.discard(scope)
