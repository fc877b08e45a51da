"""What the watched files are at one moment, and where to watch so that no change of them is missed."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, field

from hornbeamd.reload.patterns import Patterns

Stamp = tuple[int, int, int, int, int]
"""Device, inode, size, and the times of the last change in ns, that which can be set back and that which cannot: what
is another one when a file was written or exchanged."""

# Each place costs a thread; where there would be more, one takes the whole folder, with all that is left out of it.
MOST_PLACES = 50


@dataclass(frozen=True, slots=True)
class Place:
    """A folder to watch. The inode tells a folder from another one that has taken its name."""

    path: str
    recursive: bool
    inode: int


@dataclass(slots=True)
class Snapshot:
    """The watched files with their stamps, the places to watch, and the names that matter in places above them."""

    files: dict[str, Stamp] = field(default_factory=dict)
    places: set[Place] = field(default_factory=set)
    leading: set[str] = field(default_factory=set)

    def differing(self, before: Snapshot) -> set[str]:
        """The files that are new, changed or gone since *before*."""
        both = self.files.keys() | before.files.keys()
        return {path for path in both if self.files.get(path) != before.files.get(path)}


def look(folders: Iterable[str], files: Iterable[str], patterns: Patterns) -> Snapshot:
    """Look at what *patterns* want below *folders*, and at single *files*; what is not there counts as not there yet.

    Folders that cannot be read are passed over. Symbolic links are followed, into each folder once.
    """
    snapshot = Snapshot()
    seen: set[tuple[int, int]] = set()
    for folder in folders:
        _lead(snapshot, folder)
        if os.path.isdir(folder):
            places = _Walk(snapshot, patterns, seen).folder(os.path.realpath(folder), "")
            if len(places) > MOST_PLACES:
                places = [Place(places[0].path, True, places[0].inode)]
            snapshot.places.update(places)
    for file in files:
        _lead(snapshot, file)
        if (stamp := _stamp(file)) is not None:
            snapshot.files[file] = stamp
    return snapshot


@dataclass(slots=True)
class _Walk:
    snapshot: Snapshot
    patterns: Patterns
    seen: set[tuple[int, int]]

    def folder(self, path: str, relative: str) -> list[Place]:
        """Take in the folder at *path*; gives the places that cover it, itself first.

        It is one place with all below it unless something there is left out, or lies elsewhere.
        """
        try:
            status = os.stat(path)
            entries = sorted(os.scandir(path), key=lambda entry: entry.name)
        except OSError:
            return []
        if (status.st_dev, status.st_ino) in self.seen:
            return []
        self.seen.add((status.st_dev, status.st_ino))
        below: list[Place] = []
        whole = True
        for entry in entries:
            name = f"{relative}/{entry.name}" if relative else entry.name
            if not _is_folder(entry):
                if self.patterns.wants(name) and (stamp := _stamp(entry.path)) is not None:
                    self.snapshot.files[entry.path] = stamp
            elif not self.patterns.enters(name) or os.path.exists(f"{entry.path}/pyvenv.cfg"):
                whole = whole and entry.name == "__pycache__"  # it is everywhere, and small
            else:
                places = self.folder(os.path.realpath(entry.path) if entry.is_symlink() else entry.path, name)
                whole = whole and not entry.is_symlink() and len(places) == 1
                below += places
        if whole:
            return [Place(path, True, status.st_ino)]
        return [Place(path, False, status.st_ino), *below]


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link that leads to itself
        return False


def _lead(snapshot: Snapshot, path: str) -> None:
    """Add the folders in which *path* may come to be, or become another one: the one it is in, those that hold a link
    on the way to it, and the last one that is there, when not all are."""
    parts = path.split("/")
    for end in range(2, len(parts) + 1):
        step = "/".join(parts[:end])
        exists = os.path.exists(step)
        if step == path or os.path.islink(step) or not exists:
            _add_leading(snapshot, step)
        if not exists:
            break


def _add_leading(snapshot: Snapshot, path: str) -> None:
    folder, name = os.path.split(path)
    try:
        snapshot.places.add(Place(os.path.realpath(folder), False, os.stat(folder).st_ino))
    except OSError:
        return
    snapshot.leading.add(name)
    if os.path.islink(path):  # a link may lead through another one beside it, as a ConfigMap's of Kubernetes do
        snapshot.leading.add(os.readlink(path).partition("/")[0])


def _stamp(path: str) -> Stamp | None:
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns
