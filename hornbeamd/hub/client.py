"""A client of the hub, as the hub knows it: one connection of some process."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from hornbeamd.errors import WireError
from hornbeamd.hub.wire import encode

if TYPE_CHECKING:
    from hornbeamd.hub.calls import Call, Name, Offer
    from hornbeamd.hub.locks import Lock


class Client:
    """What it is, what it is owed, and what is on its way to it.

    *send* takes bytes for it; *touched* is where a client that has something to be sent puts itself, once.
    """

    __slots__ = (
        "_send",
        "_touched",
        "asked",
        "gone",
        "hands",
        "idle",
        "key",
        "lender",
        "lost",
        "missed",
        "offers",
        "out",
        "pid",
        "slow",
        "starved",
        "who",
        "work",
    )

    def __init__(self, send: Callable[[bytes], None], touched: list[Client]) -> None:
        self._send = send
        self._touched = touched
        self.who: str | None = None
        """None until it has said."""
        self.pid = 0
        self.gone = False
        self.slow = False
        """Whether it reads too slowly to get messages."""
        self.missed: dict[str, int] = {}
        """How many messages of each of its patterns it did not get since it is slow."""
        self.lost = 0
        """How many messages it did not get in all."""
        self.out: list[bytes] = []
        self.asked: dict[int, Call | Lock] = {}
        """What it waits for, by the ids that it gave."""
        self.work: dict[int, Call] = {}
        """The calls that it works on, by the ids that the hub gave."""
        self.offers: dict[str, Offer] = {}
        self.key: bytes | None = None
        """What its hands say, if it has some."""
        self.lender: Client | None = None
        """Whose hand it is, if it is one."""
        self.hands: set[Client] = set()
        self.idle: list[Client] = []
        """Those of its hands that wait for a call; the last has waited least, so its memory is in the cache."""
        self.starved: dict[Name, None] = {}
        """Names that it offers of which calls may wait for a hand, in the order in which they get the next."""

    def tell(self, kind: int, *items: Any) -> None:
        """Send a message, together with all else that it gets in this turn."""
        if not self.gone:
            if not self.out:
                self._touched.append(self)
            self.out.append(encode(kind, *items))

    def flush(self) -> None:
        """Hand over what is to be sent."""
        out = self.out
        data = out[0] if len(out) == 1 else b"".join(out)
        out.clear()
        self._send(data)

    def begin(self, id: int, what: Call | Lock) -> None:
        """It waits for *what* under an id that it chose. Raises WireError when that is in use."""
        if id in self.asked:
            raise WireError(f"the id {id} is in use")
        self.asked[id] = what
