"""A program of ours as the supervisor holds it: a fresh interpreter, started by exec, and the channel to it.

Spawners are such programs, and the hub is one. Each reads a message ``begin`` first and answers ``ready`` or ``failed``
(worker/channel.py); each ends when the supervisor closes the channel, or is gone.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from pathlib import Path

import anyio

import hornbeamd
from hornbeamd.errors import BootError
from hornbeamd.supervisor.lines import Sender, messages
from hornbeamd.supervisor.reaper import Reaper, how_it_ended
from hornbeamd.worker.channel import Message


class Program:
    """Runs ``module``, known to people as ``name``; after its end it may be started again under the same object."""

    channel: socket.socket | None = None
    messages: AsyncIterator[Message]
    """What it says after it was ready."""
    pid: int = 0
    ready: Message
    """What it said when it was."""
    patience = 0.0
    """How many seconds one that does not become ready gets to end by itself."""

    def __init__(self, module: str, name: str, reaper: Reaper) -> None:
        self._module = module
        self._name = name
        self._reaper = reaper
        self._process: subprocess.Popen[bytes] | None = None
        self._status = 0
        self._sender: Sender | None = None
        self._dead = anyio.Event()

    async def start(self, begin: Mapping[str, object], descriptors: Sequence[int], timeout: float) -> None:
        """Start it with *descriptors*; returns when it is ready. Raises BootError, and leaves nothing running then."""
        try:
            self._launch(descriptors)
        except OSError as error:  # no memory or no descriptor left, or the interpreter is being exchanged
            raise BootError(f"{self._name} could not be started: {error}") from None
        try:
            with anyio.fail_after(timeout):
                await self._say_begin(begin)
                await self._hear_ready()
        except TimeoutError:
            await self.stop(self.patience)
            raise BootError(f"{self._name} was not ready within {timeout:g} s") from None
        except BaseException:
            with anyio.CancelScope(shield=True):
                await self.stop(self.patience)
            raise

    async def ended(self) -> str:
        """Return when it has ended by itself, and how, and let go of it."""
        await self._dead.wait()
        self._close()
        return how_it_ended(self._status)

    async def stop(self, timeout: float) -> None:
        """Close the channel, which ends it; kill it when that does not help within *timeout* seconds."""
        if self.channel is not None:
            self.channel.shutdown(socket.SHUT_WR)
        if self._process is not None:
            with anyio.move_on_after(timeout):
                await self._until_dead()
            self.kill()
            await self._until_dead()
        self._close()

    async def _until_dead(self) -> None:
        while not self._dead.is_set():
            self._reaper.collect()  # the reaper itself may have been cancelled by now
            await anyio.sleep(0.01)

    def kill(self) -> None:
        """End it at once."""
        if self._process is not None and not self._dead.is_set():
            os.kill(self._process.pid, signal.SIGKILL)  # not reaped yet, so the number is still its own

    def tell(self, message: Message) -> None:
        """Tell it something. It hears nothing when it is not up, or dying."""
        if self._sender is not None:
            self._sender.send(message)

    async def hand(self, message: Message, descriptors: Sequence[int]) -> None:
        """Tell it something, and hand it *descriptors*. Raises OSError when it is not up, or dying."""
        if self._sender is None:
            raise ConnectionError(f"{self._name} is not up")
        await self._sender.send_with(message, descriptors)

    async def listen(self, receive: Callable[[Message], None]) -> None:
        """Hand on what it says until it ends. Meanwhile it gets what the channel did not take as a whole."""
        assert self._sender is not None
        async with anyio.create_task_group() as group:
            group.start_soon(self._sender.run)
            async for message in self.messages:
                receive(message)
            group.cancel_scope.cancel()

    def _launch(self, descriptors: Sequence[int]) -> None:
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        try:
            self._process = self._popen(theirs.fileno(), descriptors)
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
        self.channel, self.messages, self._dead = ours, messages(ours), anyio.Event()
        self._sender = Sender(ours)
        self.pid = self._process.pid
        self._reaper.expect(self.pid, self._reaped)

    def _popen(self, fd: int, descriptors: Sequence[int]) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, "-P", "-m", self._module, str(fd)],
            pass_fds=[fd, *descriptors],
            stdin=subprocess.DEVNULL,
            env=_environment(),
        )

    def _reaped(self, status: int) -> None:
        assert self._process is not None
        self._process.returncode = self._status = status
        self._dead.set()

    async def _say_begin(self, begin: Mapping[str, object]) -> None:
        assert self._sender is not None
        self._sender.send({"do": "begin", "version": hornbeamd.__version__, **begin})
        await self._sender.sent()

    async def _hear_ready(self) -> None:
        message = await anext(self.messages, None)
        if message is None:
            await self._dead.wait()
            raise BootError(f"{self._name} ended while starting: {how_it_ended(self._status)}")
        if message["event"] == "failed":
            raise BootError(message["text"])
        self.ready = message

    def _close(self) -> None:
        if self.channel is not None:
            self.channel.close()
        self.channel = self._sender = self._process = None


def _environment() -> dict[str, str]:
    """The environment in which the program finds this very package.

    It is started without the current folder on its path (``-P``), where a stray ``json.py`` could break it.
    When ``python -m hornbeamd`` found the package in the current folder, the folder is named instead.
    """
    home = str(Path(hornbeamd.__file__).parents[1])
    if home in sys.path[1:]:
        return dict(os.environ)
    before = os.environ.get("PYTHONPATH")
    return {**os.environ, "PYTHONPATH": os.pathsep.join([home, before] if before else [home])}
