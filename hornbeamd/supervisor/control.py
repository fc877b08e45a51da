"""The control socket in the daemon: where it is (control/places.py), how it comes there, and who attends to it."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Mapping

from anyio.abc import TaskGroup

from hornbeamd.config.control import ControlOptions
from hornbeamd.control import places
from hornbeamd.control.operations import Operations
from hornbeamd.control.peers import Access
from hornbeamd.control.server import ControlServer
from hornbeamd.errors import SupervisionError
from hornbeamd.supervisor.listeners import Listener, open_unix
from hornbeamd.worker.identity import owner_ids

log = logging.getLogger("hornbeamd.supervisor")

BACKLOG = 1024
OFF = "nobody can control this daemon but by signals"


def open_control(options: ControlOptions, file: str | None, environ: Mapping[str, str]) -> Listener | None:
    """The listening socket for a daemon that runs with the configuration *file*; None where it is off.

    Raises SupervisionError when the path that the option names cannot be listened at. Where there is no place for one
    by default, as on a file system that is read-only, the log says so, and the daemon goes on.
    """
    if options.socket is None:
        return None
    try:
        if options.socket == "auto":
            return _open_by_default(options, file, environ)
        return _told(_open(options.socket, options))
    except SupervisionError as error:
        raise SupervisionError(f"control.socket: {error}") from None


def _open_by_default(options: ControlOptions, file: str | None, environ: Mapping[str, str]) -> Listener | None:
    folder, problems = places.prepare(environ)
    if not folder:
        fields = {"problems": problems, "option": "control.socket"}
        log.warning(f"there is no place for the control socket: {OFF}", extra={"fields": fields})
        return None
    _sweep(folder)
    try:
        return _first_free(folder, options, file)
    except SupervisionError as error:
        log.warning(f"no control socket: {OFF}", extra={"fields": {"error": str(error), "option": "control.socket"}})
        return None


def _first_free(folder: str, options: ControlOptions, file: str | None) -> Listener:
    """Under the name that everybody knows, if there is a *file*, or else under one of its own. Raises
    SupervisionError."""
    if file is not None:
        try:
            return _told(_open(os.path.join(folder, places.NAME), options))
        except SupervisionError as error:
            fields = {"error": str(error), "option": "control.socket"}
            log.warning("the control socket gets a name of its own", extra={"fields": fields})
    return _told(_open(os.path.join(folder, places.numbered(os.getpid())), options))


def _told(listener: Listener) -> Listener:
    log.info("control socket open", extra={"fields": {"path": listener.path}})
    return listener


def _open(path: str, options: ControlOptions) -> Listener:
    return open_unix(path, BACKLOG, options.mode, f":{options.group}" if options.group else None)


def _sweep(folder: str) -> None:
    """Remove the numbered sockets of daemons that were killed: their numbers may never come again."""
    for name in os.listdir(folder):
        path = os.path.join(folder, name)
        if name != places.NAME and places.is_ours(name) and _is_dead(path):
            try:
                os.unlink(path)
            except OSError:
                pass


def _is_dead(path: str) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            return True
        except OSError:
            pass
    return False


class Control:
    """Has *operations* done for those who ask at *listener*, if there is one, as *options* let them."""

    def __init__(
        self, group: TaskGroup, listener: Listener | None, operations: Operations, options: ControlOptions
    ) -> None:
        self._group = group
        self._server: ControlServer | None = None
        if listener is not None:
            gid = None if options.group is None else owner_ids(None, options.group)[1]
            self._server = ControlServer(listener.socket, operations, Access(os.geteuid(), gid, options.group_may))

    def attend(self) -> None:
        """Let clients in from now on."""
        if self._server is not None:
            self._group.start_soon(self._server.run)

    def leave(self) -> None:
        """Let nobody in any more: the socket is another daemon's. Who has asked something gets the answer."""
        if self._server is not None:
            self._server.leave()
