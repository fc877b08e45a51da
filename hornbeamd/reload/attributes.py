"""Modules as attributes of the package they lie in, where views share the package and each loads the module for itself.

In the namespace of the package is what the current view sees, as ever. What others see in its place is kept beside it,
by descriptors in a class that the package has for as long as there are others.
"""

from __future__ import annotations

import sys
from types import FrameType, ModuleType
from typing import TYPE_CHECKING, Any

from hornbeamd.reload.view import ABSENT, View, namespace

if TYPE_CHECKING:
    from hornbeamd.reload.views import Views


class Attributes:
    """Those of all packages."""

    def __init__(self, views: Views) -> None:
        self._views = views
        self._all: dict[tuple[int, str], _Attribute] = {}
        self._packages: dict[int, tuple[ModuleType, type[ModuleType]]] = {}
        """What was given a class of ours, by id, and the class it had."""

    def divide(self, package: ModuleType, name: str) -> None:
        """Let each view have a module of its own as *name* in *package*. So far all have the same, or none."""
        key = id(package), name
        if key in self._all:
            return
        if key[0] not in self._packages:
            kind = type(package)
            self._packages[key[0]] = package, kind
            package.__class__ = type(kind.__name__, (kind,), {"__module__": kind.__module__})
        self._all[key] = _Attribute(self._views, package, name)
        setattr(type(package), name, self._all[key])

    def exchange(self, view: View) -> None:
        """*view* becomes the current one, and is none of the others any more."""
        for each in self._all.values():
            each.exchange(view)

    def forget(self, view: View) -> None:
        """Nothing of *view* is left."""
        for each in self._all.values():
            each.forget(view)

    def unite(self) -> None:
        """Have packages be what they were: there are no others."""
        for package, kind in self._packages.values():
            package.__class__ = kind
        self._all, self._packages = {}, {}


class _Attribute:
    def __init__(self, views: Views, package: ModuleType, name: str) -> None:
        self._views = views
        self._space = namespace(package)
        self._name = name
        self._apart: dict[View, Any] = {}
        """What others see that do not see what is in the package; ABSENT is nothing."""

    def __get__(self, package: ModuleType | None, kind: type | None = None) -> Any:
        if package is None:
            return self
        view = self._view(sys._getframe(1))
        found = self._apart.get(view, self)
        if found is self:
            found = self._space.get(self._name, ABSENT)
            found = self._apart.get(view, found)  # where the view was replaced meanwhile, that was its successor's
        if found is ABSENT:
            raise AttributeError(f"module {self._space.get('__name__')!r} has no attribute {self._name!r}")
        return found

    def __set__(self, package: ModuleType, value: Any) -> None:
        self._put(self._view(sys._getframe(1)), value)

    def __delete__(self, package: ModuleType) -> None:
        self._put(self._view(sys._getframe(1)), ABSENT)

    def _view(self, frame: FrameType) -> View:
        """The view of the code that asks."""
        return self._views.importer(frame.f_globals)

    def _put(self, view: View, value: Any) -> None:
        if view is not self._views.current:
            self._apart[view] = value
            return
        before = self._space.get(self._name, ABSENT)
        for each in self._views.others:
            self._apart.setdefault(each, before)
        if value is ABSENT:
            self._space.pop(self._name, None)
        else:
            self._space[self._name] = value

    def exchange(self, view: View) -> None:
        if view in self._apart:
            self._put(view, self._apart[view])
            del self._apart[view]

    def forget(self, view: View) -> None:
        self._apart.pop(view, None)
