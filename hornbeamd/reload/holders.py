"""Which modules hold objects of others without importing them: registries, into which others have entered something."""

from __future__ import annotations

import gc
import sys
from collections.abc import Collection, Mapping
from types import FrameType, FunctionType, ModuleType, TracebackType
from typing import Any

from hornbeamd.reload.view import namespace

_LIMIT = 1_000_000
"""Objects that are looked at for one module."""
_AT_ONCE = 1000
"""Objects that are asked for theirs at once, in which time no other thread runs."""
_EVERYWHERE = {"asyncio", "_asyncio", "uvloop", "hornbeamd", "concurrent", "threading", "_thread", "multiprocessing"}
"""Packages of loops, tasks and threads: from these, as from frames, everything that runs can be reached."""


class Holders:
    """Looks through what can be reached from *modules*, of which those named *ours* are the application's."""

    def __init__(self, modules: Mapping[str, Any], ours: Collection[str]) -> None:
        self._modules = dict(modules)  # other threads import
        self._ours = ours
        self._spaces = {
            id(namespace(module)) for module in self._modules.values() if issubclass(type(module), ModuleType)
        }
        self._passable: dict[type, bool] = {FrameType: False, TracebackType: False}

    def of(self, names: Collection[str], others: Collection[str]) -> set[str]:
        """Those of the modules *others* from which something of the modules *names* can be reached."""
        goals = {id(self._modules[name]) for name in names}
        clean: set[int] = set()
        found = set()
        for name in others:
            seen: set[int] = set()
            if self._reach(list(namespace(self._modules[name]).values()), names, goals, clean, seen):
                found.add(name)
            else:
                clean |= seen
        return found

    def _reach(
        self, objects: list[Any], names: Collection[str], goals: set[int], clean: set[int], seen: set[int]
    ) -> bool:
        while objects and len(seen) < _LIMIT:
            following: list[Any] = []
            for each in objects:
                key = id(each)
                if key in seen or key in clean:
                    continue
                if key in goals or self._is_of(each, names):
                    return True
                seen.add(key)
                if self._leads_on(each):
                    following.append(each)
            parts = (following[start : start + _AT_ONCE] for start in range(0, len(following), _AT_ONCE))
            objects = [each for part in parts for each in gc.get_referents(*part) if gc.is_tracked(each)]
        return False

    # Not isinstance(): it asks proxies what they stand for, and these may not be able to say.

    def _is_of(self, each: Any, names: Collection[str]) -> bool:
        kind = type(each)
        if issubclass(kind, type):
            below = type.__subclasses__(each) if self._registers(each) else []
            return any(str(found.__module__) in names for found in (each, *below))
        return kind is FunctionType and each.__module__ in names

    def _leads_on(self, each: Any) -> bool:
        kind = type(each)
        if issubclass(kind, type):
            return self._is_ours(each)
        if issubclass(kind, ModuleType) or id(each) in self._spaces:
            return False
        if kind not in self._passable:
            self._passable[kind] = _package(kind) not in _EVERYWHERE
        return self._passable[kind]

    def _registers(self, each: type) -> bool:
        """Whether the class is told of those that inherit from it, and may keep what it learns.

        It knows all in ``__subclasses__()`` anyway, but without a hook few look there.
        """
        hooks = (type(each), each.__init_subclass__)
        return self._is_ours(each) and any(_package(hook) not in sys.stdlib_module_names for hook in hooks)

    def _is_ours(self, each: type) -> bool:
        """Whether it is defined by the application, or was made for it: ``Base = declarative_base()``."""
        home = namespace(self._modules.get(str(each.__module__)))
        return str(each.__module__) in self._ours or home.get(each.__name__) is not each


def _package(each: Any) -> str:
    return str(getattr(each, "__module__", None) or "builtins").partition(".")[0]
