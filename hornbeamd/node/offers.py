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

    *pools* are names of hooks that processes of their own serve: nobody else may register one. *threads* is how many
    calls of plain functions may be at work at once.
    """

    def __init__(self, pools: Collection[str] = (), threads: int = THREADS) -> None:
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
            post = self._post
        # Without the lock: in a thread this waits for the event loop, which may want the lock.
        if post is not None:
            post.offer(name, slots)

    def add_here(self, name: str, target: Target) -> Target:
        """Have *target* take calls of *name* from this process alone; gives the one that does, maybe an earlier one."""
        with self._lock:
            return self._targets.setdefault(name, target)

    def remove(self, name: str) -> None:
        """Take no more calls of *name*."""
        with self._lock:
            self._targets.pop(name, None)
            offered = self._slots.pop(name, None) is not None
            post = self._post
        if offered and post is not None:
            post.withdraw(name)

    def through(self, post: Post | None) -> list[str]:
        """Offer all that is registered, now and later, through *post*, and nothing any more through the last one.

        Gives the names that were offered through that.
        """
        with self._lock:
            last, self._post = self._post, post
            offered = list(self._slots.items())
        for name, slots in offered:
            if last is not None:
                last.withdraw(name)
            if post is not None:
                post.offer(name, slots)
        return [name for name, _ in offered] if last is not None else []

    def take_over(self, others: Offers) -> None:
        """Register here what is registered in *others*."""
        for name, slots in list(others._slots.items()):
            if name not in self._targets:
                self.add(name, others._targets[name], slots)

    def after_fork(self) -> None:
        """In a forked child the thread that held the lock may not be there."""
        self._lock = threading.Lock()


def _text(name: Any) -> str:
    if not isinstance(name, str) or not name:
        raise TypeError(f"a name is text, and not empty; got {name!r}")
    name.encode()  # UnicodeEncodeError, which is a ValueError, on text that is no Unicode: the hub takes none
    return name
