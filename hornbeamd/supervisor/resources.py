"""What the daemon opens before anything runs, and closes after everything has ended."""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Iterator
from dataclasses import dataclass

from hornbeamd.config.options import Options
from hornbeamd.errors import SupervisionError
from hornbeamd.observe import logs
from hornbeamd.observe.sink import Sink
from hornbeamd.supervisor.admin import AdminListeners
from hornbeamd.supervisor.binds import Listeners
from hornbeamd.supervisor.pidfile import Pidfile
from hornbeamd.supervisor.runtime import Runtime
from hornbeamd.worker.identity import owner_ids
from hornbeamd.worker.scoreboard import Scoreboard

log = logging.getLogger("hornbeamd.supervisor")


@dataclass(frozen=True, slots=True)
class Resources:
    """All of them, open."""

    listeners: Listeners
    admin: AdminListeners
    board: Scoreboard
    runtime: Runtime


@contextlib.contextmanager
def opened(options: Options) -> Iterator[Resources]:
    """Open them. Raises SupervisionError, LookupError and OSError, and leaves nothing open then."""
    with contextlib.ExitStack() as stack:
        if options.pidfile is not None:
            stack.callback(Pidfile(options.pidfile).remove)
        listeners = Listeners(options, os.environ)
        stack.callback(listeners.close)
        admin = AdminListeners(options)
        stack.callback(admin.close)
        if options.certfile is not None and not options.ssl:
            log.warning("certfile is set, but ssl is false: nothing is encrypted")
        board = Scoreboard.create()
        stack.callback(board.close)
        runtime = Runtime(options)
        stack.callback(runtime.close)
        yield Resources(listeners, admin, board, runtime)


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
