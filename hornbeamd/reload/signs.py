"""Signs that files may have changed: from the system (inotify, through watchdog), or from looking again and again.

A sign says when to look, not what has changed: the events of a save differ from editor to editor and from system to
system, and what counts is how the files are afterwards.
"""

from __future__ import annotations

import errno
import os
import socket
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable

import anyio
from anyio import to_thread
from watchdog.events import (
    DirCreatedEvent,
    DirDeletedEvent,
    DirMovedEvent,
    FileClosedEvent,
    FileCreatedEvent,
    FileDeletedEvent,
    FileModifiedEvent,
    FileMovedEvent,
    FileSystemEvent,
    FileSystemEventHandler,
)
from watchdog.observers import Observer
from watchdog.observers.api import ObservedWatch

from hornbeamd.reload.patterns import Patterns
from hornbeamd.reload.snapshot import Place, Snapshot

# Not those of reading, of which each import of a module makes some.
EVENTS: list[type[FileSystemEvent]] = [
    FileCreatedEvent,
    FileModifiedEvent,
    FileClosedEvent,
    FileMovedEvent,
    FileDeletedEvent,
    DirCreatedEvent,
    DirMovedEvent,
    DirDeletedEvent,
]

LIMITS = {
    errno.ENOSPC: "fs.inotify.max_user_watches",
    errno.EMFILE: "fs.inotify.max_user_instances",
}


class Signs(ABC):
    """What tells of changes."""

    @abstractmethod
    def cover(self, snapshot: Snapshot) -> bool:
        """Watch the places of *snapshot*, and only these; tells whether some are new. Blocks for a moment.

        Raises OSError when the system does not let us.
        """

    @abstractmethod
    async def wait(self) -> None:
        """Wait for a sign, since the last that was waited for."""

    def close(self) -> None:
        """Watch no more."""


class Events(Signs):
    """The signs that the system gives."""

    def __init__(self, patterns: Patterns) -> None:
        self._handler = _Handler(patterns)
        # It warns of itself when it finds a new folder twice, by the event and by looking into the one above.
        warnings.filterwarnings("ignore", "Callback with id", RuntimeWarning)
        self._observer = Observer()
        self._observer.start()
        self._watches: dict[Place, ObservedWatch] = {}

    def cover(self, snapshot: Snapshot) -> bool:
        self._handler.leading = frozenset(snapshot.leading)
        for place in self._watches.keys() - (snapshot.places & self._alive()):
            self._observer.unschedule(self._watches.pop(place))
        missing = sorted(snapshot.places - self._watches.keys(), key=lambda place: place.path)
        for place in missing:
            self._watches[place] = self._schedule(place.path, recursive=place.recursive)
        if missing:
            self._prove_room()
        return bool(missing)

    def _alive(self) -> set[Place]:
        """The places that are still watched; a folder that is removed ends its watch."""
        watches = {emitter.watch for emitter in self._observer.emitters if emitter.should_keep_running()}
        return {place for place, watch in self._watches.items() if watch in watches}

    def _schedule(self, path: str, *, recursive: bool) -> ObservedWatch:
        return self._observer.schedule(self._handler, path, recursive=recursive, event_filter=EVENTS)

    def _prove_room(self) -> None:
        """Raise OSError when the system's limit was reached: watchdog passes over folders, not the first, that it
        could not watch. One that nothing else here watches is refused then, too."""
        self._observer.unschedule(self._schedule("/dev", recursive=False))

    async def wait(self) -> None:
        await self._handler.wait()

    def close(self) -> None:
        self._observer.stop()
        self._observer.join()
        self._handler.close()


class _Handler(FileSystemEventHandler):
    """Passes on that something has happened, from the threads of watchdog to the event loop."""

    def __init__(self, patterns: Patterns) -> None:
        self._patterns = patterns
        self.leading: frozenset[str] = frozenset()
        self._waits, self._wakes = socket.socketpair()
        self._waits.setblocking(False)
        self._wakes.setblocking(False)

    def dispatch(self, event: FileSystemEvent) -> None:
        """Called by watchdog, in a thread of its own."""
        if self._matters(event):
            try:
                self._wakes.send(b"!")
            except BlockingIOError:
                pass  # the loop has not read the last ones

    def _matters(self, event: FileSystemEvent) -> bool:
        names = {os.path.basename(os.fsdecode(path)) for path in (event.src_path, event.dest_path)}
        fits = self._patterns.enters if event.is_directory else self._patterns.may_want
        return any(name in self.leading or (name and fits(name)) for name in names)

    async def wait(self) -> None:
        await anyio.wait_readable(self._waits)
        self._waits.recv(4096)

    def close(self) -> None:
        self._waits.close()
        self._wakes.close()


class Polls(Signs):
    """A look every *interval* seconds."""

    def __init__(self, look: Callable[[], Snapshot], interval: float) -> None:
        self._look = look
        self._interval = interval
        self._last = Snapshot()

    def cover(self, snapshot: Snapshot) -> bool:
        self._last = snapshot
        return False

    async def wait(self) -> None:
        while True:
            await anyio.sleep(self._interval)
            now = await to_thread.run_sync(self._look)
            if now.differing(self._last):
                self._last = now
                return
