"""Listening sockets that outlive the daemon: systemd holds copies while it starts again, and gives them back.

That is the file descriptor store, ``FileDescriptorStoreMax=`` of systemd.service(5). Whoever connects between the end
of the daemon, in a restart or a crash, and its next start waits in the kernel's queue and is not refused. Since nobody
can tell a restart from a stop, the sockets are not shut down at the end: systemd closes them when it starts nothing
again.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping
from urllib.parse import quote, unquote

from hornbeamd.config.address import Address
from hornbeamd.supervisor.listeners import Listener
from hornbeamd.supervisor.notify import Notifier

PREFIX = "hornbeamd.bind="
"""No name of a unit begins like that, such as systemd gives to the sockets of a socket unit by itself."""
LONGEST_NAME = 255  # FDNAME of sd_notify(3)


def is_offered(environ: Mapping[str, str]) -> bool:
    """Whether systemd keeps descriptors for this service."""
    return environ.get("FDSTORE", "").isdecimal() and int(environ["FDSTORE"]) > 0


def name_of(bind: Address) -> str:
    """The name under which the sockets of *bind* are kept: no colon, nor anything else that FDNAME may not have."""
    return PREFIX + quote(str(bind), safe="/", errors="surrogateescape")


def bind_of(name: str) -> Address | None:
    """What :func:`name_of` gave the name to; None for a name that it did not give."""
    if name.startswith(PREFIX):
        with contextlib.suppress(ValueError):
            return Address.parse(unquote(name.removeprefix(PREFIX), errors="surrogateescape"))
    return None


class Store:
    """What systemd keeps, told through *notifier*; it has *found* already."""

    def __init__(self, notifier: Notifier, environ: Mapping[str, str], found: Iterable[Address]) -> None:
        self._notifier = notifier
        self._offered = is_offered(environ)
        self._kept = {name_of(bind) for bind in found}

    def follow(self, listeners: Iterable[Listener]) -> None:
        """Have systemd keep these, and no others."""
        if not self._offered:
            return
        wanted: dict[str, list[int]] = {}
        for listener in listeners:
            bind = listener.bind
            if bind is not None and bind.kind != "fd" and len(name_of(bind)) <= LONGEST_NAME:
                wanted.setdefault(name_of(bind), []).append(listener.socket.fileno())
        for name in self._kept - wanted.keys():
            self._notifier.forget(name)
        for name in wanted.keys() - self._kept:
            self._notifier.keep(name, wanted[name])
        self._kept = set(wanted)
