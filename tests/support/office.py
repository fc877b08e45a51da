"""The hub's office with clients that are tested line by line: what is said to it, and what they hear."""

from __future__ import annotations

from typing import Any

from hornbeamd.errors import WireError
from hornbeamd.hub.client import Client
from hornbeamd.hub.office import Office
from hornbeamd.hub.wire import VERSION, Frames, Kind


class Somebody:
    """A client of *office*, which has said HELLO."""

    def __init__(self, office: Office, who: str) -> None:
        self.office = office
        self._frames = Frames(1 << 30)
        self._heard: list[list[Any]] = []
        self.sends = 0
        """How many writes its connection has seen."""
        self.client: Client = office.enter(self._take)
        self.say(Kind.HELLO, VERSION, who, 100)

    def _take(self, data: bytes) -> None:
        self.sends += 1
        self._heard += self._frames.feed(data)

    def say(self, *message: Any) -> None:
        """Have the office act on a message, and send what comes of it. A client that may not say that is gone."""
        try:
            self.office.receive(self.client, [int(message[0]), *message[1:]])
        except WireError:
            self.go()
            raise
        self.office.flush()

    def go(self) -> None:
        """Close the connection."""
        self.office.leave(self.client)
        self.office.flush()

    def heard(self) -> list[tuple[Any, ...]]:
        """What it was sent since the last look; the kind first."""
        heard, self._heard = self._heard, []
        return [(Kind(kind), *items) for kind, *items in heard]
