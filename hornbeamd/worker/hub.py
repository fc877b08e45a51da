"""The hub's process: the office of ``hub/`` at the socket that the supervisor listens on.

It runs as ``python -m hornbeamd.worker.hub FD``, where FD is its channel to the supervisor. The first line there is

    {"do": "begin", "version", "listener": fd, "locks": [fd, ...], "place": {"directory", "state"},
     "options": packed, "standby": whether to touch nothing before {"do": "serve"}}

It drops its privileges, and so takes only clients of the user that the workers run as, and of root. It ends when the
supervisor closes the channel or is gone.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import resource
import signal
import socket
import sys
from typing import Any

import hornbeamd
from hornbeamd.config.options import Options
from hornbeamd.hub.office import Office
from hornbeamd.hub.server import Server
from hornbeamd.node.place import Place
from hornbeamd.observe import logs
from hornbeamd.state.shared import SharedStore
from hornbeamd.state.sharedcache import SharedCache
from hornbeamd.state.upkeep import Upkeep, tend
from hornbeamd.worker import identity
from hornbeamd.worker.answers import Answers
from hornbeamd.worker.channel import IGNORED, Inbox, Message, Outbox, unpacked
from hornbeamd.worker.figures import Figures
from hornbeamd.worker.loops import loop_factory
from hornbeamd.worker.showing import Showing
from hornbeamd.worker.tracebacks import blame

log = logging.getLogger("hornbeamd.hub")

BEAT = 1.0


class Hub:
    """The state of the process."""

    def __init__(self, channel: socket.socket) -> None:
        self._channel = channel
        self._outbox = Outbox(channel)
        self._inbox = Inbox()
        self._early: list[Message] = []
        """What came together with the first message."""
        self._serving = False
        self._options: Options
        self._place: Place
        self._office: Office
        self._answers: Answers
        self._figures: Figures
        self._loop: asyncio.AbstractEventLoop
        self._standby = False
        self._over: asyncio.Event
        self._turn: asyncio.Event

    def run(self) -> int:
        """Serve until the supervisor is gone; gives the exit status."""
        message = self._first()
        if message is None:
            return 0
        try:
            listener = self._prepare(message)
            with asyncio.Runner(loop_factory=loop_factory("auto")) as runner:
                runner.run(self._serve(listener))
        except BaseException as error:
            if self._serving:
                log.critical("the event loop ended", exc_info=error)
            self._say({"event": "failed", "text": blame(error)})
            return 1
        return 0

    def _first(self) -> Message | None:
        while not self._early and (data := self._channel.recv(65536)):
            self._early += self._inbox.feed(data)
        return self._early.pop(0) if self._early else None

    def _prepare(self, begin: Message) -> socket.socket:
        if begin["version"] != hornbeamd.__version__:
            raise RuntimeError(f"hornbeamd {begin['version']} is running, but {hornbeamd.__version__} is installed")
        self._options = unpacked(begin["options"])
        self._place = Place(**begin["place"])
        self._standby = begin["standby"]
        for fd in (begin["listener"], *begin["locks"]):
            os.set_inheritable(fd, False)
        identity.drop_privileges(self._options.user, self._options.group)
        logs.setup(self._options.log, role="hub")
        _allow_many_files()
        return socket.socket(fileno=begin["listener"])

    async def _serve(self, listener: socket.socket) -> None:
        self._loop, self._over, self._turn = asyncio.get_running_loop(), asyncio.Event(), asyncio.Event()
        hub, state = self._options.hub, self._options.state
        self._office = Office(self._loop.time(), most_waiting=hub.max_waiting_calls, awaited=_awaited(self._options))
        store = SharedStore(self._place.state, state.max_size)
        cache = SharedCache(self._place.cache, state.cache_size)
        self._figures = Figures(self._office, store, cache)
        subjects = {"status": self._status, "state": Showing(store).answer, "figures": self._tell_figures}
        self._answers = Answers(self._channel, self._outbox, subjects)
        self._channel.setblocking(False)
        self._loop.add_reader(self._channel, self._receive)
        for message in self._early:
            self._obey(message)
        if self._standby:
            self._say({"event": "ready"})
            self._beat()
            await self._turn.wait()
            if self._over.is_set():
                return
        # The first turn is over before anybody writes to a state on disk.
        upkeep = Upkeep(self._place.state, state.max_size, state.sync_interval if state.path else None)
        tending = await tend(upkeep)
        server = Server(self._office, hub.max_message_size)
        await server.start(listener)
        if not self._standby:
            self._say({"event": "ready"})
            self._beat()
        self._serving = True
        gc.collect()
        gc.freeze()  # it stays; to look at it again and again would hold up messages
        await self._over.wait()
        tending.cancel()
        server.close()

    def _beat(self) -> None:
        self._loop.call_later(min(BEAT, self._options.heartbeat_timeout / 4), self._beat)
        with contextlib.suppress(ConnectionError):
            self._outbox.offer({"event": "beat"})

    # What the supervisor says.

    def _receive(self) -> None:
        try:
            data = self._channel.recv(65536)
        except BlockingIOError:
            return
        except ConnectionError:
            data = b""
        if not data:
            self._loop.remove_reader(self._channel)
            self._over.set()
            self._turn.set()
        for message in self._inbox.feed(data):
            self._obey(message)

    def _obey(self, message: Message) -> None:
        match message["do"]:
            case "reopen":
                logs.reopen()
            case "adopt":
                self._adopt(unpacked(message["options"]))
            case "serve":
                self._turn.set()
            case "ask":
                self._answers.asked(message)

    def _adopt(self, options: Options) -> None:
        """What a reload has changed."""
        self._options = options
        self._office.expect(_awaited(options))
        self._office.flush()
        logs.change(options.log, role="hub")

    async def _status(self, message: Message) -> dict[str, Any]:
        return self._office.status()

    async def _tell_figures(self, message: Message) -> dict[str, Any]:
        return await self._figures.answer([pool.name for pool in self._options.pools])

    def _say(self, message: Message) -> None:
        # A supervisor that is gone will be noticed when its messages end.
        with contextlib.suppress(ConnectionError):
            self._outbox.send(message)


def _awaited(options: Options) -> frozenset[str]:
    """The names that pools offer, as ``node`` has them: calls of these wait while no process of the pool is up."""
    return frozenset(f"hook:{pool.name}" for pool in options.pools)


def _allow_many_files() -> None:
    """Every thread that calls has a connection of its own; the customary 1024 descriptors are soon used up."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def main() -> int:
    """Be the hub; gives the exit status of the process."""
    for number in IGNORED:
        signal.signal(number, signal.SIG_IGN)
    channel = socket.socket(fileno=int(sys.argv[1]))
    channel.set_inheritable(False)
    return Hub(channel).run()


if __name__ == "__main__":
    sys.exit(main())
