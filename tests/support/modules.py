"""Modules in a folder, which are written, loaded, changed and loaded anew in the process of the test."""

from __future__ import annotations

import contextlib
import importlib
import os
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

from hornbeamd.reload.code import Code
from hornbeamd.reload.swap import Swap


class Project:
    """A folder on ``sys.path`` and the :class:`Code` that watches it; *running* is the mark of what is running."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.running: object = None
        self.code = Code([str(folder)], lambda: self.running)

    def write(self, **texts: str | None) -> None:
        """Write modules by name, "__" between the parts of one: ``shop__views="..."``. None deletes one."""
        for name, text in texts.items():
            package = name.removesuffix("____init__")
            self.put(package.replace("__", "/") + ("/__init__.py" if package != name else ".py"), text)

    def put(self, path: str, text: str | None) -> None:
        """Write the file at *path*, relative to the folder, or delete it."""
        file = self.folder / path
        if text is None:
            file.unlink()
            return
        file.parent.mkdir(parents=True, exist_ok=True)
        # As editors do. It also keeps readers from half a file.
        fresh = file.with_suffix(".new")
        fresh.write_text(textwrap.dedent(text))
        os.replace(fresh, file)

    def load(self, name: str) -> ModuleType:
        """Import a module."""
        return importlib.import_module(name)

    def begin(self, **texts: str | None) -> Swap:
        """Write, and begin a swap."""
        self.write(**texts)
        return self.code.begin()

    def swap(self, **texts: str | None) -> Swap:
        """Write, and swap; gives the swap, committed and not yet retired."""
        swap = self.begin(**texts)
        swap.load(lambda: None)
        swap.commit()
        return swap


@contextlib.contextmanager
def project(folder: Path) -> Iterator[Project]:
    """A project in *folder*; afterwards nothing is left in this process."""
    before, path = set(sys.modules), list(sys.path)
    sys.path.insert(0, str(folder))
    project = Project(folder)
    project.code.watch()
    try:
        yield project
    finally:
        project.code.unwatch()
        sys.path[:] = path
        for name in [name for name in set(sys.modules) - before if _lies_in(folder, sys.modules[name])]:
            del sys.modules[name]
        importlib.invalidate_caches()


def _lies_in(folder: Path, module: ModuleType) -> bool:
    places = (getattr(module, "__file__", None) or "", *getattr(module, "__path__", ()))
    return any(place.startswith(str(folder)) for place in places)
