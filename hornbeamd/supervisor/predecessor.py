"""The daemon whose place this one takes, seen from here.

``successor.py`` is the other side, and has the order of events.
"""

from __future__ import annotations

import contextlib
import logging
import os
import socket
from collections.abc import Callable, MutableMapping

import anyio

import hornbeamd
from hornbeamd.config import plan as changes
from hornbeamd.config.options import Options
from hornbeamd.errors import SupervisionError
from hornbeamd.jsonlines import encode
from hornbeamd.supervisor.handover import VARIABLE, Estate, read_options
from hornbeamd.supervisor.lines import messages
from hornbeamd.worker.channel import Inbox, Message

log = logging.getLogger("hornbeamd.supervisor")


class Predecessor:
    """The old daemon, which serves until this one has taken what is in ``estate``."""

    def __init__(self, channel: socket.socket, estate: Estate) -> None:
        self.estate = estate
        self.options = read_options(estate.options)
        """Those that it runs with."""
        self._channel = channel
        self._take, self._over = anyio.Event(), anyio.Event()

    @staticmethod
    def of(environ: MutableMapping[str, str]) -> Predecessor | None:
        """The one that has started this process; None when it was not started by one. Raises SupervisionError when it
        hands over what is not understood, or is gone already."""
        fd = environ.pop(VARIABLE, None)
        if fd is None:
            return None
        channel = socket.socket(fileno=int(fd))
        channel.set_inheritable(False)
        message = _first(channel)
        os.dup2(message["stderr"], 2)
        os.close(message["stderr"])
        try:
            return Predecessor(channel, Estate.of(message))
        except SupervisionError as error:
            channel.sendall(encode({"event": "failed", "text": str(error)}))
            raise

    def adapt(self, options: Options) -> Options:
        """*options*, but with what only a restart can change as the old daemon has it."""
        needed = changes.plan(self.options, options)
        if needed.restart:
            log.warning("changed options need a restart", extra={"fields": {"options": list(needed.restart)}})
        return changes.keep(self.options, options, needed.restart)

    def fail(self, why: str) -> None:
        """Tell it why it has to go on itself."""
        self._tell({"event": "failed", "text": why})

    async def listen(self, gone: Callable[[], None]) -> None:
        """Hear what it says until it ends; ``gone`` is called when that is before it has handed over."""
        self._channel.setblocking(False)
        async for message in messages(self._channel):
            if message["do"] == "take":
                self._take.set()
            elif message["do"] == "over":
                self._over.set()
        self._channel.close()
        if not self._take.is_set():
            gone()
        self._over.set()

    async def hand_over(self) -> None:
        """Tell it that this daemon serves; returns when all is this one's to take."""
        self._tell({"event": "ready", "version": hornbeamd.__version__})
        await self._take.wait()

    async def part(self) -> None:
        """Tell it that all was taken; returns when this daemon is to speak for the service."""
        self._tell({"event": "taken"})
        await self._over.wait()

    def _tell(self, message: Message) -> None:
        with contextlib.suppress(OSError):  # it is gone, which is seen where it is waited for
            self._channel.sendall(encode(message))


def _first(channel: socket.socket) -> Message:
    inbox = Inbox()
    while data := channel.recv(65536):
        for message in inbox.feed(data):
            return message
    raise SupervisionError("the old daemon is gone")
