"""A worker process as the supervisor holds it: its channel, its pidfd, its stacks, and its end.

The end of a worker is learned from whoever is its parent: the spawner that forked it reports it, and when the
spawner is dead the reaper gets it. The pidfd says that it is dead even when neither speaks up.
"""

from __future__ import annotations

import errno
import os
import signal
import socket
import time
from collections.abc import Callable

import anyio

from hornbeamd.supervisor.lines import Sender, messages
from hornbeamd.supervisor.questions import Questions
from hornbeamd.supervisor.reaper import how_it_ended
from hornbeamd.worker.channel import Message
from hornbeamd.worker.scoreboard import memory_file

STACKS_SIGNAL = signal.SIGUSR2
# How long a death is known of before its status must be: the report may be a few lines behind.
REPORT_TIMEOUT = 2.0
# How long faulthandler may take to write the stacks; a process that the kernel holds writes none at all.
STACKS_TIMEOUT = 2.0
LONGEST_STACKS = 64 * 1024


class WorkerProcess:
    """One worker, from before its fork until after its end. Raises OSError where no descriptors are left.

    ``pool`` is the name of the one that it belongs to, "" for a web worker. A ``trial`` ends when it could serve.
    """

    def __init__(self, number: int, generation: int, pool: str, *, trial: bool = False) -> None:
        self.trial = trial
        self.pool = pool
        self.number = number
        self.generation = generation
        self.pid: int | None = None
        self.since = time.monotonic()
        self.failure: str | None = None
        self.status: int | None = None
        self.dead = anyio.Event()
        self.dumping = anyio.Lock()
        self.stacks_fd = memory_file("hornbeamd stacks")
        try:
            self.channel, self.their_end = socket.socketpair()
        except OSError:
            os.close(self.stacks_fd)
            raise
        self.channel.setblocking(False)
        self._pidfd = -1
        self._stacks_read = 0
        self._sender = Sender(self.channel)
        self.questions = Questions(str(self), self.send)

    def __str__(self) -> str:
        return f"process {self.number} of pool {self.pool}" if self.pool else f"worker {self.number}"

    def forked(self) -> None:
        """The spawner has the worker's end of the channel; ours must be the only other one."""
        self.their_end.close()

    def born(self, pid: int) -> None:
        """Learn the process id, and take hold of the process itself where the system offers it."""
        self.pid = pid
        if hasattr(os, "pidfd_open"):
            try:
                self._pidfd = os.pidfd_open(pid)
            except OSError as error:
                if error.errno not in (errno.ESRCH, errno.ENOSYS, errno.EPERM, errno.EMFILE):
                    raise

    def over(self, status: int | None) -> None:
        """Its parent collected it. Only the first report counts."""
        if not self.dead.is_set():
            self.status = status
            self.dead.set()
            self.questions.end()

    def how(self) -> str:
        """How it ended, in one short phrase."""
        return how_it_ended(self.status)

    def send(self, message: Message) -> None:
        """Tell the worker something; one that is gone needs no telling."""
        self._sender.send(message)

    def signal(self, number: int) -> None:
        """Send a signal to this very process, never to another that has its number by now."""
        try:
            if self._pidfd >= 0:
                signal.pidfd_send_signal(self._pidfd, number)
            elif self.pid is not None and not self.dead.is_set():
                os.kill(self.pid, number)
        except ProcessLookupError:
            pass

    async def listen(self, receive: Callable[[Message], None]) -> None:
        """Hand on the worker's messages until its end of the channel is closed, then see it dead.

        Its answers go to those who have asked. Meanwhile it gets what the channel did not take as a whole.
        """
        async with anyio.create_task_group() as group:
            group.start_soon(self._sender.run)
            async for message in messages(self.channel):
                if message["event"] == "answer":
                    self.questions.hear(message)
                else:
                    receive(message)
            group.cancel_scope.cancel()
        if self._pidfd < 0:
            await self._give_up_on_report()

    async def watch(self) -> None:
        """Return when the process is dead by its pidfd; forever where there is none."""
        if self._pidfd < 0:
            await anyio.sleep_forever()
        await anyio.wait_readable(self._pidfd)
        await self._give_up_on_report()

    async def _give_up_on_report(self) -> None:
        with anyio.move_on_after(REPORT_TIMEOUT):
            await self.dead.wait()
        self.over(None)

    async def stacks(self) -> str:
        """The stacks of all threads, written by faulthandler, which can even while they are blocked in C."""
        self.signal(STACKS_SIGNAL)
        size = -1
        with anyio.move_on_after(STACKS_TIMEOUT):
            while not self.dead.is_set():
                before, size = size, os.fstat(self.stacks_fd).st_size
                if size == before and size > self._stacks_read:
                    break
                await anyio.sleep(0.05)
        return "" if self.dead.is_set() else self.written_stacks()

    def written_stacks(self) -> str:
        """What faulthandler has written since the last look, as on a fatal signal."""
        text = os.pread(self.stacks_fd, LONGEST_STACKS, self._stacks_read)
        self._stacks_read = os.fstat(self.stacks_fd).st_size
        return text.decode(errors="replace").strip()

    def close(self) -> None:
        """Give back every descriptor."""
        for sock in (self.channel, self.their_end):
            sock.close()
        for fd in (self.stacks_fd, self._pidfd):
            if fd >= 0:
                os.close(fd)
        self._pidfd = -1
