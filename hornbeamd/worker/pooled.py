"""What a process of a pool is for: one handler, whose calls come through the hub.

It asks to be replaced when it has served its number of calls or holds too much memory. It is stuck when a call goes on
for long after its caller has given up: such a call is in a thread, where nothing can stop it.
"""

from __future__ import annotations

import asyncio
import logging
import random
import threading
from collections.abc import Iterable

from hornbeamd import node
from hornbeamd.apps import loader
from hornbeamd.config.options import Options
from hornbeamd.config.pools import PoolOptions
from hornbeamd.node.handlers import Hook
from hornbeamd.node.offers import hook_name
from hornbeamd.node.post import HeldJob, Job, Servant
from hornbeamd.worker.birth import Birth
from hornbeamd.worker.life import BEAT, Tell
from hornbeamd.worker.memory import resident

log = logging.getLogger("hornbeamd.worker")


class PoolVersion:
    """The :class:`~hornbeamd.worker.generations.Version` of a process of a pool: a handler."""

    def __init__(self, handler: str) -> None:
        found = loader.find(handler)
        self.hook = Hook(found() if isinstance(found, type) else found)

    async def startup(self) -> None:
        """All is done already."""

    async def finished(self) -> None:
        """A call that goes on holds what it needs itself."""

    def drain(self, seconds: float) -> None:
        """Calls have time-outs of their own."""

    async def shutdown(self) -> None:
        """Nothing is left to be ended."""


class Pooled:
    """The :class:`~hornbeamd.worker.life.Service` of a process of a pool."""

    def __init__(self, birth: Birth, options: PoolOptions) -> None:
        self._birth = birth
        self._options = options
        self._patience = options.timeout or birth.options.hub.call_timeout
        self._node = node.current()
        self._left = 0
        """How many calls are left until it asks to be replaced; 0 when it never does, or has done so."""
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop
        self._servant: Servant
        self._version: PoolVersion
        self._tell: Tell
        for listener in birth.listeners:
            listener.close()  # nobody shall find the address taken because of a process that never accepts
        self._node.use_threads(options.threads)

    def build(self, options: Options) -> PoolVersion:
        """Import the handler; a class gets its instance now, so that the first call finds it ready."""
        return PoolVersion(self._options.handler)

    def serve(self, version: PoolVersion, tell: Tell) -> None:
        """Take calls."""
        self._tell = tell
        self._loop = asyncio.get_running_loop()
        options = self._options
        if options.max_requests:
            self._left = options.max_requests + random.randint(0, options.max_requests_jitter)
        if options.max_memory:
            self._weigh_first()
        assert self._node.post.servant is not None
        self._servant, self._node.post.servant = self._node.post.servant, self
        self._offer(version)

    def adopt(self, version: PoolVersion, options: Options) -> None:
        """Give calls to *version* from now on."""
        self._patience = self._options.timeout or options.hub.call_timeout
        if version is not self._version:
            self._offer(version)

    def _offer(self, version: PoolVersion) -> None:
        self._version = version
        slots = self._options.concurrency or max(self._options.threads, version.hook.at_once)
        self._node.offers.add(hook_name(self._options.name), version.hook, slots)

    def take(self, job: Job) -> None:
        """Work on a call, and count it."""
        self._count()
        self._servant.take(job)

    def work(self, job: HeldJob) -> None:
        """The same in the thread that has read it."""
        self._count()
        self._servant.work(job)

    def _count(self) -> None:
        if self._left:
            with self._lock:
                last = self._left == 1
                self._left = max(0, self._left - 1)
            if last:
                self._loop.call_soon_threadsafe(self._tell, {"event": "recycle", "why": "max_requests"})

    @property
    def idle(self) -> bool:
        """Whether no call is in hand."""
        return self._node.serving.idle

    def stuck(self, now: float) -> str | None:
        """Say for how long a call has been going on that its caller gave up, or None."""
        given_up = self._node.serving.given_up()
        if given_up is None or now - given_up < self._patience:
            return None
        return f"a call goes on {now - given_up:.1f} s after it was given up"

    def refuse(self) -> None:
        """The node takes back the offers of every process that ends."""

    async def drain(self, timeout: float, idle: float) -> bool:
        """There is nothing but calls, which every process finishes."""
        return True

    def cut(self) -> None:
        """Nothing is left to be cut."""

    def reopen_logs(self) -> None:
        """It has no log files of its own."""

    def descriptors(self) -> Iterable[int]:
        """None that lead to clients."""
        return ()

    # --- memory --------------------------------------------------------------------------------------------------

    def _weigh_first(self) -> None:
        size, limit = resident(), self._options.max_memory
        if size > limit:  # a replacement would not be smaller
            fields = {"memory": size, "max_memory": limit}
            log.warning(
                "the handler alone takes more than max_memory, which is not looked at", extra={"fields": fields}
            )
        else:
            asyncio.get_running_loop().call_later(BEAT, self._weigh)

    def _weigh(self) -> None:
        """Ask to be replaced, once, when this process has become too large."""
        size = resident()
        if size > self._options.max_memory:
            self._tell({"event": "recycle", "why": f"max_memory: it holds {size} bytes"})
        else:
            asyncio.get_running_loop().call_later(BEAT, self._weigh)
