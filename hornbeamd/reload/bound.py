"""Connections of sqlite3, which only that thread can use that has made them: modules are loaded in one that ends."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable, Collection
from typing import Any, TypeVar

from hornbeamd.errors import CannotSwap

T = TypeVar("T")


def noting(load: Callable[[], T]) -> tuple[T, set[int]]:
    """What *load* gives, and the ids of the connections that came with it which this thread can use."""
    before = _connections()  # held, that nothing new comes in the place of one that goes
    loaded = load()
    return loaded, {id(each) for each in _connections() if _is_usable(each)}.difference(map(id, before))


def judge(made: Collection[int]) -> None:
    """Raise CannotSwap when this thread cannot use one of those that were *made* in another, which has ended."""
    if _has_unusable(made):
        gc.collect()  # what that thread alone had, or nobody: who is not closed leads to itself
        if _has_unusable(made):
            raise CannotSwap(
                "a module makes a connection of sqlite3 when it is loaded, which no other thread can use:"
                " make it in the startup, or with check_same_thread=False"
            )


def _has_unusable(made: Collection[int]) -> bool:
    return bool(made) and any(id(each) in made and not _is_usable(each) for each in _connections())


def _connections() -> list[Any]:
    """Those that are there, but for what is set apart from collections."""
    sqlite = sys.modules.get("_sqlite3")
    # Not isinstance(): it asks proxies what they stand for, and these may not be able to say.
    return [] if sqlite is None else [each for each in gc.get_objects() if issubclass(type(each), sqlite.Connection)]


def _is_usable(connection: Any) -> bool:
    sqlite = sys.modules["_sqlite3"]
    try:
        sqlite.Connection.cursor(connection)
    except sqlite.ProgrammingError:  # also where it is closed
        return False
    return True
