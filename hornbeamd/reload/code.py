"""The application's code in this process: what was loaded from where, and what has become of the files."""

from __future__ import annotations

import importlib
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType

from hornbeamd.reload import graph, obstacles
from hornbeamd.reload.holders import Holders
from hornbeamd.reload.noting import Finder, Folders, Stamp, stamp
from hornbeamd.reload.swap import Swap
from hornbeamd.reload.views import View, Views

_SERVER = ("hornbeamd", "hornbeam_erlang", "hornbeam_ml")


@dataclass(frozen=True, slots=True)
class Changes:
    """What has become of the files since their modules were loaded, by the names of the modules."""

    changed: frozenset[str] = frozenset()
    """They have another text, or would be found in another place."""
    deleted: frozenset[str] = frozenset()
    added: frozenset[str] = frozenset()
    """They were looked for in vain, and are there now."""
    foreign: frozenset[str] = frozenset()
    """They are not the application's: of its environment, say, or loaded past the usual import."""

    @property
    def names(self) -> frozenset[str]:
        """The application's."""
        return self.changed | self.deleted | self.added


class Code:
    """The modules that the application has below *roots*, the absolute folders of ``pythonpath``, in this process.

    *running* gives the mark (:attr:`~hornbeamd.reload.views.View.mark`) of the generation whose code is running, or
    None where nobody knows.
    """

    def __init__(self, roots: Sequence[str], running: Callable[[], object] = lambda: None) -> None:
        self._folders = Folders(roots)
        self._views = Views(running)
        self._finder = Finder(self._folders, self)
        self._since = time.time()
        self._read: dict[tuple[str, bytes], graph.References] = {}

    @property
    def current(self) -> View:
        """The generation that new requests run on."""
        return self._views.current

    def watch(self) -> None:
        """Note from now on what the application's modules are loaded from. Those that are loaded count as they are."""
        self._since = time.time()
        self._finder.install()
        for name, module in list(sys.modules.items()):
            spec = getattr(module, "__spec__", None)
            if isinstance(spec, ModuleSpec) and self._folders.hold_module(spec):
                self.note(name, stamp(spec))

    def unwatch(self) -> None:
        """Note nothing any more, and let go of all generations but the current one."""
        self._finder.remove()
        for view in self._views.others:
            self._views.remove(view)

    def note(self, name: str, stamp: Stamp) -> None:
        """See :class:`~hornbeamd.reload.noting.Notebook`."""
        self._views.names.add(name)
        stamps = self._views.seen().stamps
        stamps.pop(name, None)
        stamps[name] = stamp

    def miss(self, name: str) -> None:
        """See :class:`~hornbeamd.reload.noting.Notebook`."""
        self._views.seen().missed.add(name)

    # --- what has changed ----------------------------------------------------------------------------------------

    def changed(self) -> Changes:
        """Compare what is loaded with what is on disk."""
        importlib.invalidate_caches()
        changed, deleted = set(), set()
        for name, noted in self._loaded().items():
            now = self._now(name)
            if now is None:
                deleted.add(name)
            elif now != noted:
                changed.add(name)
                if now.path != noted.path:  # its modules lie elsewhere, too
                    changed.update(each for each in self._loaded() if each.startswith(f"{name}."))
        added = {name for name in self.current.missed if name not in self._views.real and self._now(name) is not None}
        return Changes(frozenset(changed - deleted), frozenset(deleted), frozenset(added), frozenset(self._foreign()))

    def _loaded(self) -> dict[str, Stamp]:
        return {name: noted for name, noted in self.current.stamps.items() if name in self._views.real}

    def _now(self, name: str) -> Stamp | None:
        """What the module would be loaded from now; None when it is not there."""
        parent = name.rpartition(".")[0]
        place = getattr(self._views.real.get(parent), "__path__", None) if parent else None
        if parent and place is None:
            return None
        try:
            spec = PathFinder.find_spec(name, place)
            return None if spec is None or not self._folders.hold_module(spec) else stamp(spec)
        except OSError:
            return None

    def _foreign(self) -> Iterator[str]:
        """The modules outside that were changed on disk after the watch began."""
        for name, module in list(self._views.real.items()):
            if name in self.current.stamps or name.partition(".")[0] in _SERVER:
                continue
            file = getattr(module, "__file__", None)
            if not isinstance(module, ModuleType) or not isinstance(file, str) or not os.path.isabs(file):
                continue
            try:
                told = os.stat(file)
            except OSError:
                yield name
            else:
                # The time of the change too: installers keep the time that a file has in the package.
                if max(told.st_mtime, told.st_ctime) > self._since:
                    yield name

    # --- swaps ---------------------------------------------------------------------------------------------------

    def begin(self, everything: bool = False) -> Swap:
        """Find out what has to be loaded anew; *everything*, or what changed and what depends on it.

        Raises CannotSwap. One swap at a time: each is committed or reverted before the next begins.
        """
        changes = self.changed()
        obstacles.judge_foreign(changes.foreign)
        loaded = self._loaded()
        depend = {name: graph.edges(self._references(name, noted), loaded) for name, noted in loaded.items()}
        changed = set(loaded) if everything else set(changes.names)
        names = self._closure(changed | changes.names, depend)
        if names:
            texts = [self._references(name, now) for name in names if (now := self._now(name)) is not None]
            obstacles.judge(names & set(loaded), loaded, self._views.real, texts)
        return Swap(self._views, [name for name in loaded if name in names], changes.deleted)

    def _closure(self, changed: set[str], depend: Mapping[str, graph.Edges]) -> set[str]:
        """What depends on the *changed*, by its text or by what it holds."""
        holders = Holders(self._views.real)
        names: set[str] = set()
        found = graph.affected(changed, depend, self._hollow)
        while found != names:
            names = found
            held = holders.of(names & set(depend), set(depend) - names)
            found = graph.affected(names | held, depend, self._hollow) if held else names
        return names

    def _hollow(self, name: str) -> bool:
        """Whether the package is nothing but a place for modules."""
        real = self._views.real
        return all(
            key.startswith("__") or value is real.get(f"{name}.{key}") for key, value in vars(real[name]).items()
        )

    def _references(self, name: str, noted: Stamp) -> graph.References:
        """What the text that is there now refers to; a text that cannot be read refers to nothing, and will say why."""
        if noted.path is None or not noted.path.endswith(".py"):
            return graph.References()
        key = name, noted.sign
        if key not in self._read:
            try:
                with open(noted.path, "rb") as file:
                    self._read[key] = graph.references(file.read(), name, package=noted.is_package)
            except (OSError, SyntaxError, ValueError):
                self._read[key] = graph.References()
        return self._read[key]
