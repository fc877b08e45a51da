"""A client of a hub over its real socket: blocking, and as plain as can be."""

from __future__ import annotations

import os
import socket
from types import TracebackType
from typing import Any

from hornbeamd.hub.wire import VERSION, Frames, Kind, encode

TIMEOUT = 10.0


class HubClient:
    """Connected to the hub at *path*; has said HELLO, unless *who* is None."""

    def __init__(self, path: str, who: str | None = "test") -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.settimeout(TIMEOUT)
        self.socket.connect(path)
        self._frames = Frames(1 << 30)
        self._heard: list[list[Any]] = []
        if who is not None:
            self.say(Kind.HELLO, VERSION, who, os.getpid())

    def say(self, kind: int, *items: Any) -> None:
        """Send a message."""
        self.socket.sendall(encode(kind, *items))

    def hear(self) -> tuple[Any, ...] | None:
        """The next message, its kind first; None when the hub has closed the connection."""
        while not self._heard:
            try:
                data = self.socket.recv(1 << 20)
            except ConnectionError:
                return None
            if not data:
                return None
            self._heard += self._frames.feed(data)
        kind, *items = self._heard.pop(0)
        return (Kind(kind), *items)

    def ask(self, kind: int, *items: Any) -> tuple[Any, ...] | None:
        """Send a message; gives the next that comes."""
        self.say(kind, *items)
        return self.hear()

    def close(self) -> None:
        """Close the connection."""
        self.socket.close()

    def __enter__(self) -> HubClient:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
