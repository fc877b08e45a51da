"""What this process takes calls of: functions and hooks, by the names that they have on the wire."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Collection
from typing import Any

from hornbeamd.node.handlers import Hook, Single, Target
from hornbeamd.node.post import Post

log = logging.getLogger("hornbeamd.calls")

THREADS = 8
"""So many calls from other processes are at work at once in the threads of a process, unless it is made otherwise."""
COROUTINES = 1000
"""So many at once of one name that has coroutines among what it does."""


def function_name(name: str) -> str:
    """The name on the wire of the function *name*."""
    return f"function:{_text(name)}"


def hook_name(path: str) -> str:
    """The name on the wire of the hook *path*."""
    return f"hook:{_text(path)}"


def spoken(name: str) -> str:
    """A name on the wire as people say it: ``function "resize"``."""
    kind, _, rest = name.partition(":")
    return f'{kind} "{rest}"'


class Offers:
    """What is registered in this process. All methods may be called from any thread.

    *pools* are names of hooks that processes of their own serve: nobody else may register one.
    """

    def __init__(self, *, threads: int = THREADS, pools: Collection[str] = ()) -> None:
        self.threads = threads
        self._pools = frozenset(pools)
        self._targets: dict[str, Target] = {}
        self._slots: dict[str, int] = {}
        self._post: Post | None = None
        self._lock = threading.Lock()

    def register_function(self, name: str, function: Callable[..., Any]) -> None:
        """Take calls of the function *name*. Raises TypeError when *function* cannot be called."""
        self.add(function_name(name), Single(function))

    def unregister_function(self, name: str) -> None:
        """Take no more of them; nothing happens when there is no such function."""
        self.remove(function_name(name))

    def register_hook(self, path: str, handler: Any) -> None:
        """Take calls of the hook *path*. Raises ValueError when it is the name of a pool."""
        if path in self._pools:
            raise ValueError(f'"{path}" is the name of a pool, whose processes serve it')
        self.add(hook_name(path), Hook(handler))

    def unregister_hook(self, path: str) -> None:
        """Take no more of them; nothing happens when there is no such hook."""
        self.remove(hook_name(path))

    def find(self, name: str) -> Target | None:
        """What is registered here as *name*, a name on the wire."""
        return self._targets.get(name)

    def add(self, name: str, target: Target, slots: int | None = None) -> None:
        """Take calls of *name*, *slots* at once; the last that is registered has the name."""
        if slots is None:
            slots = COROUTINES if target.waits else self.threads
        with self._lock:
            if name in self._targets:
                log.info(f"{spoken(name)} is registered anew, which replaces what was there")
            self._targets[name] = target
            self._slots[name] = slots
            if self._post is not None:
                self._post.offer(name, slots)

    def add_here(self, name: str, target: Target) -> Target:
        """Have *target* take calls of *name* from this process alone; gives the one that does, maybe an earlier one."""
        with self._lock:
            return self._targets.setdefault(name, target)

    def remove(self, name: str) -> None:
        """Take no more calls of *name*."""
        with self._lock:
            if self._targets.pop(name, None) is not None and self._slots.pop(name, None) is not None and self._post:
                self._post.withdraw(name)

    def through(self, post: Post | None) -> None:
        """Offer all that is registered, now and later, through *post*; None leaves it to this process alone."""
        with self._lock:
            self._post = post
            if post is not None:
                for name, slots in self._slots.items():
                    post.offer(name, slots)


def _text(name: Any) -> str:
    if not isinstance(name, str) or not name:
        raise TypeError(f"a name is text, and not empty; got {name!r}")
    return name
