"""Which modules hold objects of others without importing them: registries, into which others have entered something."""

from __future__ import annotations

import gc
import sys
from collections import deque
from collections.abc import Collection, Mapping
from itertools import islice
from types import FrameType, FunctionType, ModuleType, TracebackType
from typing import Any

from hornbeamd.reload.view import namespace

_LIMIT = 300_000
"""References that are followed from one module, beyond those that others have led to."""
_EVERYWHERE = {"asyncio", "_asyncio", "uvloop", "hornbeamd", "concurrent", "threading", "_thread", "multiprocessing"}
"""Packages of loops, tasks and threads: from these, as from frames, everything that runs can be reached."""


def classes_of(names: Collection[str]) -> set[int]:
    """The ids of all classes in this process that are of modules with these *names*."""
    found: dict[int, type] = {}
    waiting: list[type] = [object]
    while waiting:
        below: list[type] = type.__subclasses__(waiting.pop())
        waiting.extend(each for each in below if id(each) not in found)
        found.update({id(each): each for each in below})
    return {key for key, each in found.items() if str(each.__module__) in names}


class Holders:
    """Looks through what can be reached from *modules*, of which those named *ours* are the application's.

    The classes with the ids *former* are not theirs, but of others that had the same names.
    """

    def __init__(self, modules: Mapping[str, Any], ours: Collection[str], former: Collection[int] = ()) -> None:
        self._modules = dict(modules)  # other threads import
        self._ours = ours
        self._former = former
        spaces = [namespace(each) for each in self._modules.values() if issubclass(type(each), ModuleType)]
        self._spaces = {id(space): str(space.get("__name__")) for space in spaces}  # it may be there under others, too
        self._passable: dict[type, bool] = {FrameType: False, TracebackType: False}

    def of(self, names: Collection[str], others: Collection[str]) -> dict[str, set[str]]:
        """For each of the modules *others* those of *names* of which something can be reached from it."""
        paths = _Paths()
        for name in others:
            self._walk(name, names, paths)
        paths.lead()
        return {name: paths.owners(name) - {name} for name in others}

    def _walk(self, name: str, names: Collection[str], paths: _Paths) -> None:
        left, waiting = _LIMIT, deque[Any]()
        origin: int | str = name
        following = list(namespace(self._modules[name]).values())
        while True:
            for each in islice(following, left):
                left -= 1
                if gc.is_tracked(each) and paths.step(origin, id(each)):
                    owner = self._owner(each)
                    if owner is not None and owner in names:
                        paths.end(id(each), owner)
                    if self._leads_on(each):
                        waiting.append(each)
            if not (waiting and left):
                return
            each = waiting.popleft()
            origin, following = id(each), self._following(each)

    # Not isinstance(): it asks proxies what they stand for, and these may not be able to say.

    def _owner(self, each: Any) -> str | None:
        """The module that it is of, where it can be told: of a function or a class, or the module itself."""
        kind = type(each)
        if kind is FunctionType:
            return self._spaces.get(id(each.__globals__))
        if issubclass(kind, type):
            return None if id(each) in self._former else str(each.__module__)
        return self._spaces.get(id(namespace(each))) if issubclass(kind, ModuleType) else None

    def _leads_on(self, each: Any) -> bool:
        kind = type(each)
        if issubclass(kind, type):
            return self._is_ours(each)
        if issubclass(kind, ModuleType) or id(each) in self._spaces:
            return False
        if kind not in self._passable:
            self._passable[kind] = _package(kind) not in _EVERYWHERE
        return self._passable[kind]

    def _following(self, each: Any) -> list[Any]:
        if type(each) in (dict, list, set, tuple) and len(each) > _LIMIT:
            return []  # data; to ask for all its items would hold up other threads
        following = gc.get_referents(each)
        if type(each) is FunctionType:
            return [other for other in following if other is not each.__globals__]
        if issubclass(type(each), type) and self._registers(each):
            following += type.__subclasses__(each)
        return following

    def _registers(self, each: type) -> bool:
        """Whether the class is told of those that inherit from it, and may keep what it learns.

        It knows all in ``__subclasses__()`` anyway, but without a hook few look there.
        """
        hooks = (type(each), each.__init_subclass__)
        return any(_package(hook) not in sys.stdlib_module_names for hook in hooks)

    def _is_ours(self, each: type) -> bool:
        """Whether it is defined by the application, or was made for it: ``Base = declarative_base()``."""
        home = namespace(self._modules.get(str(each.__module__)))
        return str(each.__module__) in self._ours or home.get(each.__name__) is not each


class _Paths:
    """Paths between objects, by their ids; they begin at modules, by their names."""

    def __init__(self) -> None:
        self._before: dict[int | str, list[int | str]] = {}
        self._ends: dict[int | str, int] = {}
        """Where paths lead, a bit for each module: many objects have the same hundreds."""
        self._bits: dict[str, int] = {}

    def step(self, origin: int | str, key: int) -> bool:
        """A path leads from *origin* to *key*; whether it is the first that leads there."""
        before = self._before.get(key)
        if before is None:
            self._before[key] = [origin]
            return True
        before.append(origin)
        return False

    def end(self, key: int, owner: str) -> None:
        """The object *key* is of the module *owner*."""
        self._ends[key] = self._bits.setdefault(owner, 1 << len(self._bits))

    def lead(self) -> None:
        """Have all that paths lead through know where they lead."""
        reached = list(self._ends)
        while reached:
            fresh: dict[int | str, None] = {}
            for key in reached:
                ends = self._ends[key]
                for origin in self._before.get(key, ()):
                    known = self._ends.get(origin, 0)
                    if known | ends != known:
                        self._ends[origin] = known | ends
                        fresh[origin] = None
            reached = list(fresh)

    def owners(self, origin: str) -> set[str]:
        """The modules to which paths from the module *origin* lead."""
        ends = self._ends.get(origin, 0)
        return {owner for owner, bit in self._bits.items() if ends & bit}


def _package(each: Any) -> str:
    return str(getattr(each, "__module__", None) or "builtins").partition(".")[0]
