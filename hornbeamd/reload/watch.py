"""The watcher: says which files were saved, once they have come to rest.

    signs     when to look: what the system tells, or the clock        signs.py
    debounce  when what is being saved together has been saved         debounce.py
    snapshot  how the files are, and so which of them have changed     snapshot.py
    patterns  which files these are                                    patterns.py

It runs in the supervisor, in threads of watchdog and one for looking; nothing is forked from there.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence

import anyio
from anyio import to_thread

from hornbeamd.config.reload import ReloadOptions
from hornbeamd.reload.debounce import Debounce
from hornbeamd.reload.patterns import Patterns
from hornbeamd.reload.signs import LIMITS, Events, Polls, Signs
from hornbeamd.reload.snapshot import Snapshot, look

log = logging.getLogger("hornbeamd.reload")

# Files that do not rest for so long are loaded as they are.
LONGEST = 5.0
# git holds a lock while it writes a working tree; a lock that stays was left by one that was killed.
LONGEST_CHECKOUT = 30.0
# How often files are looked at where the system's own limits do not let it tell.
FALLBACK = 1.0


class Watcher:
    """Watches the files below *folders* that the options name, and single *files*; all paths are absolute.

    ``changed`` is called with the paths that are new, changed or gone. What changes while it runs comes next.
    """

    def __init__(
        self,
        options: ReloadOptions,
        folders: Sequence[str],
        files: Sequence[str],
        changed: Callable[[set[str]], Awaitable[object]],
    ) -> None:
        self._options = options
        self._folders = folders
        self._files = files
        self._changed = changed
        self._patterns = Patterns(options.include, options.exclude)
        self._debounce = Debounce(options.debounce, LONGEST)
        self._signs: Signs

    def look(self) -> Snapshot:
        """How the files are now."""
        return look(self._folders, self._files, self._patterns)

    async def run(self, since: Snapshot | None = None) -> None:
        """Watch until cancelled: what changes from now on, or has changed *since*."""
        self._signs = await to_thread.run_sync(self._open)
        try:
            now = await to_thread.run_sync(self._look_and_cover)
            before = now if since is None else since
            log.info("watching", extra={"fields": {"folders": list(self._folders), "files": len(now.files)}})
            while True:
                changed, before = now.differing(before), now
                if changed:
                    await self._changed(changed)
                await self._signs.wait()
                await self._rest()
                now = await to_thread.run_sync(self._look_and_cover)
        finally:
            with anyio.CancelScope(shield=True):
                await to_thread.run_sync(self._signs.close)

    def _open(self) -> Signs:
        if self._options.poll is not None:
            return Polls(self.look, self._options.poll)
        try:
            return Events(self._patterns)
        except OSError as error:
            return self._fall_back(error)

    def _fall_back(self, error: OSError) -> Signs:
        """Go on by looking every second, and say what would help."""
        limit = LIMITS.get(error.errno or 0)
        advice = f"raise {limit} (sysctl), or watch fewer folders" if limit else str(error)
        text = f"the system does not tell of changed files, so they are looked at every second: {advice}"
        log.warning(text, extra={"fields": {"error": os.strerror(error.errno or 0)}})
        return Polls(self.look, FALLBACK)

    def _look_and_cover(self) -> Snapshot:
        """Look, and see to it that nothing is missed from then on: what is watched only now may have changed before."""
        snapshot = self.look()
        try:
            while self._signs.cover(snapshot):
                snapshot = self.look()
        except FileNotFoundError:
            return snapshot  # gone since; the folder above it has told so
        except OSError as error:
            self._signs.close()
            self._signs = self._fall_back(error)
            self._signs.cover(snapshot)
        return snapshot

    async def _rest(self) -> None:
        """Return when the files have come to rest."""
        begun = time.monotonic()
        self._debounce.note(begun)
        while (due := self._debounce.due_in(time.monotonic())) or self._being_checked_out(begun):
            with anyio.move_on_after(due or self._options.debounce):
                await self._signs.wait()
                self._debounce.note(time.monotonic())
        self._debounce.take()

    def _being_checked_out(self, since: float) -> bool:
        return time.monotonic() < since + LONGEST_CHECKOUT and any(map(os.path.exists, git_locks(self._folders)))


def git_locks(folders: Iterable[str]) -> set[str]:
    """The files that git has while it changes a working tree that one of *folders* is in."""
    locks = set()
    for folder in folders:
        path = os.path.realpath(folder)
        while path != "/" and not os.path.exists(f"{path}/.git"):
            path = os.path.dirname(path)
        locks.add(f"{_git_folder(path)}/index.lock")
    return locks


def _git_folder(tree: str) -> str:
    """Where git keeps what belongs to a working tree; where it has several, one of them says so in a file."""
    try:
        with open(f"{tree}/.git", encoding="utf-8", errors="surrogateescape") as file:
            return os.path.join(tree, file.read().removeprefix("gitdir: ").strip())
    except OSError:
        return f"{tree}/.git"
