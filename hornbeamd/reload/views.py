"""Which modules a generation of the code sees, while several live in one process.

``sys.modules`` holds what the current generation sees. A :class:`View` has what another one sees instead: the fresh
modules of one that is being loaded, the former ones of one that was replaced. To exchange the current generation is
therefore an exchange of pointers, and one that fails to load has touched nothing.

While there is more than one, two things stand in for Python's own, and are removed again with the last older view:
``sys.modules`` is a mapping that answers as the code that asks sees it, and ``builtins.__import__`` finds out which
code that is, by the module that has the import statement, and else by the context (:meth:`Views.seen`).
What C code asks for by name, pickle above all, is what the current generation sees, whatever an import gives it. Code
that is being loaded must not mix with that, and it is told by C's way to import: with an empty list of names.
"""

from __future__ import annotations

import builtins
import importlib
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, MutableMapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from types import ModuleType
from typing import Any

from hornbeamd.errors import CannotSwap
from hornbeamd.reload.attributes import Attributes
from hornbeamd.reload.view import ABSENT, View, namespace

_seen: ContextVar[View | None] = ContextVar("hornbeamd_view", default=None)


class Views:
    """All views of this process. *running* gives the mark of the view whose code is running, or None."""

    def __init__(self, running: Callable[[], object]) -> None:
        self.real: dict[str, Any] = sys.modules
        self.running = running
        self.names: set[str] = set()
        """The application's modules, by every name they ever had."""
        self.current = View({}, set())
        self.others: tuple[View, ...] = ()
        """Those that are not the current one, the newest first."""
        self._lock = threading.RLock()
        """Views come in the thread that imports, and go on the event loop. A finalizer may import under either."""
        self._attributes = Attributes(self)
        self._modules = _Modules(self)
        self._import: Callable[..., Any] = builtins.__import__
        self._wrapped = False
        """Somebody calls our import from one of his own, and so it stays."""

    # --- whose code it is ----------------------------------------------------------------------------------------

    def seen(self) -> View:
        """The view of the code that is running; the current one where nobody knows."""
        view = _seen.get()
        if view is not None and not view.over:
            return view
        mark = self.running()
        if mark is not None:
            for view in self.others:
                if view.mark is mark:
                    return view
        return self.current

    @contextmanager
    def seeing(self, view: View) -> Iterator[None]:
        """Have the code in the block, and contexts that are copied from there, see *view*."""
        token = _seen.set(view)
        try:
            yield
        finally:
            _seen.reset(token)

    def importer(self, space: Mapping[str, Any] | None) -> View:
        """The view of the module with the globals *space*; of several that share it that of the context."""
        seen = self.seen()
        name = (space or {}).get("__name__")
        if not isinstance(name, str):
            return seen
        for view in (seen, self.current, *self.others):
            if space is namespace(self.find(view, name)):
                return view
        return seen

    # --- modules -------------------------------------------------------------------------------------------------

    def find(self, view: View, name: str) -> Any:
        """The module of that name in *view*, or ABSENT."""
        found = view.own.get(name, self)
        if found is self:
            found = self.real.get(name, ABSENT)
            return view.own.get(name, found)  # where the view was replaced meanwhile, that was its successor's
        return found

    def everything(self, view: View) -> dict[str, Any]:
        """All modules of *view* by name."""
        found = {**self.real, **view.own}
        return {name: module for name, module in found.items() if module is not ABSENT}

    def put(self, name: str, module: Any, writer: Mapping[str, Any]) -> None:
        """What ``sys.modules[name] = module`` means (ABSENT: del), by code with the globals *writer*.

        What is not the application's belongs to all.
        """
        view = self.seen()
        if name not in view.own and not self._is_applications(name, writer):
            view = self.current
        else:
            self._divide(view, name)
            if view is not self.current:
                view.put(name, module)
                return
            self._keep([name])
        if module is ABSENT:
            del self.real[name]
        else:
            self.real[name] = module

    def _divide(self, view: View, name: str) -> None:
        """Have no others but *view* see the module as an attribute of its package, even if they share that."""
        parent, _, child = name.rpartition(".")
        package = self.find(view, parent)
        with self._lock:
            sharing = any(
                self.find(each, parent) is package for each in (self.current, *self.others) if each is not view
            )
            if sharing and isinstance(package, ModuleType):
                self._attributes.divide(package, child)

    def _is_applications(self, name: str, writer: Mapping[str, Any]) -> bool:
        return not self.names.isdisjoint((name, name.partition(".")[0], writer.get("__name__", "")))

    def _keep(self, names: Sequence[str]) -> None:
        """Have the others go on to see what they see under *names*."""
        for name in names:
            module = self.real.get(name, ABSENT)
            for view in self.others:
                view.own.setdefault(name, module)

    # --- their life ----------------------------------------------------------------------------------------------

    def add(self, view: View) -> None:
        """Let *view* be seen beside the current one."""
        with self._lock:
            if not self.others:
                self._install()
            self.others = (view, *self.others)

    def exchange(self, view: View) -> None:
        """Make *view* the current one, and the current one another. Does not fail."""
        with self._lock:
            former, fresh = self.current, view.own.copy()
            former.served = True
            self.others = (former, *(each for each in self.others if each is not view))
            self._keep(list(fresh))
            self.current = view
            self._attributes.exchange(view)
            self.real.update({name: module for name, module in fresh.items() if module is not ABSENT})
            for name, module in fresh.items():
                if module is ABSENT:
                    self.real.pop(name, None)
            view.settle()

    def remove(self, view: View) -> None:
        """Let go of *view*, which is not the current one. Does not fail."""
        with self._lock:
            self.others = tuple(each for each in self.others if each is not view)
            self._attributes.forget(view)
            if not self.others:
                self._uninstall()
        view.end()

    def forked(self) -> None:
        """In a child that was forked: the view of the code that has forked it is the current one for good, and seen by
        all that runs there. The others stay in memory, for what their finalizers would close is the parent's, too."""
        self._lock = threading.RLock()  # who holds it is not in the child
        view = self.seen()
        if view is not self.current:
            self.exchange(view)
        for other in self.others:
            other.mark = None

    def _install(self) -> None:
        if not self._wrapped:
            self._import, builtins.__import__ = builtins.__import__, self._find
        sys.modules = self._modules  # type: ignore[assignment]
        configurator = namespace(self.real.get("logging.config")).get("BaseConfigurator")
        if configurator is not None:  # it has kept Python's own __import__, which finds only what is current
            configurator.importer = staticmethod(importlib.import_module)

    def _uninstall(self) -> None:
        sys.modules = self.real
        self._attributes.unite()
        self._wrapped = builtins.__import__ != self._find
        if not self._wrapped:
            builtins.__import__ = self._import

    def _find(
        self,
        name: str,
        globals: Mapping[str, Any] | None = None,
        locals: Mapping[str, Any] | None = None,
        fromlist: Sequence[str] | None = (),
        level: int = 0,
    ) -> ModuleType:
        """What stands in for ``__import__``."""
        view = self.importer(globals)
        token = _seen.set(view)
        try:
            if view is self.current:
                module = self._import(name, globals, locals, fromlist, level)
                if view is self.current:  # else that may be its successor's
                    return module  # type: ignore[no-any-return]
            module = importlib.__import__(name, globals, locals, fromlist or (), level)
            if fromlist == [] and name in view.own and not view.served:
                raise CannotSwap(f"{name} is asked for by C code, by pickle perhaps, which would get the old one")
            self._bind(view, module, fromlist or name.split(".")[1:], nested=not fromlist)
            return module
        finally:
            _seen.reset(token)

    def _bind(self, view: View, module: Any, children: Sequence[str], *, nested: bool) -> None:
        """Let the statement find modules that are still being loaded, which are no attributes of their package yet.

        The interpreter itself would look for them in the true ``sys.modules``.
        """
        for child in children:
            name = f"{getattr(module, '__name__', '')}.{child}"
            if name in view.own and not hasattr(module, child):
                if view.own[name] is ABSENT:
                    place, file = module.__name__, getattr(module, "__file__", None)
                    raise ImportError(f"cannot import name {child!r} from {place!r} ({file})", name=place, path=file)
                setattr(module, child, view.own[name])
            if nested:
                module = getattr(module, child, None)


class _Modules(MutableMapping[str, Any]):
    """``sys.modules`` as the code that asks sees it."""

    def __init__(self, views: Views) -> None:
        self._views = views

    def __getitem__(self, name: str) -> Any:
        found = self._views.find(self._views.seen(), name)
        if found is ABSENT:
            raise KeyError(name)
        return found

    def __setitem__(self, name: str, module: Any) -> None:
        self._views.put(name, module, sys._getframe(1).f_globals)

    def __delitem__(self, name: str) -> None:
        self[name]
        self._views.put(name, ABSENT, {})

    def __iter__(self) -> Iterator[str]:
        return iter(self.copy())

    def __len__(self) -> int:
        return len(self.copy())

    def copy(self) -> dict[str, Any]:
        """What is seen now, as ``dict.copy``."""
        return self._views.everything(self._views.seen())
