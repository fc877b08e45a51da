"""What the daemon opens before anything runs, and closes after everything has ended."""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Iterator
from dataclasses import dataclass

from hornbeamd.config.options import Options
from hornbeamd.config.resolve import Loaded
from hornbeamd.errors import SupervisionError
from hornbeamd.observe import logs
from hornbeamd.observe.sink import Sink
from hornbeamd.supervisor import fdstore
from hornbeamd.supervisor.admin import AdminListeners
from hornbeamd.supervisor.binds import Changes, Listeners
from hornbeamd.supervisor.control import open_control
from hornbeamd.supervisor.listeners import Listener
from hornbeamd.supervisor.pidfile import Pidfile
from hornbeamd.supervisor.predecessor import Predecessor
from hornbeamd.supervisor.runtime import Runtime
from hornbeamd.worker.channel import Message
from hornbeamd.worker.identity import owner_ids
from hornbeamd.worker.scoreboard import Scoreboard

log = logging.getLogger("hornbeamd.supervisor")


@dataclass(slots=True)
class Resources:
    """All of them, open. What an upgrade hands over is for one daemon alone to remove: ``take`` and ``leave`` say for
    which."""

    listeners: Listeners
    admin: AdminListeners
    control: Listener | None
    """Where hornbeamctl connects, if it can."""
    board: Scoreboard
    runtime: Runtime
    pidfile: Pidfile | None
    changes: Changes | None
    """Of the listeners, when those that were handed over are not what is configured."""

    def take(self) -> None:
        """They are this process's from now on."""
        self._are_ours(True)
        if self.pidfile is not None:
            self.pidfile.take()

    def leave(self) -> None:
        """They are another process's from now on."""
        self._are_ours(False)

    def _are_ours(self, ours: bool) -> None:
        for listeners in (self.listeners, self.admin):
            for listener in (*listeners.current, *listeners.leaving):
                listener.ours = ours
        if self.control is not None:
            self.control.ours = ours
        self.runtime.ours = ours
        if self.pidfile is not None:
            self.pidfile.ours = ours

    def sockets(self) -> dict[str, list[Message]]:
        """The listening sockets, by what they are for, as another process that inherits them has to know them."""
        return {
            "web": [listener.plain() for listener in self.listeners.current],
            "admin": [listener.plain() for listener in self.admin.current],
            "control": [] if self.control is None else [self.control.plain()],
        }


@contextlib.contextmanager
def opened(loaded: Loaded, predecessor: Predecessor | None = None) -> Iterator[Resources]:
    """Open them, or inherit them from the daemon before this one.

    Raises SupervisionError, LookupError and OSError, and leaves nothing open then.
    """
    options = loaded.options
    with contextlib.ExitStack() as stack:
        pidfile = changes = None
        estate = None if predecessor is None else predecessor.estate
        if options.pidfile is not None:
            locked = estate.pidfile if estate is not None else None
            pidfile = Pidfile(options.pidfile, locked["fd"] if locked else -1)
            stack.callback(pidfile.remove)
        if predecessor is None:
            listeners = Listeners.open(options, os.environ)
            stack.callback(listeners.close)
            admin = AdminListeners.open(options, {})
            stack.callback(admin.close)
        else:
            handed = _handed(predecessor, "web")
            listeners = Listeners(predecessor.options, handed, lasting=fdstore.is_offered(os.environ))
            stack.callback(listeners.close)
            admin = AdminListeners(predecessor.options, _handed(predecessor, "admin"))
            stack.callback(admin.close)
            changes = Changes((listeners, admin), options)
            stack.callback(changes.revert)
            listeners.announce(listeners.current)
        control = _control(loaded, predecessor)
        if control is not None:
            stack.callback(control.close)
        if options.certfile is not None and not options.ssl:
            log.warning("certfile is set, but ssl is false: nothing is encrypted")
        board = Scoreboard.create()
        stack.callback(board.close)
        runtime = Runtime(options, estate.runtime if estate is not None else None)
        stack.callback(runtime.close)
        yield Resources(listeners, admin, control, board, runtime, pidfile, changes)


def _control(loaded: Loaded, predecessor: Predecessor | None) -> Listener | None:
    handed = [] if predecessor is None else _handed(predecessor, "control")
    return handed[0] if handed else open_control(loaded.options.control, loaded.file, os.environ)


def _handed(predecessor: Predecessor, what_for: str) -> list[Listener]:
    return [Listener.handed(each) for each in predecessor.estate.sockets.get(what_for, ())]


def open_logs(options: Options) -> None:
    """Open the event log, and see to it that the user the workers run as can open the logs as well.

    Raises OSError when a file cannot be opened, LookupError when there is no such user.
    """
    owner = _log_owner(options)
    if owner is not None and options.log.access not in ("off", "-"):
        Sink(options.log.access, owner=owner).close()  # only workers write to it, but they may not make it
    logs.setup(options.log, role="supervisor", owner=owner)


def try_logs(options: Options) -> None:
    """See whether the files of the logs can be opened. Raises SupervisionError when not."""
    for path in (options.log.file, options.log.access):
        if path not in (None, "off", "-"):
            try:
                Sink(path, owner=_log_owner(options)).close()
            except (OSError, LookupError) as error:
                raise SupervisionError(f"cannot log to {path}: {getattr(error, 'strerror', error)}") from None


def _log_owner(options: Options) -> tuple[int, int] | None:
    """Whose the files must be for workers to be able to open them; None where they may anyway."""
    if options.user is None and options.group is None:
        return None
    return owner_ids(options.user, options.group)
