"""Starts the daemon, and gives the exit status of its process."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
from collections.abc import Callable
from dataclasses import replace

import anyio

from hornbeamd.config.resolve import Loaded
from hornbeamd.errors import SupervisionError
from hornbeamd.observe import logs
from hornbeamd.supervisor import healing
from hornbeamd.supervisor.binds import Listeners
from hornbeamd.supervisor.daemon import Daemon
from hornbeamd.supervisor.healing import Healing
from hornbeamd.supervisor.notify import Notifier
from hornbeamd.supervisor.reaper import become_subreaper
from hornbeamd.supervisor.resources import Resources, open_logs, opened

log = logging.getLogger("hornbeamd.supervisor")

EXIT_OK = 0
EXIT_FAILED = 1


def run(loaded: Loaded, reload: Callable[[], Loaded]) -> int:
    """Serve until told to end; gives the exit status of the process.

    ``reload`` reads the configuration anew, from the sources that ``loaded`` came from; it raises
    ConfigError. In development mode an application that cannot start is waited for, and tried again.
    """
    next_: Loaded | int = loaded
    while isinstance(next_, Loaded):
        next_ = _run_once(next_, reload)
    return next_


def _run_once(loaded: Loaded, reload: Callable[[], Loaded]) -> int | Loaded:
    """Serve until the end; gives the exit status, or the configuration to begin again with."""
    options = loaded.options
    logs.setup(replace(options.log, file=None), role="supervisor")  # until the log file is open, or cannot be
    in_file = False
    try:
        open_logs(options)
        in_file = options.log.file is not None
        become_subreaper()
        with opened(options) as resources:
            why = anyio.run(_serve, loaded, reload, resources)
        if why:
            # New sockets, for the end of the daemon is the end of its own.
            with contextlib.closing(Listeners(options, os.environ)) as listeners:
                return anyio.run(Healing(loaded, reload, why).wait, listeners.current) or EXIT_OK
        return EXIT_OK
    except (SupervisionError, LookupError, OSError) as error:
        log.critical("cannot start", extra={"fields": {"error": str(error)}})
        Notifier(os.environ, "").status(f"cannot start: {error}")
        if in_file:  # whoever watches the start sees no more of it than this
            sys.stderr.write(f"hornbeamd: {error}\n")
        return EXIT_FAILED


async def _serve(loaded: Loaded, reload: Callable[[], Loaded], resources: Resources) -> str:
    """Run the daemon; gives why it had to give up where that is not to be the end, else ""."""
    try:
        await Daemon(loaded.options, reload, resources, loaded.file).run()
    except SupervisionError as error:
        if not healing.waits(loaded.options):
            raise
        return str(error)
    return ""
