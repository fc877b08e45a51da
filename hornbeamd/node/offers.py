"""What this process takes calls of: functions and hooks, by the names that they have on the wire.

Each generation of the application's code has its own (see ``generations.py``). Of those that have a name, the newest
that was committed is offered to other processes; code of this process finds what its own generation has registered.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Collection, Iterable
from typing import Any, NamedTuple

from hornbeamd.node.generations import Generation, Generations
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


class Offer(NamedTuple):
    """Something that was registered."""

    target: Target
    slots: int | None
    """How many calls are taken at once; None for what is not offered to other processes, or other generations."""
    threads: int
    """How many threads take the calls themselves; 0 where the loop does, since there are coroutines among them."""
    generation: Generation
    """Whose code it is."""


class Offers:
    """What is registered in this process. All methods may be called from any thread.

    *pools* are names of hooks that processes of their own serve: nobody else may register one. *threads* is how many
    calls of plain functions may be at work at once.
    """

    def __init__(
        self, pools: Collection[str] = (), threads: int = THREADS, generations: Generations | None = None
    ) -> None:
        self.threads = threads
        self.generations = generations or Generations()
        self.generations.offers = self
        self._pools = frozenset(pools)
        self._table: dict[str, Offer] = {}
        """What is found by whom no generation has more to say to."""
        self._told: dict[str, tuple[int, int]] = {}
        """What other processes are told: slots and threads."""
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
        """What is registered as *name*, a name on the wire, for the code that asks: its own generation's first."""
        offer = self.lookup(name) if self.generations.several else self._table.get(name)
        return None if offer is None else offer.target

    def lookup(self, name: str) -> Offer | None:
        """The same, and whose it is."""
        return self.generations.acting().offers.get(name) or self._table.get(name)

    def offered(self, name: str) -> Offer | None:
        """What takes calls of *name* from other processes."""
        return self._table.get(name)

    def add(self, name: str, target: Target, slots: int | None = None, *, lasting: bool = False) -> None:
        """Take calls of *name*, *slots* at once; the last that is registered has the name.

        What is *lasting* belongs to no generation of the application's code.
        """
        if slots is None:
            slots = COROUTINES if target.waits else self.threads
        generation = self.generations.lasting if lasting else self.generations.acting()
        with self._lock:
            if name in generation.offers:
                log.info(f"{spoken(name)} is registered anew, which replaces what was there")
            generation.offers[name] = Offer(target, slots, 0 if target.waits else self.threads, generation)
        self._settle([name])

    def add_here(self, name: str, target: Target) -> Target:
        """Have *target* take calls of *name* from the code that is running, and the rest of its generation.

        Gives the one that does, maybe an earlier one.
        """
        generation = self.generations.acting()
        with self._lock:
            found = generation.offers.setdefault(name, Offer(target, None, 0, generation))
        self._settle([name])
        return found.target

    def remove(self, name: str) -> None:
        """Take no more calls of *name*, be it an older generation that had registered it; a newer one keeps it."""
        generation = self.generations.acting()
        with self._lock:
            generation.offers.pop(name, None)
            living = self.generations.living
            if generation in living:
                for older in living[: living.index(generation)]:
                    older.offers.pop(name, None)
        self._settle([name])

    # --- generations ---------------------------------------------------------------------------------------------

    def commit(self, before: Generation, generation: Generation) -> None:
        """*generation* is the current one now, as *before* was."""
        self._settle([*before.offers, *generation.offers])

    def withdraw(self, generation: Generation) -> None:
        """*generation* does not live any more: its names go to older ones that do, or are offered no more."""
        self._settle(list(generation.offers))

    def _settle(self, names: Iterable[str]) -> None:
        """Have the table say what the generations do, and tell the post what is different."""
        changed: list[tuple[str, tuple[int, int] | None]] = []
        with self._lock:
            post = self._post
            for name in names:
                offer = self._newest(name)
                tell = None if offer is None or offer.slots is None else (offer.slots, offer.threads)
                if offer is None:
                    self._table.pop(name, None)
                else:
                    self._table[name] = offer
                if tell != self._told.get(name):
                    changed.append((name, tell))
                    self._told.pop(name, None)
                    if tell is not None:
                        self._told[name] = tell
        # Without the lock: in a thread this waits for the event loop, which may want the lock.
        if post is not None:
            for name, tell in changed:
                if tell is None:
                    post.withdraw(name)
                else:
                    post.offer(name, *tell)

    def _newest(self, name: str) -> Offer | None:
        current = self.generations.current
        for generation in reversed(self.generations.living):
            offer = generation.offers.get(name)
            if offer is not None and (offer.slots is not None or generation is current):
                return offer
        return None

    # --- other nodes ---------------------------------------------------------------------------------------------

    def through(self, post: Post | None) -> list[str]:
        """Offer all that is registered, now and later, through *post*, and nothing any more through the last one.

        Gives the names that were offered through that.
        """
        with self._lock:
            last, self._post = self._post, post
            offered = list(self._told.items())
        for name, told in offered:
            if last is not None:
                last.withdraw(name)
            if post is not None:
                post.offer(name, *told)
        return [name for name, _ in offered] if last is not None else []

    def take_over(self, others: Offers) -> None:
        """Register here what is registered in *others*."""
        for name, (slots, _) in list(others._told.items()):
            if name not in self._table:
                self.add(name, others._table[name].target, slots)

    def after_fork(self) -> None:
        """In a forked child the thread that held the lock may not be there."""
        self._lock = threading.Lock()


def _text(name: Any) -> str:
    if not isinstance(name, str) or not name:
        raise TypeError(f"a name is text, and not empty; got {name!r}")
    name.encode()  # UnicodeEncodeError, which is a ValueError, on text that is no Unicode: the hub takes none
    return name
