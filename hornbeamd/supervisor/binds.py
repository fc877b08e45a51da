"""The set of listening sockets, and how a reload changes it.

    change = listeners.prepare(options)     what is new is open, or nothing has changed; a new spawner gets all sockets
    await change.commit()                   what is not wanted any more is emptied by the new workers, and closed
    change.revert()                         as if nothing had happened

An address that stays in the configuration keeps its socket, whatever becomes of the others.
"""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import stat
from collections.abc import Callable, Iterable, MutableMapping, Sequence
from typing import Self

import anyio

from hornbeamd.config.address import Address
from hornbeamd.config.options import Options
from hornbeamd.errors import SupervisionError
from hornbeamd.supervisor import closing, fdstore
from hornbeamd.supervisor.listeners import Listener, activated, inherited_descriptors, open_bind, restored

log = logging.getLogger("hornbeamd.supervisor")


class Listeners:
    """The sockets: ``current`` are those of ``options``; ``leaving``, during a change, those that are to go.

    ``lasting`` are those that systemd keeps when this daemon ends (fdstore.py).
    """

    def __init__(self, options: Options, current: list[Listener], *, lasting: bool = False) -> None:
        self.options = options
        self.current = current
        self.leaving: list[Listener] = []
        self.lasting = lasting
        self.found: set[Address] = set()
        """What systemd had kept when this daemon started."""

    @classmethod
    def open(cls, options: Options, environ: MutableMapping[str, str]) -> Self:
        """Open what *options* name. Raises SupervisionError, naming address and reason, and leaves nothing open then.

        Sockets handed over by systemd take the place of ``bind``, unless that names descriptors itself (``fd://3``).
        """
        listeners = cls(options, [], lasting=fdstore.is_offered(environ))
        inherited = inherited_descriptors(environ)
        kept = [(fd, bind) for fd, name in inherited if (bind := fdstore.bind_of(name)) is not None]
        listeners.found = {bind for _, bind in kept}
        others = [(fd, name) for fd, name in inherited if fdstore.bind_of(name) is None]
        listeners.current = activated(others, listeners.wanted(options))
        if listeners.current:
            for fd, _ in kept:
                os.close(fd)  # nobody would accept there
        else:
            try:
                listeners._open(kept)
            except BaseException:
                listeners.close()
                raise
        listeners.announce(listeners.current)
        return listeners

    def _open(self, kept: Sequence[tuple[int, Address]]) -> None:
        """Open what is wanted, but for what systemd has *kept*."""
        wanted = dict.fromkeys(self.wanted(self.options))
        for fd, bind in kept:
            listener = restored(fd, bind)
            if listener is not None and bind in wanted:
                self.current.append(listener)
                listener.follow(self.options)
            elif listener is not None:
                listener.close()
        have = {listener.bind for listener in self.current}
        for address in wanted:
            if address not in have:
                self.current += open_bind(address, self.options)

    def wanted(self, options: Options) -> Sequence[Address]:
        """Where to listen."""
        return options.bind

    @property
    def sockets(self) -> list[socket.socket]:
        """What a spawner that starts now is given."""
        return [listener.socket for listener in (*self.current, *self.leaving)]

    def prepare(self, options: Options) -> Change:
        """Open what *options* name anew. Raises SupervisionError, and has changed nothing then."""
        if any(listener.bind is None for listener in self.current):
            if self.wanted(options) != self.wanted(self.options):
                log.warning("the listening sockets are systemd's, so bind changes nothing")
            return Change(self, options, [], contextlib.ExitStack())
        wanted = dict.fromkeys(self.wanted(options))
        staying = [listener for listener in self.current if listener.bind in wanted]
        leaving = [listener for listener in self.current if listener.bind not in wanted]
        have = {listener.bind for listener in staying}
        opened: list[Listener] = []
        with contextlib.ExitStack() as undo:
            for address in wanted:
                if address in have:
                    continue
                if address.kind == "fd":
                    raise SupervisionError(f"cannot listen on {address}: it can only be inherited at a start")
                for listener in open_bind(address, options, leaving):
                    opened.append(listener)
                    undo.callback(_withdraw, listener)
            for listener in staying:
                self._adjust(listener, options, undo)
            undo.callback(self._restore, self.current)
            self.current, self.leaving = [*staying, *opened], leaving
            return Change(self, options, opened, undo.pop_all())

    def announce(self, listeners: Sequence[Listener]) -> None:
        """Tell the log where connections are taken."""
        for listener in listeners:
            log.info(f"listening on {listener.url(tls=self.options.ssl)}")

    def refuse(self) -> None:
        """Have the kernel refuse new connections everywhere: the server ends."""
        self._leave_what_lasts()
        for listener in (*self.current, *self.leaving):
            listener.refuse()

    def close(self) -> None:
        """Close all of them."""
        self._leave_what_lasts()
        for listener in (*self.current, *self.leaving):
            listener.close()

    def _leave_what_lasts(self) -> None:
        if self.lasting:
            for listener in self.current:
                listener.ours = False

    def _adjust(self, listener: Listener, options: Options, undo: contextlib.ExitStack) -> None:
        """Have an open socket follow the options about it, and note how to go back."""
        old = self.options
        if _of_sockets(options) == _of_sockets(old):
            return
        if not listener.inherited:
            undo.callback(listener.socket.listen, old.backlog)
        if (path := listener.file) is not None:
            with contextlib.suppress(FileNotFoundError):
                status = os.stat(path)
                undo.callback(_unless_gone, os.chmod, path, stat.S_IMODE(status.st_mode))
                undo.callback(_unless_gone, os.chown, path, status.st_uid, status.st_gid)
        listener.follow(options)

    def _restore(self, before: list[Listener]) -> None:
        self.current, self.leaving = before, []


class Change:
    """A change of *listeners* that is prepared. It ends with one of ``commit`` and ``revert``."""

    def __init__(
        self, listeners: Listeners, options: Options, opened: Sequence[Listener], undo: contextlib.ExitStack
    ) -> None:
        self._listeners = listeners
        self._options = options
        self._opened = opened
        self._undo = undo

    async def commit(self) -> None:
        """Let go of what is not wanted any more; returns when connections are refused there.

        Those that came before are accepted by the workers until then, who hold these sockets, too.
        """
        self._undo.pop_all()
        self._listeners.options = self._options
        self._listeners.announce(self._opened)
        leaving = self._listeners.leaving
        try:
            await closing.close(leaving, self._options.graceful_timeout)
        finally:
            for listener in leaving:
                log.info("no longer listening", extra={"fields": {"address": listener.address}})
            self._listeners.leaving = []

    def revert(self) -> None:
        """Go back to what was before."""
        self._undo.close()


class Changes:
    """Several of them: all are prepared, or none is."""

    def __init__(self, listeners: Iterable[Listeners], options: Options) -> None:
        """Raises SupervisionError, and has changed nothing then."""
        self._changes: list[Change] = []
        try:
            for each in listeners:
                self._changes.append(each.prepare(options))
        except BaseException:
            self.revert()
            raise

    async def commit(self) -> None:
        """Let go of what is not wanted any more, everywhere."""
        async with anyio.create_task_group() as group:
            for change in self._changes:
                group.start_soon(change.commit)

    def revert(self) -> None:
        """Go back to what was before."""
        for change in self._changes:
            change.revert()


def _of_sockets(options: Options) -> tuple[object, ...]:
    """What an open socket follows."""
    return options.backlog, options.unix_socket_mode, options.unix_socket_owner


def _withdraw(listener: Listener) -> None:
    listener.refuse()
    listener.close()


def _unless_gone(act: Callable[..., None], *arguments: object) -> None:
    with contextlib.suppress(OSError):
        act(*arguments)
