"""Reloads by themselves, when files are saved (``reload.watch``)."""

from __future__ import annotations

import logging
import os
from contextlib import suppress
from typing import Protocol

import anyio
from anyio.abc import TaskGroup

from hornbeamd.config.options import Options
from hornbeamd.supervisor.outcome import Outcome

log = logging.getLogger("hornbeamd.supervisor")

# As many are named in the log.
NAMED = 5


class Reloads(Protocol):
    """What is asked to reload."""

    async def reload(self, *, everything: bool = False) -> Outcome:
        """Reload what has changed of the application's modules, or *everything*.

        The reload goes on when this is cancelled: what it changes may end the watcher.
        """


class Watching:
    """The watcher of the running daemon: there while the options want it. *file* is the configuration's, if any."""

    def __init__(self, group: TaskGroup, reloads: Reloads, file: str | None) -> None:
        self._group = group
        self._reloads = reloads
        self._file = file
        self.serving = anyio.Event()
        """To be set when there is something to reload; what was saved before is loaded anew then."""
        self._wanted: tuple[object, ...] = ()
        self._scope = anyio.CancelScope()

    def adopt(self, options: Options) -> None:
        """Watch what *options* say, from now on."""
        wanted = (options.reload, options.pythonpath) if options.reload.watch else ()
        if wanted == self._wanted:
            return
        self._wanted = wanted
        self._scope.cancel()
        if wanted:
            self._scope = anyio.CancelScope()
            self._group.start_soon(self._watch, options, self._scope)

    async def _watch(self, options: Options, scope: anyio.CancelScope) -> None:
        from hornbeamd.reload.watch import Watcher  # and with it watchdog, which few daemons need

        files = [] if self._file is None else [self._file]
        with scope:
            try:
                await Watcher(options.reload, options.pythonpath, files, self._changed).run()
            except Exception:  # whatever it is that it met on disk, the server goes on
                log.exception("files are not watched any more")

    async def _changed(self, paths: set[str]) -> None:
        """Reload. What is no module, such as a template, no module is found to depend on: then all are loaded anew."""
        note_saved(paths)
        await self.serving.wait()
        everything = any(not path.endswith(".py") and path != self._file for path in paths)
        await self._reloads.reload(everything=everything)


def note_saved(paths: set[str]) -> None:
    """Tell the log which files were saved."""
    names = sorted(paths)[:NAMED]
    with suppress(FileNotFoundError):  # the working folder is an old release, and gone
        names = [os.path.relpath(path) for path in names]
    more = {"more": len(paths) - NAMED} if len(paths) > NAMED else {}
    log.info("files were saved", extra={"fields": {"files": names, **more}})
