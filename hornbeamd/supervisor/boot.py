"""Starts the daemon, and gives the exit status of its process."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable
from dataclasses import replace

import anyio

from hornbeamd.config.options import Options
from hornbeamd.config.resolve import Loaded
from hornbeamd.errors import SupervisionError
from hornbeamd.observe import logs
from hornbeamd.supervisor.daemon import Daemon
from hornbeamd.supervisor.notify import Notifier
from hornbeamd.supervisor.reaper import become_subreaper
from hornbeamd.supervisor.resources import Resources, open_logs, opened

log = logging.getLogger("hornbeamd.supervisor")

EXIT_OK = 0
EXIT_FAILED = 1


def run(loaded: Loaded, reload: Callable[[], Loaded]) -> int:
    """Serve until told to end; gives the exit status of the process.

    ``reload`` reads the configuration anew, from the sources that ``loaded`` came from; it raises
    ConfigError.
    """
    options = loaded.options
    logs.setup(replace(options.log, file=None), role="supervisor")  # until the log file is open, or cannot be
    in_file = False
    try:
        open_logs(options)
        in_file = options.log.file is not None
        become_subreaper()
        with opened(options) as resources:
            anyio.run(_serve, options, reload, resources)
            return EXIT_OK
    except (SupervisionError, LookupError, OSError) as error:
        log.critical("cannot start", extra={"fields": {"error": str(error)}})
        Notifier(os.environ, "").status(f"cannot start: {error}")
        if in_file:  # whoever watches the start sees no more of it than this
            sys.stderr.write(f"hornbeamd: {error}\n")
        return EXIT_FAILED


async def _serve(options: Options, reload: Callable[[], Loaded], resources: Resources) -> None:
    await Daemon(options, reload, resources).run()
