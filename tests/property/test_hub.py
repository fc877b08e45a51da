"""Any history of the hub gives what plain lists of subscribers, offers and calls give; clients die at any point."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from hornbeamd.hub.office import GRACE, Office
from hornbeamd.hub.topics import matches
from hornbeamd.hub.wire import Kind, Reason
from tests.support.office import Somebody

MOST_WAITING = 2
CLIENTS = 3


class Hub:
    """Calls are known by their payload, a number; the model is deliberately naive."""

    def __init__(self) -> None:
        self.office = Office(0.0, most_waiting=MOST_WAITING, awaited=["pool"])
        self.office.tick(GRACE)
        self.ids = iter(range(1 << 30))
        self.alive = [Somebody(self.office, f"client {number}") for number in range(CLIENTS)]
        self.subscribed: dict[tuple[Somebody, str], int] = {}
        self.offers: dict[tuple[str, Somebody], int] = {}
        self.running: list[tuple[int, str, Somebody, int]] = []
        """Call, name, who is at work on it, and its number there."""
        self.waiting: list[tuple[int, str]] = []
        self.callers: dict[int, Somebody] = {}
        """Who waits for the answer of which call."""
        self.locks: dict[bytes, list[tuple[Somebody, int]]] = {}

    # What everybody must have heard by now is taken note of; what is left at the end of a step was not to be.

    def expect(self, who: Somebody, *expected: tuple[object, ...]) -> None:
        if who not in self.alive:
            return
        heard = who.heard()
        for message in expected:
            assert message in heard, (message, heard)
            heard.remove(message)
        for kind, *items in heard:
            assert kind is Kind.WORK, (kind, items)
            self.take_work(who, *items)

    def take_work(self, who: Somebody, number: int, mode: int, name: str, payload: bytes) -> None:
        call = int(payload)
        assert self.waiting_for(name)[0] == call, "in the order in which they were asked"
        slots = self.offers[name, who]
        loads = {other: self.load(name, other) for other_name, other in self.offers if other_name == name}
        assert not slots or loads[who] < slots
        free = [
            load for other, load in loads.items() if not self.offers[name, other] or load < self.offers[name, other]
        ]
        assert loads[who] == min(free), "to the least busy"
        self.waiting.remove((call, name))
        self.running.append((call, name, who, number))

    def load(self, name: str, who: Somebody) -> int:
        return sum(each[1:3] == (name, who) for each in self.running)

    def waiting_for(self, name: str) -> list[int]:
        return [call for call, wanted in self.waiting if wanted == name]

    def end(self, call: int, *answer: object) -> None:
        """Whoever waits for *call* must have heard *answer*."""
        caller = self.callers.pop(call, None)
        if caller is not None:
            self.expect(caller, (answer[0], call, *answer[1:]))

    def unknown(self, name: str) -> dict[Somebody, list[tuple[object, ...]]]:
        """What callers must hear who wait in vain, when the last offer of *name* is gone."""
        told: dict[Somebody, list[tuple[object, ...]]] = {}
        if name != "pool" and not any(offered == name for offered, _ in self.offers):
            for call in self.waiting_for(name):
                self.waiting.remove((call, name))
                if (caller := self.callers.pop(call, None)) is not None:
                    told.setdefault(caller, []).append((Kind.ERROR, call, Reason.UNKNOWN, "", f"nobody offers {name}"))
        return told

    # --- steps ---

    def subscribe(self, who: Somebody, pattern: str, number: int) -> None:
        self.subscribed[who, pattern] = number
        who.say(Kind.SUBSCRIBE, 1, pattern, number)
        self.expect(who, (Kind.DONE, 1))

    def publish(self, who: Somebody, topic: str) -> None:
        counts = dict.fromkeys(self.alive, 0)
        for (other, pattern), number in self.subscribed.items():
            counts[other] += number * matches(pattern, topic)
        payload = b"%d" % next(self.ids)
        who.say(Kind.PUBLISH, 1, topic, payload)
        for other, number in counts.items():
            messages = [(Kind.MESSAGE, topic, payload)] if number else []
            own = [(Kind.COUNT, 1, sum(counts.values()))] if other is who else []
            self.expect(other, *messages, *own)

    def offer(self, who: Somebody, name: str, slots: int) -> None:
        if (name, who) in self.offers or not self.load(name, who):  # what it still has is not counted against a new one
            self.offers[name, who] = slots
            who.say(Kind.OFFER, 1, name, slots)
            self.expect(who, (Kind.DONE, 1))

    def withdraw(self, who: Somebody, name: str) -> None:
        self.offers.pop((name, who), None)
        who.say(Kind.WITHDRAW, 1, name)
        told = self.unknown(name)
        self.expect(who, (Kind.DONE, 1), *told.pop(who, []))
        for caller, messages in told.items():
            self.expect(caller, *messages)

    def ask(self, who: Somebody, name: str, mode: Kind) -> None:
        call = next(self.ids)
        full = len(self.waiting_for(name)) >= MOST_WAITING
        known = name == "pool" or any(offered == name for offered, _ in self.offers)
        if not full and known:
            self.waiting.append((call, name))
        if mode is Kind.CAST:
            who.say(mode, name, b"%d" % call)
        else:
            self.callers[call] = who
            who.say(mode, call, name, b"%d" % call)
            if full:
                self.end(call, Kind.ERROR, Reason.BUSY, "", f"{MOST_WAITING} calls wait already")
            elif not known:
                self.end(call, Kind.ERROR, Reason.UNKNOWN, "", f"nobody offers {name}")
        for other in self.alive:
            self.expect(other)

    def finish(self, place: int) -> None:
        if place < len(self.running):
            call, _, worker, number = self.running.pop(place)
            worker.say(Kind.ERROR, number, Reason.RAISED, "X", "no")
            self.end(call, Kind.ERROR, Reason.RAISED, "X", "no")
            self.expect(worker)

    def cancel(self, place: int) -> None:
        if place < len(self.callers):
            call = sorted(self.callers)[place]
            self.callers.pop(call).say(Kind.CANCEL, call)
            self.waiting = [each for each in self.waiting if each[0] != call]
            for each, _, worker, number in self.running:
                if each == call:
                    self.expect(worker, (Kind.CANCEL, number))

    def lock(self, who: Somebody, key: bytes) -> None:
        queue = self.locks.setdefault(key, [])
        queue.append((who, next(self.ids)))
        who.say(Kind.LOCK, queue[-1][1], key)
        self.expect(who, *([(Kind.DONE, queue[-1][1])] if len(queue) == 1 else []))

    def unlock(self, key: bytes, place: int) -> None:
        queue = self.locks.get(key, [])
        if place < len(queue):
            who, id_ = queue.pop(place)
            who.say(Kind.UNLOCK, id_)
            if place == 0 and queue:
                self.expect(queue[0][0], (Kind.DONE, queue[0][1]))

    def die(self, who: Somebody) -> None:
        self.alive.remove(who)
        who.go()
        heard = {other: other.heard() for other in self.alive}

        def hears(other: Somebody, *message: object) -> None:
            if other in heard:
                heard[other].remove(message)

        self.subscribed = {key: number for key, number in self.subscribed.items() if key[0] is not who}
        for key, queue in self.locks.items():
            left = [each for each in queue if each[0] is not who]
            if left and left[0] != queue[0]:
                hears(left[0][0], Kind.DONE, left[0][1])
            self.locks[key] = left
        for call in [call for call, caller in self.callers.items() if caller is who]:
            del self.callers[call]
            self.waiting = [each for each in self.waiting if each[0] != call]
            for each, _, worker, number in self.running:
                if each == call:
                    hears(worker, Kind.CANCEL, number)
        for call, _, worker, _ in self.running:
            if worker is who and call in self.callers:
                text = f"the process at work on it ended: {who.client.who}"
                hears(self.callers.pop(call), Kind.ERROR, call, Reason.GONE, "", text)
        self.running = [each for each in self.running if each[2] is not who]
        for name in [name for name, worker in self.offers if worker is who]:
            del self.offers[name, who]
            if name != "pool" and not any(offered == name for offered, _ in self.offers):
                for call in self.waiting_for(name):
                    self.waiting.remove((call, name))
                    if call in self.callers:
                        hears(self.callers.pop(call), Kind.ERROR, call, Reason.UNKNOWN, "", f"nobody offers {name}")
        assert not any(heard.values()), heard
        self.alive.append(Somebody(self.office, f"client {next(self.ids)}"))

    def nothing_else_was_said(self) -> None:
        for who in self.alive:
            assert who.heard() == []

    def the_status_agrees(self) -> None:
        status = self.office.status()
        assert len(status["clients"]) == len(self.alive)
        names = {}
        for name, who in self.offers:
            each = names.setdefault(name, {"offers": 0, "in_hand": 0, "waiting": len(self.waiting_for(name))})
            each["offers"] += 1
            each["in_hand"] += self.load(name, who)
        if waiting := self.waiting_for("pool"):
            names.setdefault("pool", {"offers": 0, "in_hand": 0, "waiting": len(waiting)})
        assert status["names"] == names
        queues = [queue for queue in self.locks.values() if queue]
        assert status["locks"] == {"held": len(queues), "waiting": sum(map(len, queues)) - len(queues)}


WHO = st.integers(0, CLIENTS - 1)
PATTERN = st.sampled_from(["a", "b", "a:1", "a:2", "a:*", "*:1", "*"])
TOPIC = st.sampled_from(["a", "b", "c", "a:1", "a:2"])
NAME = st.sampled_from(["f", "g", "pool"])
MODE = st.sampled_from([Kind.CALL, Kind.CAST, Kind.STREAM])
KEY = st.sampled_from([b"k", b"l"])
PLACE = st.integers(0, 3)
STEPS = st.one_of(
    st.tuples(st.just(Hub.subscribe), WHO, PATTERN, st.integers(0, 2)),
    st.tuples(st.just(Hub.publish), WHO, TOPIC),
    st.tuples(st.just(Hub.offer), WHO, NAME, st.integers(0, 2)),
    st.tuples(st.just(Hub.withdraw), WHO, NAME),
    st.tuples(st.just(Hub.ask), WHO, NAME, MODE),
    st.tuples(st.just(Hub.finish), PLACE),
    st.tuples(st.just(Hub.cancel), PLACE),
    st.tuples(st.just(Hub.lock), WHO, KEY),
    st.tuples(st.just(Hub.unlock), KEY, PLACE),
    st.tuples(st.just(Hub.die), WHO),
)


@settings(max_examples=150, deadline=None)
@given(st.lists(STEPS, min_size=30, max_size=80))
def test_any_history(steps) -> None:
    hub = Hub()
    for step, *about in steps:
        by_nobody = step in (Hub.finish, Hub.cancel, Hub.unlock)
        step(hub, *about) if by_nobody else step(hub, hub.alive[about[0]], *about[1:])
        hub.nothing_else_was_said()
        hub.the_status_agrees()
