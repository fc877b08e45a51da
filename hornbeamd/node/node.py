"""What this process has of the server: the state that all share, and the way to the others.

Applications reach it by :func:`current`. In the server's processes a node that is :func:`joined` has been installed;
anywhere else, in tests and under other servers, the first use makes one that is :func:`alone`.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Collection, Mapping
from typing import Any

from hornbeamd.config.options import Options
from hornbeamd.hub.topics import is_pattern
from hornbeamd.node.alone import AlonePost
from hornbeamd.node.generations import Generations
from hornbeamd.node.home import Home
from hornbeamd.node.hubpost import HubPost
from hornbeamd.node.offers import Offers, function_name, hook_name
from hornbeamd.node.place import Place
from hornbeamd.node.serving import Serving
from hornbeamd.node.subscriptions import Subscription
from hornbeamd.node.tasks import Tasks
from hornbeamd.node.threads import Threads
from hornbeamd.state.cache import Cache, LocalCache
from hornbeamd.state.memory import MemoryStore
from hornbeamd.state.store import Store
from hornbeamd.state.terms import pack

CONNECTING = 5.0
"""How long, in seconds, a process waits for the hub when it begins."""


class Node:
    """This process as a part of the server.

    ``store`` is the state, ``cache`` that of ``hornbeam_ml``, ``post`` the way to other processes, ``subscriptions``
    what this one is subscribed to, ``offers`` what it takes calls of, ``generations`` whose code has done either,
    ``tasks`` the calls that it has begun and nobody waits for yet.
    *call_timeout* is in seconds; *timeouts* has those of the names on the wire that have their own. *queue_size* is
    how many messages wait for a subscriber.
    """

    def __init__(
        self,
        store: Store,
        cache: Cache,
        post: HubPost | AlonePost,
        *,
        call_timeout: float,
        queue_size: int,
        timeouts: Mapping[str, float] | None = None,
        pools: Collection[str] = (),
    ) -> None:
        self.store = store
        self.cache = cache
        self.post = post
        self.subscriptions = post.subscriptions
        self.call_timeout = call_timeout
        self.timeouts = timeouts or {}
        self.queue_size = queue_size
        self.generations = Generations()
        self.generations.subscriptions = self.subscriptions
        self.offers = Offers(pools, generations=self.generations)
        self.offers.through(post)
        self.threads: Threads
        self.home: Home
        self.tasks: Tasks
        self.serving: Serving
        self.use_threads(self.offers.threads)

    def use_threads(self, threads: int) -> None:
        """Have so many threads for plain functions that are called; before any are, or in a forked child."""
        self.offers.threads = threads
        self.threads = Threads(threads)
        self.home = Home()
        self.tasks = Tasks(self.offers, self.post)
        self.serving = self.post.servant = Serving(self.offers, self.threads)

    def after_fork(self) -> None:
        """Let go, in a forked child, of what is its parent's."""
        self.post.after_fork()
        self.offers.after_fork()
        self.use_threads(self.offers.threads)

    def publish(self, topic: str, message: Any) -> int:
        """How many subscribers got *message*, a term, in all processes; 0 without a hub."""
        return self.post.publish(_topic(topic), pack(message))

    async def publish_async(self, topic: str, message: Any) -> int:
        """As :meth:`publish`."""
        return await self.post.aio.publish(_topic(topic), pack(message))

    def subscribe(self, pattern: str, queue_size: int | None = None) -> Subscription:
        """A subscription of all topics that fit *pattern*, to be entered."""
        if queue_size is None:
            queue_size = self.queue_size
        elif queue_size < 1:
            raise ValueError(f"a queue of {queue_size} messages")
        return Subscription(self.subscriptions, _text(pattern), queue_size, self.generations.acting())

    def offered(self, function: str) -> bool:
        """Whether some process takes calls of *function*."""
        name = function_name(function)
        return self.offers.find(name) is not None or self.post.offered(name)

    def rename(self, who: str) -> None:
        """What people call this process, when it has become another than it was."""
        self.post.rename(who)

    async def connect(self, timeout: float = CONNECTING) -> None:
        """Be reachable in the running loop. Raises HubGone when there is no hub in time, and goes on trying."""
        self.home.settle(asyncio.get_running_loop())
        await self.post.connect(timeout)

    def connect_in_background(self, timeout: float = CONNECTING) -> None:
        """As :meth:`connect`, in a thread with a loop: for a program that has none of its own."""
        self.post.connect_in_background(timeout)
        self.home.settle(self.post.loop)

    async def finish(self, timeout: float) -> bool:
        """Take no more calls, and finish those in hand within *timeout* seconds; whether that was enough."""
        try:
            async with asyncio.timeout(timeout):
                if withdrawn := self.offers.through(None):
                    # Once more in a thread, where it is waited for: what the hub had sent before it knew is here then.
                    await asyncio.to_thread(self.post.withdraw, withdrawn[-1])
                await self.post.rest()
                await self.serving.finished()
        except TimeoutError:
            return False
        return True

    def retire(self) -> None:
        """Take no more messages: whoever iterates over a subscription comes to the end."""
        self.subscriptions.close()

    async def leave(self) -> None:
        """Close subscriptions and connections. What was made by :meth:`connect` ends in the same loop."""
        self.retire()
        await self.post.leave()
        self.home.settle(None)
        self.serving.close()  # what nobody waits for any more

    def leave_background(self) -> None:
        """Undo :meth:`connect_in_background`."""
        self.retire()
        self.post.leave_background()
        self.home.settle(None)

    def close(self) -> None:
        """Let go of the state, the cache and the threads: for who has left, in a program that goes on."""
        self.store.close()
        self.cache.close()
        self.threads.close()


def joined(place: Place, options: Options, who: str) -> Node:
    """The node of a process of the server; *who* is what people call it ("worker 3"). It is not connected yet."""
    from hornbeamd.state.shared import SharedStore  # and LMDB, which nobody needs outside the server
    from hornbeamd.state.sharedcache import SharedCache

    return Node(
        SharedStore(place.state, options.state.max_size),
        SharedCache(place.cache, options.state.cache_size),
        HubPost(place.hub, who, options.hub.max_message_size),
        call_timeout=options.hub.call_timeout,
        queue_size=options.hub.queue_size,
        timeouts={hook_name(pool.name): pool.timeout for pool in options.pools if pool.timeout is not None},
        pools={pool.name for pool in options.pools},
    )


def alone() -> Node:
    """A stand-in outside the server: the same, within this process."""
    options = Options()
    return Node(
        MemoryStore(),
        LocalCache(options.state.cache_size),
        AlonePost(),
        call_timeout=options.hub.call_timeout,
        queue_size=options.hub.queue_size,
    )


def current() -> Node:
    """The node of this process."""
    return _installed or _begin()


def install(node: Node | None) -> None:
    """From now on *node* is the node of this process; with None, whatever the next use makes."""
    global _installed
    _installed = node


_installed: Node | None = None
_lock = threading.Lock()


def _begin() -> Node:
    global _installed
    with _lock:
        if _installed is None:
            _installed = alone()
        return _installed


def _after_fork() -> None:
    global _lock
    _lock = threading.Lock()
    if _installed is not None:
        _installed.after_fork()


os.register_at_fork(after_in_child=_after_fork)


def _topic(topic: str) -> str:
    if is_pattern(_text(topic)):
        raise ValueError(f"{topic!r} is a pattern, to which nothing is published")
    return topic


def _text(topic: str) -> str:
    if not isinstance(topic, str):
        raise TypeError(f"a topic is text, not {type(topic).__name__}")
    topic.encode()  # UnicodeEncodeError, which is a ValueError, on text that is no Unicode
    return topic
