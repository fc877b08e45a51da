"""Which modules hold objects of others without importing them: registries, into which others have entered something."""

from __future__ import annotations

import gc
from collections.abc import Collection, Mapping
from types import ModuleType
from typing import Any

_LIMIT = 1_000_000
"""Objects that are looked at for one answer."""
_EVERYWHERE = {"asyncio", "_asyncio", "uvloop", "hornbeamd", "concurrent", "threading", "_thread", "multiprocessing"}
"""Packages of loops, tasks and threads: from these everything that runs can be reached."""


class Holders:
    """Looks through what can be reached from the modules of the application."""

    def __init__(self, modules: Mapping[str, Any]) -> None:
        self._modules = modules
        self._spaces = {id(vars(module)) for module in modules.values() if isinstance(module, ModuleType)}
        self._passable: dict[type, bool] = {}

    def of(self, names: Collection[str], others: Collection[str]) -> set[str]:
        """Those of the modules *others* from which something of the modules *names* can be reached."""
        goals = {id(vars(module)) for name in names if (module := self._modules.get(name)) is not None}
        goals |= {id(self._modules[name]) for name in names}
        clean: set[int] = set()
        found = set()
        for name in others:
            module = self._modules[name]
            if not isinstance(module, ModuleType):
                continue
            seen: set[int] = set()
            if self._reaches(list(vars(module).values()), goals, names, clean, seen):
                found.add(name)
            else:
                clean |= seen
        return found

    def _reaches(
        self, objects: list[Any], goals: set[int], names: Collection[str], clean: set[int], seen: set[int]
    ) -> bool:
        while objects:
            following: list[Any] = []
            for each in objects:
                key = id(each)
                if key in goals or (isinstance(each, type) and each.__module__ in names):
                    return True
                if key in seen or key in clean:
                    continue
                seen.add(key)
                if self._leads_on(each):
                    following.append(each)
            if len(seen) > _LIMIT:
                return False
            objects = [each for each in gc.get_referents(*following) if gc.is_tracked(each)]
        return False

    def _leads_on(self, each: Any) -> bool:
        if isinstance(each, ModuleType) or id(each) in self._spaces:
            return False
        kind = type(each)
        passable = self._passable.get(kind)
        if passable is None:
            package = str(getattr(kind, "__module__", "")).partition(".")[0]
            passable = self._passable[kind] = package not in _EVERYWHERE
        return passable
