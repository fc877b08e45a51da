"""Any history of calls to hands: none waits in vain, none is lost or done twice, whichever hand dies."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from hornbeamd.hub.office import GRACE, Office
from hornbeamd.hub.wire import Kind, Reason
from tests.support.office import Somebody

SLOTS = {"f": 2, "g": 3, "h": 0}


class Hub:
    """Two processes that offer the same names; calls are known by their ids."""

    def __init__(self) -> None:
        self.office = Office(0.0, most_waiting=1000)
        self.office.tick(GRACE)
        self.caller = Somebody(self.office, "caller")
        self.lenders = [Somebody(self.office, f"lender {number}") for number in range(2)]
        self.hands: list[tuple[Somebody, Somebody]] = []
        """Each with whose it is."""
        self.work: dict[Somebody, tuple[int, int, str]] = {}
        """Which call, under which number and name, each hand has."""
        self.asked: dict[int, str] = {}
        """The names of the calls that are not answered."""
        self.begun: set[int] = set()
        self.ids = iter(range(1 << 30))
        for number, lender in enumerate(self.lenders):
            lender.say(Kind.HANDS, 1, b"%d" % number)
            for name, slots in SLOTS.items():
                lender.say(Kind.OFFER_HANDS, 1, name, slots)
            lender.heard()

    def look(self) -> None:
        """Take what hands have got; a hand has one call at a time, and a call is begun once."""
        for hand, _ in self.hands:
            for kind, number, _, name, payload in hand.heard():
                assert kind is Kind.WORK
                assert hand not in self.work
                assert int(payload) not in self.begun
                self.begun.add(int(payload))
                self.work[hand] = int(payload), number, name

    def answered(self) -> set[int]:
        """The calls that are answered since the last look."""
        ids = {id for _, id, *_ in self.caller.heard()}
        for id in ids:
            del self.asked[id]  # once
        return ids

    # --- steps ---

    def ask(self, name: str) -> None:
        id = next(self.ids)
        self.asked[id] = name
        self.caller.say(Kind.CALL, id, name, b"%d" % id)

    def join(self, place: int) -> None:
        hand = Somebody(self.office, "hand")
        self.hands.append((hand, self.lenders[place % 2]))
        hand.say(Kind.HAND, b"%d" % (place % 2))

    def finish(self, place: int) -> None:
        if place < len(self.work):
            hand = list(self.work)[place]
            id, number, _ = self.work.pop(hand)
            hand.say(Kind.ERROR, number, Reason.RAISED, "X", "")
            assert self.answered() == ({id} if id >= 0 else set())

    def claim(self, place: int) -> None:
        if place < len(self.work):
            hand = list(self.work)[place]
            id, number, _ = self.work.pop(hand)
            lender = dict(self.hands)[hand]
            lender.say(Kind.CLAIM, number)
            lender.say(Kind.RESULT, number, b"")
            assert self.answered() == ({id} if id >= 0 else set())

    def cancel(self, place: int) -> None:
        if place < len(self.asked):
            id = list(self.asked)[place]
            del self.asked[id]
            self.caller.say(Kind.CANCEL, id)
            for hand, (call, number, name) in self.work.items():
                if call == id:
                    self.work[hand] = -1, number, name
                    assert (Kind.CANCEL, number) in dict(self.hands)[hand].heard()

    def die(self, place: int) -> None:
        if place < len(self.hands):
            hand, _ = self.hands.pop(place)
            hand.go()
            id, *_ = self.work.pop(hand, (-1,))
            assert self.answered() == ({id} if id >= 0 else set())

    # --- what always holds ---

    def nothing_waits_in_vain(self) -> None:
        at_work = {call for call, *_ in self.work.values()}
        waiting = {name for id, name in self.asked.items() if id not in at_work}
        whose = dict(self.hands)
        for lender in self.lenders:
            if all(hand in self.work for hand in whose if whose[hand] is lender):
                continue
            for name in waiting:
                in_hand = sum(whose[hand] is lender and work[2] == name for hand, work in self.work.items())
                assert in_hand >= SLOTS[name] > 0, name


PLACE = st.integers(0, 5)
STEPS = st.one_of(
    st.tuples(st.just(Hub.ask), st.sampled_from(sorted(SLOTS))),
    *(st.tuples(st.just(step), PLACE) for step in (Hub.join, Hub.finish, Hub.finish, Hub.claim, Hub.cancel, Hub.die)),
)


@settings(max_examples=150, deadline=None)
@given(st.lists(STEPS, min_size=20, max_size=80))
def test_any_history(steps) -> None:
    hub = Hub()
    for step, about in [*steps, (Hub.join, 0)]:
        step(hub, about)
        hub.look()
        hub.nothing_waits_in_vain()
    while hub.asked:
        hub.finish(0)
        hub.look()
    assert hub.office.status()["totals"]["clients"] == 3 + len(hub.hands)
