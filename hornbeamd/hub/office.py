"""The post office: the whole behaviour of the hub, without sockets and without a clock.

A message of a client goes in by :meth:`Office.receive`; what comes of it is in the ``out`` of the clients concerned,
which :meth:`Office.flush` sends: all that one client gets in a turn in one piece.

    topics.py   who gets what is published
    calls.py    who works on a call, and who waits for its answer
    locks.py    who has a lock, and who is next
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable
from itertools import islice
from typing import Any

import ormsgpack

from hornbeamd.errors import WireError
from hornbeamd.hub.calls import Call, Calls
from hornbeamd.hub.client import Client
from hornbeamd.hub.locks import Lock, Locks
from hornbeamd.hub.topics import Topics
from hornbeamd.hub.wire import VERSION, Kind, encode

log = logging.getLogger("hornbeamd.hub")

GRACE = 2.0
"""Seconds from the hub's start in which no name is unknown: its clients have yet to say what they offer."""

LISTED = 1000
"""How many clients, topics and names STATUS tells of at most."""

MOST_SUBSCRIBERS = 1 << 31


class Office:
    """The state of the hub. Times are of any clock that only goes forward, in seconds."""

    def __init__(self, now: float, *, most_waiting: int, awaited: Collection[str] = ()) -> None:
        """*most_waiting* calls wait for one name; *awaited* names may be offered by nobody for a while."""
        self.clients: dict[Client, None] = {}
        self.topics: Topics[Client] = Topics()
        self.calls = Calls(most_waiting, awaited)
        self.locks = Locks()
        self._settles = now + GRACE
        self._touched: list[Client] = []
        self._published = 0
        self._delivered = 0
        self._missed = 0
        self._missed_of: dict[str, int] = {}
        self._handlers: dict[int, Callable[..., None]] = {
            Kind.PUBLISH: self._publish,
            Kind.SUBSCRIBE: self._subscribe,
            Kind.OFFER: self._offer,
            Kind.OFFER_HANDS: self._offer_hands,
            Kind.HANDS: self._hands,
            Kind.HAND: self.calls.join,
            Kind.CLAIM: self.calls.claim,
            Kind.WITHDRAW: self._withdraw,
            Kind.CALL: self._call,
            Kind.CAST: self._cast,
            Kind.STREAM: self._stream,
            Kind.LOCK: self.locks.ask,
            Kind.UNLOCK: self._unlock,
            Kind.STATUS: self._status,
            Kind.OFFERED: self._offered,
            Kind.RESULT: self._result,
            Kind.ERROR: self._error,
            Kind.CHUNK: self.calls.chunk,
            Kind.END: self._end,
            Kind.MORE: self._more,
            Kind.CANCEL: self._cancel,
        }

    # --- clients come and go -------------------------------------------------------------------------------------

    def enter(self, send: Callable[[bytes], None]) -> Client:
        """A new client, to which *send* sends."""
        client = Client(send, self._touched)
        self.clients[client] = None
        return client

    def receive(self, client: Client, message: list[Any]) -> None:
        """Act on a message that ``wire.Frames`` has passed. Raises WireError when the client may not say that."""
        if client.who is None:
            self._greet(client, message)
            return
        handler = self._handlers.get(message[0])
        if handler is None:
            raise WireError(f"{Kind(message[0]).name} is not for the hub, or not now")
        handler(client, *message[1:])

    def leave(self, client: Client) -> None:
        """*client* is gone, and all that was its own goes with it."""
        client.gone = True
        del self.clients[client]
        client.out.clear()
        patterns = self.topics.of(client)
        self.topics.leave(client)
        self._forget_missed(patterns)
        for asked in tuple(client.asked.values()):
            if isinstance(asked, Lock):
                self.locks.give_up(asked)
            else:
                self.calls.cancel(asked)
        self.calls.leave(client)

    def flush(self) -> None:
        """Send what is to be sent."""
        touched = self._touched
        for client in touched:
            if client.out:  # else it is gone
                client.flush()
        touched.clear()

    def slow(self, client: Client) -> None:
        """*client* reads too slowly: it gets no messages from now on, and they are counted."""
        client.slow = True

    def caught_up(self, client: Client) -> None:
        """*client* has read most of what was sent: it is told what it missed."""
        client.slow = False
        for pattern, number in client.missed.items():
            client.tell(Kind.MISSED, pattern, number)
        client.missed.clear()

    def expect(self, awaited: Collection[str]) -> None:
        """From now on calls of these names wait while nobody offers them."""
        self.calls.awaited = awaited
        if not self.calls.patient:
            self.calls.settle()

    def tick(self, now: float) -> None:
        """To be called about once a second."""
        if self.calls.patient and now >= self._settles:
            self.calls.settle()
        for name, number in self.calls.dropped.items():
            log.warning("casts of a name that nobody offers", extra={"fields": {"name": name, "casts": number}})
        self.calls.dropped.clear()

    def _greet(self, client: Client, message: list[Any]) -> None:
        if message[0] != Kind.HELLO:
            raise WireError("a client that does not say who it is")
        _, version, who, pid = message
        if version != VERSION:
            raise WireError(f"a client that speaks version {version}, not {VERSION}")
        client.who, client.pid = who, pid

    # --- messages ------------------------------------------------------------------------------------------------

    def _publish(self, client: Client, id: int, topic: str, payload: bytes) -> None:
        count = 0
        receivers = self.topics.receivers(topic)
        if receivers:
            frame = encode(Kind.MESSAGE, topic, payload)
            touched = self._touched
            for receiver, number in receivers.items():
                if receiver.slow:
                    self._miss(receiver, topic)
                    continue
                count += number
                if not receiver.out:
                    touched.append(receiver)
                receiver.out.append(frame)
        self._published += 1
        self._delivered += count
        client.tell(Kind.COUNT, id, count)

    def _miss(self, client: Client, topic: str) -> None:
        """*client* does not get a message, which it is told later."""
        for pattern in self.topics.of(client, topic):
            self._missed += 1
            client.lost += 1
            client.missed[pattern] = client.missed.get(pattern, 0) + 1
            self._missed_of[pattern] = self._missed_of.get(pattern, 0) + 1

    def _subscribe(self, client: Client, id: int, pattern: str, subscribers: int) -> None:
        if not 0 <= subscribers <= MOST_SUBSCRIBERS:
            raise WireError(f"{subscribers} subscribers")
        self.topics.set(client, pattern, subscribers)
        if not subscribers:
            client.missed.pop(pattern, None)
            self._forget_missed((pattern,))
        client.tell(Kind.DONE, id)

    def _forget_missed(self, patterns: Iterable[str]) -> None:
        """Of what has no subscribers any more nothing is kept: topics are chosen by clients."""
        for pattern in patterns:
            if pattern in self._missed_of and not self.topics.count(pattern):
                del self._missed_of[pattern]

    # --- calls ---------------------------------------------------------------------------------------------------

    def _offer(self, client: Client, id: int, name: str, slots: int) -> None:
        client.tell(Kind.DONE, id)
        self.calls.offer(client, name, slots, hands=False)

    def _offer_hands(self, client: Client, id: int, name: str, slots: int) -> None:
        client.tell(Kind.DONE, id)
        self.calls.offer(client, name, slots, hands=True)

    def _hands(self, client: Client, id: int, key: bytes) -> None:
        self.calls.lend(client, key)
        client.tell(Kind.DONE, id)

    def _withdraw(self, client: Client, id: int, name: str) -> None:
        self.calls.withdraw(client, name)
        client.tell(Kind.DONE, id)

    def _call(self, client: Client, id: int, name: str, payload: bytes) -> None:
        self.calls.ask(client, id, Kind.CALL, name, payload)

    def _stream(self, client: Client, id: int, name: str, payload: bytes) -> None:
        self.calls.ask(client, id, Kind.STREAM, name, payload)

    def _cast(self, client: Client, name: str, payload: bytes) -> None:
        self.calls.ask(None, -1, Kind.CAST, name, payload)

    def _result(self, client: Client, id: int, payload: bytes) -> None:
        self.calls.over(client, Kind.RESULT, id, payload)

    def _error(self, client: Client, id: int, reason: int, type: str, text: str) -> None:
        self.calls.over(client, Kind.ERROR, id, reason, type, text)

    def _end(self, client: Client, id: int) -> None:
        self.calls.over(client, Kind.END, id)

    def _more(self, client: Client, id: int, chunks: int) -> None:
        call = client.asked.get(id)
        if isinstance(call, Call):  # else it is over, which was not known there yet
            self.calls.more(call, chunks)

    def _cancel(self, client: Client, id: int) -> None:
        call = client.asked.get(id)
        if isinstance(call, Call):
            self.calls.cancel(call)

    def _unlock(self, client: Client, id: int) -> None:
        lock = client.asked.get(id)
        if isinstance(lock, Lock):
            self.locks.give_up(lock)

    def _offered(self, client: Client, id: int, name: str) -> None:
        client.tell(Kind.COUNT, id, self.calls.offered(name))

    # --- what it is like -----------------------------------------------------------------------------------------

    def _status(self, client: Client, id: int) -> None:
        client.tell(Kind.RESULT, id, ormsgpack.packb(self.status()))

    def status(self) -> dict[str, Any]:
        """What there is, as plain types; of long lists the beginning.

        ``topics``: how many ``subscribers`` each pattern has and how many messages these have ``missed``. ``names``:
        how many processes offer it (``offers``), and how many calls are ``in_hand`` and ``waiting``.
        """
        return {
            "clients": [
                {"who": each.who, "pid": each.pid, "missed": each.lost}
                for each in islice(self.clients, LISTED)
                if each.who
            ],
            "topics": {
                pattern: {"subscribers": self.topics.count(pattern), "missed": self._missed_of.get(pattern, 0)}
                for pattern in islice(self.topics, LISTED)
            },
            "names": self.calls.status(LISTED),
            "locks": self.locks.status(),
            "totals": self.totals(),
        }

    def totals(self) -> dict[str, int]:
        """How much there is of each kind, and has been since the hub began."""
        return {
            "clients": len(self.clients),
            "topics": len(self.topics),
            "subscribers": self.topics.subscriptions,
            "published": self._published,
            "delivered": self._delivered,
            "missed": self._missed,
            "calls": self.calls.asked,
            **self.calls.totals(),
        }
