"""A spawner process as the supervisor holds it. What runs on the other side is ``worker/spawner.py``.

A spawner is a fresh interpreter, started by exec, for one generation of the application's code. It has no
threads and no event loop, so it may fork; see docs/design.md, section 1.
"""

from __future__ import annotations

import base64
import contextlib
import logging
import os
import pickle
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import asdict
from pathlib import Path

import anyio

import hornbeamd
from hornbeamd.config.options import Options
from hornbeamd.errors import BootError
from hornbeamd.supervisor.lines import messages
from hornbeamd.supervisor.process import WorkerProcess
from hornbeamd.supervisor.reaper import Reaper, how_it_ended
from hornbeamd.supervisor.runtime import Runtime
from hornbeamd.worker.channel import Message, encode

log = logging.getLogger("hornbeamd.supervisor")


class Spawner:
    """The spawner of one generation, a child of the tree: it may die and come again under the same object."""

    def __init__(
        self,
        generation: int,
        options: Options,
        listeners: Sequence[socket.socket],
        board_fd: int,
        runtime: Runtime,
        reaper: Reaper,
        worker_ended: Callable[[str, int, int, int], None],
    ) -> None:
        """``worker_ended(pool, number, pid, status)`` is called for every worker that this spawner collects."""
        self.generation = generation
        self.options = options
        self._listeners = listeners
        self._board_fd = board_fd
        self._runtime = runtime
        self._reaper = reaper
        self._worker_ended = worker_ended
        self._process: subprocess.Popen[bytes] | None = None
        self._channel: socket.socket | None = None
        self._messages: AsyncIterator[Message]
        self._status = 0
        self._up = anyio.Event()
        self._dead = anyio.Event()

    async def start(self) -> None:
        """Start the process; returns when it is ready to fork. Raises BootError with its traceback."""
        try:
            self._launch()
        except OSError as error:  # no memory or no descriptor left, or the interpreter is being exchanged
            raise BootError(f"the spawner could not be started: {error}") from None
        try:
            with anyio.fail_after(self.options.boot_timeout):
                await self._hear_ready()
        except TimeoutError:
            await self.stop(0)
            raise BootError(f"the spawner was not ready within {self.options.boot_timeout:g} s") from None
        except BaseException:
            with anyio.CancelScope(shield=True):
                await self.stop(0)
            raise
        self._up.set()
        assert self._process is not None
        fields = {"pid": self._process.pid, "generation": self.generation}
        log.info("spawner ready", extra={"fields": fields})

    async def ended(self) -> bool:
        """Collect what it reports until it has ended; a spawner never ends normally by itself."""
        async for message in self._messages:
            if message["event"] == "exit":
                self._worker_ended(message["pool"], message["worker"], message["pid"], message["status"])
        await self._dead.wait()
        self._down()
        assert self._process is not None
        fields = {"pid": self._process.pid, "generation": self.generation, "end": how_it_ended(self._status)}
        log.error("spawner died, its workers serve on", extra={"fields": fields})
        self._close()
        return False

    async def fork(self, worker: WorkerProcess) -> None:
        """Have a worker forked, as soon as there is a process to fork it."""
        while True:
            await self._up.wait()
            assert self._channel is not None
            line = encode({"do": "fork", "worker": worker.number, "pool": worker.pool})
            try:
                socket.send_fds(self._channel, [line], [worker.their_end.fileno(), worker.stacks_fd])
            except BlockingIOError:
                await anyio.wait_writable(self._channel)
            except OSError:
                self._down()  # it is dying; the tree starts it again
            else:
                worker.forked()
                return

    def reopen_logs(self) -> None:
        """Have it open its log file anew. One that is not up will open the new file anyway."""
        if self._up.is_set() and self._channel is not None:
            with contextlib.suppress(OSError):  # it is dying
                self._channel.send(encode({"do": "reopen"}))

    async def stop(self, timeout: float) -> None:
        """Close the channel, which ends it; kill it when that does not help."""
        self._down()
        if self._channel is not None:
            self._channel.shutdown(socket.SHUT_WR)
        if self._process is not None:
            with anyio.move_on_after(timeout):
                await self._dead.wait()
            if not self._dead.is_set():
                os.kill(self._process.pid, signal.SIGKILL)  # not reaped yet, so the number is still its own
            while not self._dead.is_set():
                self._reaper.collect()  # the reaper itself may have been cancelled by now
                await anyio.sleep(0.01)
        self._close()

    def _launch(self) -> None:
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        listeners = [sock.fileno() for sock in self._listeners]
        passed = [theirs.fileno(), self._board_fd, self._runtime.lock, *listeners]
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "hornbeamd.worker.spawner", str(theirs.fileno())],
                pass_fds=passed,
                stdin=subprocess.DEVNULL,
                env=_environment(),
            )
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
        self._channel, self._messages, self._dead = ours, messages(ours), anyio.Event()
        self._reaper.expect(self._process.pid, self._reaped)
        begin = {
            "do": "begin",
            "version": hornbeamd.__version__,
            "generation": self.generation,
            "listeners": listeners,
            "board": self._board_fd,
            "lock": self._runtime.lock,
            "place": asdict(self._runtime.place),
            # Our own objects, to our own code of the same version, over a socket nobody else has.
            "options": base64.b64encode(pickle.dumps(self.options)).decode(),
        }
        with contextlib.suppress(ConnectionError):  # it is dead already, which is seen where it is waited for
            ours.sendall(encode(begin))

    def _reaped(self, status: int) -> None:
        assert self._process is not None
        self._process.returncode = self._status = status
        self._dead.set()

    async def _hear_ready(self) -> None:
        message = await anext(self._messages, None)
        if message is None:
            await self._dead.wait()
            raise BootError(f"the spawner ended while starting: {how_it_ended(self._status)}")
        if message["event"] == "failed":
            raise BootError(message["text"])

    def _down(self) -> None:
        if self._up.is_set():
            self._up = anyio.Event()

    def _close(self) -> None:
        if self._channel is not None:
            self._channel.close()
        self._channel = self._process = None


def _environment() -> dict[str, str]:
    """The environment in which the spawner finds this very package.

    It is started without the current folder on its path (``-P``), where a stray ``json.py`` could break it.
    When ``python -m hornbeamd`` found the package in the current folder, the folder is named instead.
    """
    home = str(Path(hornbeamd.__file__).parents[1])
    if home in sys.path[1:]:
        return dict(os.environ)
    before = os.environ.get("PYTHONPATH")
    return {**os.environ, "PYTHONPATH": os.pathsep.join([home, before] if before else [home])}
