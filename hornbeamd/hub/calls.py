"""Calls: from whoever asks to whoever offers the name, and the answers back.

A call waits until an offer has a free slot; it is then in the hands of that offer's client until that says it is over,
even when nobody waits for the answer any more. What is lost with a client is never given to another: it
may have been done.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection
from dataclasses import dataclass, field
from itertools import count, islice

from hornbeamd.errors import WireError
from hornbeamd.hub.client import Client
from hornbeamd.hub.wire import CREDIT, Kind, Reason

MOST_CREDIT = 1 << 30

_turns = count()


@dataclass(eq=False, slots=True)
class Offer:
    """That a client takes calls of a name, ``slots`` at once; 0 is any number. With ``hands`` its hands take them."""

    client: Client
    slots: int
    hands: bool
    in_hand: int = 0
    turn: int = field(default_factory=lambda: next(_turns))
    """When it last got a call, so that equals take turns."""

    def free(self) -> bool:
        """Whether it can take one more."""
        return (not self.slots or self.in_hand < self.slots) and (not self.hands or bool(self.client.idle))

    def load(self) -> tuple[int, int]:
        """The smaller, the better a next call is placed here."""
        return self.in_hand, self.turn


@dataclass(eq=False, slots=True)
class Call:
    """One call. ``caller`` is None for a cast, and when the caller does not wait any more."""

    caller: Client | None
    id: int
    mode: Kind
    name: Name
    payload: bytes
    offer: Offer | None = None
    """Whose hands it is in; None while it waits."""
    number: int = -1
    """Its id there."""
    credit: int = CREDIT
    """How many chunks its caller can take."""


@dataclass(eq=False, slots=True)
class Name:
    """Who offers a name, and what waits for it."""

    text: str
    offers: dict[Client, Offer] = field(default_factory=dict)
    waiting: OrderedDict[Call, None] = field(default_factory=OrderedDict)

    def load(self) -> dict[str, int]:
        """How many calls are in hand, and wait."""
        return {"in_hand": sum(offer.in_hand for offer in self.offers.values()), "waiting": len(self.waiting)}


class Calls:
    """The calls of all clients.

    *awaited* names are those of configured pools: calls of these wait even while nobody offers them. As long as
    ``patient``, which is when the hub has just begun, all do.
    """

    def __init__(self, most_waiting: int, awaited: Collection[str]) -> None:
        self.awaited = awaited
        self.patient = True
        self.asked = 0
        """How many calls there have been, casts and streams among them."""
        self.dropped: dict[str, int] = {}
        """How many casts found nobody, by name, since somebody last took note of it."""
        self._most_waiting = most_waiting
        self._names: dict[str, Name] = {}
        self._lenders: dict[bytes, Client] = {}
        """Who has hands, by what these say."""
        self._numbers = count(1)

    # --- offers --------------------------------------------------------------------------------------------------

    def offer(self, client: Client, text: str, slots: int, *, hands: bool) -> None:
        """*client*, or with *hands* whichever hand of its is idle, takes calls of that name from now on."""
        if slots < 0:
            raise WireError(f"an offer with {slots} slots")
        name = self._name(text)
        if client in name.offers:
            name.offers[client].slots, name.offers[client].hands = slots, hands
        else:
            name.offers[client] = client.offers[text] = Offer(client, slots, hands)
        self._hand_out(name)

    def withdraw(self, client: Client, text: str) -> None:
        """*client* takes no more of them."""
        if client.offers.pop(text, None) is not None:
            name = self._names[text]
            del name.offers[client]
            self._judge(name)

    def lend(self, client: Client, key: bytes) -> None:
        """Who says *key* is a hand of *client*."""
        if client.key is not None or key in self._lenders:
            raise WireError("hands have one key, and a key is one client's")
        client.key = key
        self._lenders[key] = client

    def join(self, hand: Client, key: bytes) -> None:
        """*hand* waits for calls of whoever has lent *key*; of nobody's, when that one is gone."""
        if hand.lender is not None:
            raise WireError("it is a hand already")
        lender = self._lenders.get(key)
        if lender is not None:
            hand.lender = lender
            lender.hands.add(hand)
            self._rest(hand)

    def settle(self) -> None:
        """Whoever is there has said by now what it offers: of names that nobody offers only awaited ones wait on."""
        self.patient = False
        for name in tuple(self._names.values()):
            self._judge(name)

    # --- callers -------------------------------------------------------------------------------------------------

    def ask(self, caller: Client | None, id: int, mode: Kind, text: str, payload: bytes) -> None:
        """Begin a call; *caller* is None for a cast, which has no id either."""
        self.asked += 1
        name = self._name(text)
        call = Call(caller, id, mode, name, payload)
        if caller is not None:
            caller.begin(id, call)
        if len(name.waiting) >= self._most_waiting:
            self._refuse(call, Reason.BUSY, f"{len(name.waiting)} calls wait already")
            return
        name.waiting[call] = None
        self._hand_out(name)
        self._judge(name)

    def cancel(self, call: Call) -> None:
        """The caller waits no longer."""
        assert call.caller is not None
        del call.caller.asked[call.id]
        call.caller = None
        if call.offer is None:
            del call.name.waiting[call]
            self._judge(call.name)
        else:
            call.offer.client.tell(Kind.CANCEL, call.number)

    def more(self, call: Call, chunks: int) -> None:
        """The caller can take so many more."""
        if chunks < 1:
            raise WireError(f"MORE of {chunks} chunks")
        call.credit = min(call.credit + chunks, MOST_CREDIT)
        if call.offer is not None:
            call.offer.client.tell(Kind.MORE, call.number, chunks)

    # --- who works on them ---------------------------------------------------------------------------------------

    def chunk(self, client: Client, number: int, payload: bytes) -> None:
        """*client* has a part of the result."""
        call = self._at_work(client, number)
        call.credit -= 1
        if call.mode is not Kind.STREAM or call.credit < 0:
            raise WireError("a chunk that was not asked for")
        if call.caller is not None:
            call.caller.tell(Kind.CHUNK, call.id, payload)

    def over(self, client: Client, kind: Kind, number: int, *items: object) -> None:
        """*client* is done with a call, and says so by a message of that kind with these items."""
        call = self._at_work(client, number)
        caller = call.caller
        if caller is not None:
            if kind is (Kind.END if call.mode is Kind.CALL else Kind.RESULT):
                raise WireError(f"a {call.mode.name} is not answered by {kind.name}")
            del caller.asked[call.id]
            caller.tell(kind, call.id, *items)
        del client.work[number]
        self._free(call, client)

    def claim(self, client: Client, number: int) -> None:
        """*client* goes on with a call that a hand of its has begun."""
        hand = next((hand for hand in client.hands if number in hand.work), None)
        if hand is None:
            raise WireError(f"no hand of its works on {number}")
        client.work[number] = hand.work.pop(number)
        self._rest(hand)

    def leave(self, client: Client) -> None:
        """*client* is gone, with what it works on. What it has asked for is cancelled before."""
        work = tuple(client.work.values())
        client.work.clear()
        for call in work:
            self._refuse(call, Reason.GONE, f"the process at work on it ended: {client.who}")
        for text in tuple(client.offers):
            self.withdraw(client, text)
        if client.key is not None:
            del self._lenders[client.key]
        if (lender := client.lender) is not None:
            lender.hands.discard(client)
            if client in lender.idle:
                lender.idle.remove(client)
            for call in work:
                self._free(call, client)

    def offered(self, name: str) -> int:
        """How many clients offer *name*."""
        found = self._names.get(name)
        return len(found.offers) if found is not None else 0

    def status(self, most: int) -> dict[str, dict[str, int]]:
        """What is offered and waited for, of so many names at most."""
        return {name.text: {"offers": len(name.offers), **name.load()} for name in islice(self._names.values(), most)}

    def totals(self) -> dict[str, int]:
        """How many calls there are, of all names."""
        loads = [name.load() for name in self._names.values()]
        return {key: sum(load[key] for load in loads) for key in ("in_hand", "waiting")}

    def load(self, text: str) -> dict[str, int]:
        """How many calls of this name are in hand, and wait."""
        return self._names.get(text, Name(text)).load()

    # --- within --------------------------------------------------------------------------------------------------

    def _name(self, text: str) -> Name:
        found = self._names.get(text)
        if found is None:
            found = self._names[text] = Name(text)
        return found

    def _hand_out(self, name: Name) -> None:
        """Give what waits to whoever has the least in hand, as far as there are free slots."""
        while name.waiting:
            offer = min(filter(Offer.free, name.offers.values()), key=Offer.load, default=None)
            if offer is None:
                for each in name.offers.values():
                    if each.hands:
                        each.client.starved[name] = None
                return
            call, _ = name.waiting.popitem(last=False)
            self._give(call, offer)

    def _rest(self, client: Client) -> None:
        """*client* has no call now: if it is a hand, it gets the next, of whatever name."""
        lender = client.lender
        if lender is None or lender.gone or client.gone:
            return
        lender.idle.append(client)
        for _ in range(len(lender.starved)):
            if not lender.idle:
                return
            name = next(iter(lender.starved))
            del lender.starved[name]  # if more of its calls wait, it is behind the others now
            self._hand_out(name)

    def _free(self, call: Call, client: Client) -> None:
        """*call* takes no slot any more, and *client* is not at work on it."""
        assert call.offer is not None
        call.offer.in_hand -= 1
        self._rest(client)
        if call.name.waiting:
            self._hand_out(call.name)

    def _give(self, call: Call, offer: Offer) -> None:
        client = offer.client.idle.pop() if offer.hands else offer.client
        call.offer, call.number = offer, next(self._numbers)
        offer.in_hand += 1
        offer.turn = next(_turns)
        client.work[call.number] = call
        client.tell(Kind.WORK, call.number, int(call.mode), call.name.text, call.payload)
        call.payload = b""
        if call.credit > CREDIT:  # its caller was in a hurry
            offer.client.tell(Kind.MORE, call.number, call.credit - CREDIT)

    def _judge(self, name: Name) -> None:
        """Refuse what waits in vain, and forget a name that nothing is known of."""
        if name.offers:
            return
        if not self.patient and name.text not in self.awaited:
            for call in name.waiting:
                self._refuse(call, Reason.UNKNOWN, f"nobody offers {name.text}")
            name.waiting.clear()
        if not name.waiting:
            self._names.pop(name.text, None)

    def _refuse(self, call: Call, reason: Reason, text: str) -> None:
        if call.caller is not None:
            del call.caller.asked[call.id]
            call.caller.tell(Kind.ERROR, call.id, reason, "", text)
        elif call.mode is Kind.CAST and call.offer is None:
            self.dropped[call.name.text] = self.dropped.get(call.name.text, 0) + 1

    def _at_work(self, client: Client, number: int) -> Call:
        call = client.work.get(number)
        if call is None:
            raise WireError(f"it does not work on {number}")
        return call
