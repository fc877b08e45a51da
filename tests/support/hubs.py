"""A hub in a thread of the test, on a socket in its folder."""

from __future__ import annotations

import asyncio
import socket
import tempfile
import threading
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path
from typing import Any

from hornbeamd.config.options import Options
from hornbeamd.hub.office import Office
from hornbeamd.hub.server import Server
from hornbeamd.node import Node, Place, joined
from hornbeamd.worker.loops import loop_factory


class Hub:
    """A hub that can be killed and started again; its listening socket stays open, as a supervisor's does."""

    def __init__(
        self, *, limit: int = 1 << 20, awaited: Collection[str] = (), unknown_wait: bool = False, loop: str = "asyncio"
    ) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="hb-")  # the path of a socket must be short
        folder = Path(self._folder.name)
        (folder / "state").mkdir()
        self.place = Place(self._folder.name, str(folder / "state"))
        self.limit = limit
        self._awaited = awaited
        self._patient = unknown_wait
        self._new_loop = loop_factory(loop)
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(self.place.hub)
        self._listener.listen(64)
        self._thread: threading.Thread | None = None
        self.start()

    def start(self) -> None:
        """Start it, and wait until it serves."""
        serves = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(serves,), name="hub")
        self._thread.start()
        assert serves.wait(10)

    def kill(self) -> None:
        """End it; all of its connections are lost."""
        assert self._thread is not None
        self._loop.call_soon_threadsafe(self._killed.set)
        self._thread.join()
        self._thread = None

    def close(self) -> None:
        """End it for good."""
        if self._thread is not None:
            self.kill()
        self._listener.close()
        self._folder.cleanup()

    def node(self, who: str = "test", **settings: Any) -> Node:
        """A node that is not connected yet."""
        options = Options()
        return joined(self.place, replace(options, hub=replace(options.hub, **settings)), who)

    def _run(self, serves: threading.Event) -> None:
        with asyncio.Runner(loop_factory=self._new_loop) as runner:
            runner.run(self._serve(serves))

    async def _serve(self, serves: threading.Event) -> None:
        self._loop = asyncio.get_running_loop()
        self._killed = asyncio.Event()
        # Without patience nothing needs the two seconds that a new hub has for names that it does not know yet.
        now = self._loop.time() - (0 if self._patient else 60)
        self.office = Office(now, most_waiting=100, awaited=self._awaited)
        server = Server(self.office, self.limit)
        listener = self._listener.dup()
        await server.start(listener)
        serves.set()
        await self._killed.wait()
        self._loop.remove_reader(listener)
        await _turns()  # asyncio loses a client that it has just accepted when its server is closed
        server.close()
        await _turns()


async def _turns() -> None:
    for _ in range(10):
        await asyncio.sleep(0)
