"""Telling systemd how we are: the protocol of sd_notify(3), which is one datagram per message.

Without NOTIFY_SOCKET in the environment all of this does nothing.
"""

from __future__ import annotations

import os
import socket
import time
from array import array
from collections.abc import Mapping, Sequence

import anyio

from hornbeamd.observe.escape import printable

LONGEST_STATUS = 1000
"""In bytes: systemd drops a message of more than 4096, and READY goes along with the status."""


class Notifier:
    """Speaks to the service manager named in ``environ``.

    Nothing here raises because of it: a service manager that does not listen is no reason to stop serving. Whoever
    runs the daemon from a program gets the folder *runtime* along with READY, in a field of our own, as sd_notify(3)
    has them: systemd ignores those that begin with ``X_``.
    """

    def __init__(self, environ: Mapping[str, str], runtime: str) -> None:
        self._runtime = runtime
        self.silent = False
        """Nothing is said: another process speaks for the service."""
        self._status = ""
        self._address = environ.get("NOTIFY_SOCKET", "")
        self.watchdog = _watchdog(environ)
        self._socket: socket.socket | None = None
        if self._address.startswith(("/", "@")):
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            self._socket.setblocking(False)

    def main_is(self, pid: int) -> None:
        """Another process is the main one from now on, and what this one says is not listened to any more."""
        self._send(f"MAINPID={pid}")
        self.silent = True

    def ready(self, status: str) -> None:
        """The server serves; after a reload: the reload is over."""
        self._status = status
        self._send("READY=1", _status(status), f"MAINPID={os.getpid()}", f"X_HORNBEAM_RUNTIME={self._runtime}")

    def reloading(self) -> None:
        """A reload begins; by its time ``Type=notify-reload`` tells it from an earlier one."""
        self._status = "reloading"
        self._send("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}", f"STATUS={self._status}")

    def status(self, text: str) -> None:
        """One line for ``systemctl status``; nothing where it says so already."""
        if text != self._status:
            self._status = text
            self._send(_status(text))

    def stopping(self) -> None:
        """The end has begun."""
        self._send("STOPPING=1", "STATUS=stopping")

    def keep(self, name: str, descriptors: Sequence[int]) -> None:
        """Have the service manager keep descriptors, and pass them on to the next start of the service."""
        self._send("FDSTORE=1", f"FDNAME={name}", descriptors=descriptors)

    def forget(self, name: str) -> None:
        """Have it let go of those."""
        self._send("FDSTOREREMOVE=1", f"FDNAME={name}")

    async def keep_watchdog(self) -> None:
        """Say twice per watchdog period that the supervisor lives, until cancelled."""
        while self.watchdog:
            self._send("WATCHDOG=1")
            await anyio.sleep(self.watchdog / 2)

    def close(self) -> None:
        """Say no more."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _send(self, *lines: str, descriptors: Sequence[int] = ()) -> None:
        if self._socket is None or self.silent:
            return
        abstract = self._address.startswith("@")
        address = "\0" + self._address[1:] if abstract else self._address
        try:
            rights = (socket.SOL_SOCKET, socket.SCM_RIGHTS, array("i", descriptors))
            data = "\n".join(lines).encode(errors="surrogateescape")  # paths may be any bytes
            self._socket.sendmsg([data], [rights] if descriptors else [], 0, address)
        except OSError:
            pass


def _status(text: str) -> str:
    """*text*, whatever is in it, as the one line that a status is."""
    return "STATUS=" + printable(text).encode()[:LONGEST_STATUS].decode(errors="ignore")


def _watchdog(environ: Mapping[str, str]) -> float:
    """The period in seconds within which systemd wants to hear of us; 0 when it does not."""
    microseconds = environ.get("WATCHDOG_USEC", "")
    if not microseconds.isdecimal() or environ.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return 0.0
    return int(microseconds) / 1e6
