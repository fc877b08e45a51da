"""What modules are loaded from: a finder that notes it, from the moment it is installed.

Only what lies below the application's folders is the application's, without the environments and packages that may be
there, too. All else is foreign.
"""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib.machinery import EXTENSION_SUFFIXES, ModuleSpec, PathFinder, SourceFileLoader
from types import ModuleType
from typing import Protocol
from zipimport import zipimporter

import hornbeamd

_NOT_OURS = {"site-packages", "dist-packages", "node_modules", "__pypackages__"}
_SERVER = os.path.dirname(hornbeamd.__file__)
_NEVER_OURS = tuple(
    os.path.join(folder, "")
    for folder in (
        os.path.dirname(os.__file__),
        _SERVER,
        *(os.path.join(os.path.dirname(_SERVER), name) for name in ("hornbeam_erlang", "hornbeam_ml")),
    )
)
"""The standard library, and ourselves where the server runs from its own sources."""
_RACY = 2.0
"""Seconds by which compiled code has to be younger than its source to be believed: it knows the source's time in
whole seconds only."""


@dataclass(frozen=True, slots=True)
class Stamp:
    """What a module was loaded from. ``path`` is None for a package without ``__init__``."""

    path: str | None
    sign: bytes
    """The digest of its text; of an extension in C what :func:`sign` gives."""

    @property
    def is_extension(self) -> bool:
        """Whether it is compiled code, of which a process can have one only."""
        return self.path is not None and self.path.endswith(tuple(EXTENSION_SUFFIXES))

    @property
    def is_package(self) -> bool:
        """Whether it may have submodules."""
        return self.path is None or os.path.basename(self.path).startswith("__init__.")


def stamp(spec: ModuleSpec) -> Stamp:
    """What a module would be loaded from now. Raises OSError."""
    if not spec.has_location or spec.origin is None:
        return Stamp(None, b"")
    if spec.origin.endswith(tuple(EXTENSION_SUFFIXES)):
        return Stamp(spec.origin, sign(spec.origin))
    with open(spec.origin, "rb") as file:
        return Stamp(spec.origin, digest(file.read()))


def digest(text: bytes) -> bytes:
    """What tells texts apart."""
    return hashlib.blake2b(text, digest_size=16).digest()


def sign(path: str) -> bytes:
    """What tells versions of a file apart that is too large to be read for it. Raises OSError."""
    told = os.stat(path)
    return f"{told.st_size} {told.st_mtime_ns}".encode()


class Folders:
    """The folders of the application."""

    def __init__(self, roots: Sequence[str]) -> None:
        self._roots = [os.path.join(root, "") for root in roots]

    def hold(self, path: str) -> bool:
        """Whether the file or folder at the absolute *path* is the application's."""
        if path.startswith(_NEVER_OURS):
            return False
        # Of roots that lie in each other any may call it the application's.
        return any(
            not any(part in _NOT_OURS or part.startswith(".") for part in path[len(root) :].split(os.sep))
            for root in self._roots
            if os.path.join(path, "").startswith(root)
        )

    def hold_module(self, spec: ModuleSpec) -> bool:
        """Whether the module is the application's."""
        if spec.has_location and spec.origin is not None:
            return self.hold(spec.origin) and not isinstance(spec.loader, zipimporter)
        return any(self.hold(place) for place in spec.submodule_search_locations or ())


class Notebook(Protocol):
    """Where a finder notes."""

    def name(self, name: str) -> bool:
        """A module of that name is the application's; whether it has had one of that name before."""

    def note(self, name: str, stamp: Stamp) -> None:
        """The application's module is about to be loaded from that."""

    def note_foreign(self, name: str, sign: bytes) -> None:
        """The foreign module is about to be loaded from a file with that :func:`sign`."""

    def miss(self, name: str) -> None:
        """There is no such module in any folder."""


class Finder:
    """Finds what :class:`~importlib.machinery.PathFinder` does, right before it is asked, and notes it."""

    def __init__(self, folders: Folders, notebook: Notebook) -> None:
        self._folders = folders
        self._notebook = notebook

    def install(self) -> None:
        """Be asked from now on."""
        sys.meta_path.insert(sys.meta_path.index(PathFinder), self)

    def remove(self) -> None:
        """Be asked no more."""
        if self in sys.meta_path:
            sys.meta_path.remove(self)

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Find the module as the import system asks for it."""
        spec = PathFinder.find_spec(name, path, target)
        if spec is None:
            self._notebook.miss(name)
        elif not self._folders.hold_module(spec):
            if spec.has_location and spec.origin is not None:
                with suppress(OSError):  # in an archive
                    self._notebook.note_foreign(name, sign(spec.origin))
        else:
            again = self._notebook.name(name)
            if type(spec.loader) is SourceFileLoader:
                spec.loader = _Loader(name, spec.loader.path, self._notebook.note, again=again)
            else:
                self._notebook.note(name, stamp(spec))
        return spec


class _Loader(SourceFileLoader):
    """Loads a module from its source, for the first time or *again*, and notes which text it was."""

    def __init__(self, name: str, path: str, note: Callable[[str, Stamp], None], *, again: bool) -> None:
        super().__init__(name, path)
        self._note = note
        self._again = again

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        """Note it. Here, and not where the module is run, so that no traceback has a frame of ours."""
        self._note(self.name, stamp(spec))
        return super().create_module(spec)

    def get_data(self, path: str) -> bytes:
        """Read a file; compiled code that could be of an older text is none (see _RACY)."""
        if path != self.path and path.endswith(".pyc"):
            source = os.stat(self.path)
            # Deployments may give all files one time, but cannot set that of the change. At first it says nothing: in
            # an image of a container it is when that was unpacked.
            changed = max(source.st_mtime, source.st_ctime) if self._again else source.st_mtime
            if os.stat(path).st_mtime < changed + _RACY:
                raise OSError(f"{path} may be older than its source")
        return super().get_data(path)
