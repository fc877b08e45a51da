"""Which files are watched, told by their paths alone."""

from __future__ import annotations

from collections.abc import Iterable
from fnmatch import fnmatchcase

# Folders in which nobody edits the code that runs; hidden ones, .git and .venv among them, are left out by their dot.
FOLDERS = frozenset({"__pycache__", "node_modules", "site-packages"})

# What editors write beside a file while they save it, and remove again: Emacs, Vim (4913 tries whether the folder can
# be written to), JetBrains, Kate, GNOME.
TEMPORARY = ("#*#", ".#*", "*~", "4913", "*.sw[a-px]", "*.swpx", "*___jb_*___", "*.kate-swp", "*.goutputstream-*")


class Patterns:
    """Files that one of *include* fits and none of *exclude*; what editors write for a moment is never among them.

    Paths are relative to the watched folder, with "/". A pattern without "/" is for names; in *exclude* also for the
    names of folders, and then all that is in them is left out. As in a shell a wildcard does not stand for the dot of a
    hidden name.
    """

    def __init__(self, include: Iterable[str], exclude: Iterable[str] = ()) -> None:
        self._include = tuple(include)
        self._include_names = tuple(pattern.rpartition("/")[2] for pattern in self._include)
        self._exclude = tuple(pattern.rstrip("/") for pattern in exclude)

    def may_want(self, name: str) -> bool:
        """Whether a file of that *name* can be watched, wherever it is."""
        return _fits(name, self._include_names) and not _is_temporary(name)

    def enters(self, folder: str) -> bool:
        """Whether there may be watched files in *folder*, which is one that is entered up to its own name."""
        name = folder.rpartition("/")[2]
        return not (name.startswith(".") or name in FOLDERS or _fits(folder, self._exclude))

    def wants(self, file: str) -> bool:
        """Whether the *file*, in a folder that is entered, is watched."""
        if _is_temporary(file.rpartition("/")[2]):
            return False
        return _fits(file, self._include) and not _fits(file, self._exclude)


def _is_temporary(name: str) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in TEMPORARY)


def _fits(path: str, patterns: tuple[str, ...]) -> bool:
    name = path.rpartition("/")[2]
    return any(_fits_one(path if "/" in pattern else name, pattern) for pattern in patterns)


def _fits_one(text: str, pattern: str) -> bool:
    hidden = text.rpartition("/")[2].startswith(".")
    return fnmatchcase(text, pattern) and (not hidden or pattern.rpartition("/")[2].startswith("."))
