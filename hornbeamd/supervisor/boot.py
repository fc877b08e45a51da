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
from hornbeamd.errors import GivenUp, SupervisionError
from hornbeamd.observe import logs
from hornbeamd.supervisor import healing, keeper
from hornbeamd.supervisor.binds import Listeners
from hornbeamd.supervisor.daemon import Daemon
from hornbeamd.supervisor.healing import Healing
from hornbeamd.supervisor.keeper import Heirs
from hornbeamd.supervisor.notify import Notifier
from hornbeamd.supervisor.predecessor import Predecessor
from hornbeamd.supervisor.reaper import become_subreaper
from hornbeamd.supervisor.resources import Resources, open_logs, opened, try_logs
from hornbeamd.supervisor.successor import Command
from hornbeamd.supervisor.upgrade import Lineage
from hornbeamd.supervisor.workers import gist

log = logging.getLogger("hornbeamd.supervisor")

EXIT_OK = 0
EXIT_FAILED = 1


def run(loaded: Loaded, reload: Callable[[], Loaded], command: Command | None = None) -> int:
    """Serve until told to end; gives the exit status of the process.

    ``reload`` reads the configuration anew, from the sources that ``loaded`` came from; it raises
    ConfigError. ``command`` starts another daemon like this one; without it there are no upgrades. In development mode
    an application that cannot start is waited for, and tried again.
    """
    logs.setup(replace(loaded.options.log, file=None), role="supervisor")  # until the log file is open, or cannot be
    try:
        lineage = Lineage(command, Predecessor.of(os.environ))
    except SupervisionError as error:
        log.critical("cannot take over", extra={"fields": {"error": str(error)}})
        return EXIT_FAILED
    next_: Loaded | int = loaded
    while isinstance(next_, Loaded):
        next_ = _run_once(next_, reload, lineage)
    return next_


def _run_once(loaded: Loaded, reload: Callable[[], Loaded], lineage: Lineage) -> int | Loaded:
    """Serve until the end; gives the exit status, or the configuration to begin again with."""
    options, predecessor = loaded.options, lineage.predecessor
    logs.setup(replace(options.log, file=None), role="supervisor")
    in_file = False
    try:
        try_logs(options)
        open_logs(options)
        in_file = options.log.file is not None
        become_subreaper()
        heal = Healing(loaded, reload) if predecessor is None and healing.waits(options) else None
        if predecessor is not None:
            loaded = replace(loaded, options=predecessor.adapt(options))
        with opened(loaded, predecessor) as resources:
            next_ = anyio.run(_serve, loaded, reload, resources, lineage)
        if isinstance(next_, Heirs):
            return keeper.become(next_)
        if isinstance(next_, str):
            assert heal is not None
            # New sockets, for the end of the daemon is the end of its own.
            with contextlib.closing(Listeners.open(options, os.environ)) as listeners:
                return anyio.run(heal.wait, next_, listeners.current) or EXIT_OK
        return next_
    except (SupervisionError, LookupError, OSError) as error:
        served = isinstance(error, GivenUp)
        what = "gave up" if served else "cannot start"
        why = gist(str(error))
        log.critical(what, extra={"fields": {"error": why}})
        if predecessor is not None and not served:
            predecessor.fail(str(error))
            return EXIT_FAILED
        Notifier(os.environ, "").status(f"{what}: {why}")
        if in_file:  # whoever watches the start sees no more of it than this
            sys.stderr.write(f"hornbeamd: {why}\n")
        return EXIT_FAILED


async def _serve(
    loaded: Loaded, reload: Callable[[], Loaded], resources: Resources, lineage: Lineage
) -> Heirs | str | int:
    """Run the daemon; gives the exit status, or what is left to do: to be the keeper of others, or, in development
    mode, to wait until that heals which it had to give up for."""
    try:
        return await Daemon(loaded, reload, resources, lineage).run()
    except SupervisionError as error:
        if lineage.predecessor is not None or not healing.waits(loaded.options):
            raise
        return gist(str(error))
