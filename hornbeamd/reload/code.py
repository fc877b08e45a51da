"""The application's code in this process: what was loaded from where, and what has become of the files."""

from __future__ import annotations

import importlib
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from importlib.machinery import ModuleSpec, PathFinder
from weakref import WeakKeyDictionary

from hornbeamd.errors import CannotSwap
from hornbeamd.reload import graph, obstacles
from hornbeamd.reload.holders import Holders, classes_of
from hornbeamd.reload.noting import Finder, Folders, Stamp, sign, stamp
from hornbeamd.reload.swap import Swap
from hornbeamd.reload.texts import Texts
from hornbeamd.reload.view import View, namespace
from hornbeamd.reload.views import Views

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
    """They are not the application's: of its environment, say."""


@dataclass(slots=True)
class _Settled:
    """What the modules of a view held when they were loaded."""

    stamps: dict[str, Stamp] = field(default_factory=dict)
    """From what they were loaded that have been looked through."""
    holds: dict[str, set[str]] = field(default_factory=dict)
    """Of which others they hold something, by names."""


class Code:
    """The modules that the application has below *roots*, the absolute folders of ``pythonpath``, in this process.

    *running* gives the mark (:attr:`~hornbeamd.reload.view.View.mark`) of the generation whose code is running, or
    None where nobody knows.
    """

    def __init__(self, roots: Sequence[str], running: Callable[[], object] = lambda: None) -> None:
        self._folders = Folders(roots)
        self._views = Views(running)
        self._finder = Finder(self._folders, self)
        self._foreign: dict[str, bytes] = {}
        self._first_seen: dict[tuple[str, str], bytes] = {}
        self._before: frozenset[str] = frozenset()
        self._since = time.time()
        self._texts = Texts()
        self._settled: WeakKeyDictionary[View, _Settled] = WeakKeyDictionary()
        self._former: set[int] = set()

    @property
    def current(self) -> View:
        """The modules as the generation sees them that new requests run on."""
        return self._views.current

    def watch(self) -> None:
        """Note from now on what modules are loaded from. Those that are loaded count as they are now."""
        self._since, self._before = time.time(), frozenset(sys.modules)
        for name, module in list(sys.modules.items()):
            spec = namespace(module).get("__spec__")
            if isinstance(spec, ModuleSpec) and self._folders.hold_module(spec):
                self.name(name)
                self.note(name, stamp(spec))
        self._finder.install()

    def unwatch(self) -> None:
        """Note nothing any more, and let go of all generations but the current one."""
        self._finder.remove()
        for view in self._views.others:
            self._views.remove(view)

    def forked(self) -> None:
        """To be called in a child that was forked: it goes on with the generation whose code has forked it."""
        self._views.forked()

    # --- what the finder notes -----------------------------------------------------------------------------------

    def name(self, name: str) -> bool:
        """See :class:`~hornbeamd.reload.noting.Notebook`."""
        known = name in self._views.names
        self._views.names.add(name)
        return known

    def note(self, name: str, stamp: Stamp) -> None:
        """See :class:`~hornbeamd.reload.noting.Notebook`."""
        stamps = self._views.seen().stamps
        stamps.pop(name, None)
        stamps[name] = stamp

    def note_foreign(self, name: str, sign: bytes) -> None:
        """See :class:`~hornbeamd.reload.noting.Notebook`."""
        self._foreign[name] = sign

    def miss(self, name: str) -> None:
        """See :class:`~hornbeamd.reload.noting.Notebook`."""
        self._views.seen().missed.add(name)

    # --- what has changed ----------------------------------------------------------------------------------------

    def changed(self) -> Changes:
        """Compare what is loaded with what is on disk."""
        importlib.invalidate_caches()
        loaded, changed, deleted = self._loaded(self.current), set(), set()
        for name, noted in loaded.items():
            now = self._now(name)
            if now is None:
                deleted.add(name)
            elif now != noted:
                changed.add(name)
                if now.path != noted.path:  # its modules lie elsewhere, too
                    changed.update(each for each in loaded if each.startswith(f"{name}."))
        missed = self.current.missed.difference(self._views.real)
        added = {name for name in missed if self._now(name) is not None}
        foreign = frozenset(self._changed_foreign())
        return Changes(frozenset(changed - deleted), frozenset(deleted), frozenset(added), foreign)

    def _loaded(self, view: View) -> dict[str, Stamp]:
        """The application's modules, in the order in which loading them began."""
        modules = self._views.everything(view)
        return {name: noted for name, noted in view.stamps.copy().items() if name in modules}

    def _now(self, name: str) -> Stamp | None:
        """What the module would be loaded from now; None when it is not there."""
        parent = name.rpartition(".")[0]
        place = namespace(self._views.real.get(parent)).get("__path__") if parent else None
        if parent and place is None:
            return None
        try:
            spec = PathFinder.find_spec(name, place)
            return None if spec is None or not self._folders.hold_module(spec) else stamp(spec)
        except (OSError, KeyError):  # KeyError: a package without __init__ whose own was taken out of sys.modules
            return None

    def _changed_foreign(self) -> Iterator[str]:
        return (name for name, file in self._foreign_files() if not self._is_as_it_was(name, file))

    def _foreign_files(self) -> Iterator[tuple[str, str]]:
        for name, module in list(self._views.real.items()):
            space = namespace(module)
            file = space.get("__file__")
            names = {name, str(space.get("__name__"))}  # what is the application's may go by others, too
            if not names.isdisjoint(self.current.stamps) or name.partition(".")[0] in _SERVER:
                continue
            if isinstance(file, str) and os.path.isabs(file):
                yield name, file

    def _note_generated(self) -> None:
        """Note modules that came by a finder of somebody's own, or by hand, as they are when they are first seen."""
        for name, file in self._foreign_files():
            if name not in self._before and name not in self._foreign and (name, file) not in self._first_seen:
                with suppress(OSError):
                    self._first_seen[name, file] = sign(file)

    def _is_as_it_was(self, name: str, file: str) -> bool:
        try:
            noted = self._foreign.get(name) or self._first_seen.get((name, file))
            if noted is not None:
                return sign(file) == noted
            # Installers may keep the time that a file has in its package, but cannot set that of the change.
            told = os.stat(file)
            return max(told.st_mtime, told.st_ctime) <= self._since
        except OSError:
            return name not in self._foreign  # in an archive, say

    # --- swaps ---------------------------------------------------------------------------------------------------

    def begin(self, everything: bool = False) -> Swap:
        """Find out what has to be loaded anew: *everything*, or what changed and what depends on it.

        Raises CannotSwap. One swap at a time: each is committed or reverted before the next begins.
        """
        self.settle()
        changes, loaded = self.changed(), self._loaded(self.current)
        obstacles.judge_foreign(changes.foreign)
        own = changes.changed | changes.deleted | changes.added
        depend = {name: graph.Edges() if name in own else self._edges(name, loaded) for name in loaded}
        self._texts.forget(loaded)
        names = graph.affected(own | set(loaded) if everything else own, depend, self._is_hollow) & set(loaded)
        modules = [name for name in loaded if name in names]
        try:
            obstacles.judge(names, loaded, self._views.real)
            obstacles.judge_texts(self._texts.read(name, now) for name in own if (now := self._now(name)) is not None)
        except CannotSwap as obstacle:
            raise CannotSwap(str(obstacle), modules) from None
        swap = Swap(self._views, modules, changes.added)
        known = self._settled[self.current]
        self._settled[swap.view] = _Settled(known.stamps.copy(), known.holds.copy())
        self._former = classes_of(names)
        return swap

    def settle(self, swap: Swap | None = None) -> None:
        """Note what registries hold of modules that were loaded since this was last done, by *swap* if given.

        To be called when these have been started up, and serve nobody yet: what gets into a registry later is taken
        for state. Modules that are imported late are looked through when the next swap begins.
        """
        self._note_generated()
        view, former = (self.current, set()) if swap is None else (swap.view, self._former)
        loaded, settled = self._loaded(view), self._settled.setdefault(view, _Settled())
        fresh = {name for name, noted in loaded.items() if settled.stamps.get(name) is not noted}
        if fresh:
            found = Holders(self._views.everything(view), self._views.names, former).of(fresh, loaded)
            settled.holds = {name: settled.holds.get(name, set()) - fresh | its for name, its in found.items()}
            settled.stamps = loaded

    def _edges(self, name: str, loaded: Mapping[str, Stamp]) -> graph.Edges:
        """What the module depends on, by its text or by what it holds."""
        edges = graph.edges(self._texts.of(name, loaded[name]), loaded)
        return graph.Edges(edges.holds | self._settled[self.current].holds[name], edges.passed)

    def _is_hollow(self, name: str) -> bool:
        """Whether the package is nothing but a place for modules."""
        real = self._views.real
        space = namespace(real[name]).copy()
        return all(key.startswith("__") or value is real.get(f"{name}.{key}") for key, value in space.items())
