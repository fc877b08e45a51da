"""What a process has told the hub once and for all: what it is subscribed to, and what calls it takes.

It is said again to each new hub. Changes may come from any thread; they are said in the loop of the link.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import suppress

from hornbeamd.hub.wire import Kind, encode
from hornbeamd.node.subscriptions import Subscriptions

Key = tuple[Kind, str]
"""SUBSCRIBE and a pattern, or OFFER and a name."""
Say = Callable[[Key], None]


class Standing:
    """Subscriptions and offers, and which of them the hub has confirmed."""

    def __init__(self, subscriptions: Subscriptions) -> None:
        self.subscriptions = subscriptions
        self.threads = 0
        """How many threads are to take calls themselves, of what is offered to them."""
        self._offers: dict[str, tuple[Kind, int]] = {}
        self._lock = threading.RLock()  # a finalizer may end a subscription in the midst of this
        self._loop: asyncio.AbstractEventLoop | None = None
        self._say: Say
        self._waiting: dict[Key, list[Future[None]]] = {}
        """Who wants to know when the hub has what is not said yet."""
        self._said: dict[int, tuple[Key, list[Future[None]]]] = {}
        """The same for what is said, by its id."""

    def announce(self, pattern: str) -> Future[None]:
        """The number of subscribers of *pattern* has changed. Done when the hub knows."""
        return self._change((Kind.SUBSCRIBE, pattern))

    def offer(self, name: str, slots: int, threads: int) -> Future[None]:
        """Calls of *name* are taken from now on, by the loop or by *threads*. Done when the hub knows."""
        self.threads = threads or self.threads
        self._offers[name] = Kind.OFFER_HANDS if threads else Kind.OFFER, slots
        return self._change((Kind.OFFER, name))

    def withdraw(self, name: str) -> Future[None]:
        """Calls of *name* are not taken any more. Done when the hub knows."""
        self._offers.pop(name, None)
        return self._change((Kind.OFFER, name))

    # --- the loop's side -----------------------------------------------------------------------------------------

    def follow(self, loop: asyncio.AbstractEventLoop, say: Say) -> None:
        """From now on *say* is called in *loop* for whatever changes."""
        with self._lock:
            self._loop, self._say = loop, say

    def leave(self) -> None:
        """Nobody says anything any more."""
        with self._lock:
            self._loop = None

    def all(self, ids: Iterator[int]) -> list[bytes]:
        """All there is to say to a new hub, as frames. Nothing that an old one has confirmed counts any more."""
        with self._lock:
            for key, waiting in self._said.values():
                self._waiting.setdefault(key, []).extend(waiting)
            self._said.clear()
            gone = set(self._waiting)
        keys = [(Kind.SUBSCRIBE, pattern) for pattern in self.subscriptions.patterns()]
        keys += [(Kind.OFFER, name) for name in list(self._offers)]
        frames = [self.one(next(ids), key) for key in keys]
        for key in gone.difference(keys):
            with self._lock:
                waiting = self._waiting.pop(key, [])
            _tell(waiting)  # a new hub knows nothing of it, which is what they wait for
        return frames

    def one(self, id: int, key: Key) -> bytes:
        """What there is to say about *key* now, as a frame."""
        kind, name = key
        with self._lock:
            self._said[id] = key, self._waiting.pop(key, [])
        if kind == Kind.SUBSCRIBE:
            return encode(Kind.SUBSCRIBE, id, name, self.subscriptions.count(name))
        offer = self._offers.get(name)
        return encode(Kind.WITHDRAW, id, name) if offer is None else encode(offer[0], id, name, offer[1])

    def done(self, id: int) -> None:
        """The hub has what was said under that id."""
        with self._lock:
            _, waiting = self._said.pop(id, (None, []))
        _tell(waiting)

    def after_fork(self, *, forget: bool) -> None:
        """Let go of the parent's loop and locks; of what it is subscribed to and offers, too, with *forget*."""
        self._lock = threading.RLock()
        self._loop = None
        self._waiting, self._said = {}, {}
        self.subscriptions.after_fork()
        if forget:
            self._offers.clear()
            self.threads = 0

    def _change(self, key: Key) -> Future[None]:
        future: Future[None] = Future()
        with self._lock:
            self._waiting.setdefault(key, []).append(future)
            if self._loop is not None:
                with suppress(RuntimeError):  # the loop has ended, and the process soon will
                    self._loop.call_soon_threadsafe(self._say, key)
        return future


def _tell(waiting: list[Future[None]]) -> None:
    for future in waiting:
        if not future.cancelled():
            with suppress(Exception):
                future.set_result(None)
