"""The behaviour of the hub, message by message; what happens when clients go is in the second half."""

import logging

import ormsgpack
import pytest

from hornbeamd.errors import WireError
from hornbeamd.hub.office import GRACE, Office
from hornbeamd.hub.wire import CREDIT, SHAPES, VERSION, Kind, Reason
from tests.support.office import Somebody

K = Kind


@pytest.fixture
def office():
    office = Office(100.0, most_waiting=3, awaited=["hook:pool"])
    office.tick(100.0 + GRACE)
    return office


@pytest.fixture
def young():
    """An office that has just begun."""
    return Office(100.0, most_waiting=3)


@pytest.fixture
def ann(office):
    return Somebody(office, "ann")


@pytest.fixture
def bob(office):
    return Somebody(office, "bob")


@pytest.fixture
def eve(office):
    return Somebody(office, "eve")


def offer(worker, name="f", slots=0):
    worker.say(K.OFFER, 1, name, slots)
    assert worker.heard()[0] == (K.DONE, 1)


def work(worker):
    """The id of the only call that it has got since the last look."""
    ((kind, number, *_),) = worker.heard()
    assert kind is K.WORK
    return number


class TestHello:
    def test_everybody_says_hello_first(self, office):
        client = office.enter(lambda data: None)
        with pytest.raises(WireError, match="who it is"):
            office.receive(client, [K.STATUS, 1])

    def test_only_our_version_is_spoken(self, office):
        client = office.enter(lambda data: None)
        with pytest.raises(WireError, match="version 2"):
            office.receive(client, [K.HELLO, VERSION + 1, "x", 1])

    @pytest.mark.parametrize("kind", [K.HELLO, K.COUNT, K.MESSAGE, K.MISSED, K.DONE, K.WORK])
    def test_what_only_the_hub_says_is_not_for_it(self, ann, kind):
        values = {int: 1, str: "x", bytes: b""}
        with pytest.raises(WireError, match=kind.name):
            ann.say(kind, *(values[type_] for type_ in SHAPES[kind]))


class TestMessages:
    def test_subscribers_of_a_topic_and_of_a_pattern_get_it_and_are_counted(self, ann, bob, eve):
        bob.say(K.SUBSCRIBE, 1, "room:5", 2)
        eve.say(K.SUBSCRIBE, 1, "room:*", 1)
        assert bob.heard() == eve.heard() == [(K.DONE, 1)]
        ann.say(K.PUBLISH, 7, "room:5", b"hello")
        assert ann.heard() == [(K.COUNT, 7, 3)]
        assert bob.heard() == eve.heard() == [(K.MESSAGE, "room:5", b"hello")]

    def test_nobody_gets_what_nobody_wants(self, ann, bob):
        bob.say(K.SUBSCRIBE, 1, "room:5", 1)
        bob.say(K.SUBSCRIBE, 2, "room:5", 0)
        bob.heard()
        ann.say(K.PUBLISH, 7, "room:5", b"hello")
        assert ann.heard() == [(K.COUNT, 7, 0)]
        assert bob.heard() == []

    def test_who_publishes_may_subscribe_too(self, ann):
        ann.say(K.SUBSCRIBE, 1, "a", 1)
        ann.say(K.PUBLISH, 2, "a", b"x")
        assert ann.heard() == [(K.DONE, 1), (K.MESSAGE, "a", b"x"), (K.COUNT, 2, 1)]

    def test_what_one_client_gets_in_a_turn_leaves_in_one_piece(self, office, ann, bob):
        bob.say(K.SUBSCRIBE, 1, "a", 1)
        before = bob.sends
        for number in range(5):
            office.receive(ann.client, [K.PUBLISH, number, "a", b"%d" % number])
        office.flush()
        assert bob.sends == before + 1
        assert [payload for _, _, payload in bob.heard()[1:]] == [b"0", b"1", b"2", b"3", b"4"]

    @pytest.mark.parametrize("number", [-1, 1 << 40])
    def test_a_number_of_subscribers_is_one(self, ann, number):
        with pytest.raises(WireError, match="subscribers"):
            ann.say(K.SUBSCRIBE, 1, "a", number)

    def test_a_slow_client_misses_messages_and_is_told_how_many_of_each_pattern(self, office, ann, bob, eve):
        for number, pattern in enumerate(("room:5", "room:*", "other")):
            bob.say(K.SUBSCRIBE, number, pattern, 1)
        eve.say(K.SUBSCRIBE, 1, "room:5", 1)
        bob.heard()
        office.slow(bob.client)
        for number, topic in enumerate(("room:5", "room:5", "room:6")):
            ann.say(K.PUBLISH, number, topic, b"")
        assert ann.heard() == [(K.COUNT, 0, 1), (K.COUNT, 1, 1), (K.COUNT, 2, 0)]
        assert len(eve.heard()) == 3
        assert bob.heard() == []
        office.caught_up(bob.client)
        office.flush()
        assert sorted(bob.heard()) == [(K.MISSED, "room:*", 3), (K.MISSED, "room:5", 2)]
        assert office.status()["topics"]["room:*"] == {"subscribers": 1, "missed": 3}
        assert office.status()["totals"]["missed"] == 5
        ann.say(K.PUBLISH, 3, "room:5", b"again")
        assert bob.heard() == [(K.MESSAGE, "room:5", b"again")]

    def test_a_slow_client_still_gets_its_answers(self, office, ann, bob):
        office.slow(bob.client)
        bob.say(K.PUBLISH, 1, "a", b"")
        assert bob.heard() == [(K.COUNT, 1, 0)]

    def test_what_was_missed_of_a_topic_that_nobody_wants_any_more_is_forgotten(self, office, ann, bob):
        for end in (lambda: bob.say(K.SUBSCRIBE, 2, "a", 0), bob.go):
            bob.say(K.SUBSCRIBE, 1, "a", 1)
            office.slow(bob.client)
            ann.say(K.PUBLISH, 1, "a", b"")
            bob.heard()
            end()
            assert office._missed_of == {}
            office.caught_up(bob.client)
            office.flush()
            assert all(kind is K.DONE for kind, *_ in bob.heard())


class TestCalls:
    def test_a_call_and_its_result(self, ann, bob):
        offer(bob)
        ann.say(K.CALL, 7, "f", b"question")
        ((kind, number, mode, name, payload),) = bob.heard()
        assert (kind, mode, name, payload) == (K.WORK, K.CALL, "f", b"question")
        bob.say(K.RESULT, number, b"answer")
        assert ann.heard() == [(K.RESULT, 7, b"answer")]

    def test_a_call_that_raises(self, ann, bob):
        offer(bob)
        ann.say(K.CALL, 7, "f", b"")
        bob.say(K.ERROR, work(bob), Reason.RAISED, "ValueError", "no")
        assert ann.heard() == [(K.ERROR, 7, Reason.RAISED, "ValueError", "no")]

    def test_a_name_that_nobody_offers(self, ann, bob):
        offer(bob)
        bob.say(K.WITHDRAW, 2, "f")
        assert bob.heard() == [(K.DONE, 2)]
        ann.say(K.CALL, 7, "f", b"")
        assert ann.heard() == [(K.ERROR, 7, Reason.UNKNOWN, "", "nobody offers f")]

    def test_withdrawing_what_was_not_offered_is_harmless(self, bob):
        bob.say(K.WITHDRAW, 2, "f")
        assert bob.heard() == [(K.DONE, 2)]

    def test_in_the_beginning_every_name_may_come(self, young):
        ann, bob = Somebody(young, "ann"), Somebody(young, "bob")
        ann.say(K.CALL, 1, "f", b"")
        ann.say(K.CALL, 2, "g", b"")
        young.tick(101.0)
        young.flush()
        assert ann.heard() == []
        offer_of_f = (K.OFFER, 1, "f", 0)
        bob.say(*offer_of_f)
        assert [kind for kind, *_ in bob.heard()] == [K.DONE, K.WORK]
        young.tick(100.0 + GRACE)
        young.flush()
        assert ann.heard() == [(K.ERROR, 2, Reason.UNKNOWN, "", "nobody offers g")]

    def test_a_pool_may_come_at_any_time(self, office, ann, bob):
        ann.say(K.CALL, 1, "hook:pool", b"")
        office.tick(1000.0)
        office.flush()
        assert ann.heard() == []
        bob.say(K.OFFER, 1, "hook:pool", 1)
        assert [kind for kind, *_ in bob.heard()] == [K.DONE, K.WORK]

    def test_pools_may_change(self, office, ann):
        ann.say(K.CALL, 1, "hook:pool", b"")
        office.expect(["hook:other"])
        office.flush()
        assert ann.heard() == [(K.ERROR, 1, Reason.UNKNOWN, "", "nobody offers hook:pool")]

    def test_a_cast(self, office, ann, bob):
        offer(bob, slots=1)
        for question in (b"one", b"two"):
            ann.say(K.CAST, "f", question)
        ((_, number, mode, _, payload),) = bob.heard()
        assert (mode, payload) == (K.CAST, b"one")
        bob.say(K.END, number)
        ((_, number, _, _, payload),) = bob.heard()
        assert payload == b"two"
        bob.say(K.RESULT, number, b"for nobody")
        assert ann.heard() == []
        assert office.status()["names"]["f"]["in_hand"] == 0

    def test_casts_that_find_nobody_are_logged_together(self, office, ann, caplog, monkeypatch):
        logger = logging.Logger("hub")
        logger.addHandler(caplog.handler)
        monkeypatch.setattr("hornbeamd.hub.office.log", logger)
        for _ in range(3):
            ann.say(K.CAST, "f", b"")
        office.tick(1000.0)
        office.tick(1001.0)
        assert [record.fields for record in caplog.records] == [{"name": "f", "casts": 3}]
        assert ann.heard() == []

    def test_the_least_busy_gets_it_and_equals_take_turns(self, ann, bob, eve):
        offer(bob)
        offer(eve)
        for number in range(4):
            ann.say(K.CALL, number, "f", b"")
        assert [len(each.heard()) for each in (bob, eve)] == [2, 2]
        ann.say(K.CALL, 4, "f", b"")
        first = work(bob)
        bob.say(K.RESULT, first, b"")
        ann.say(K.CALL, 5, "f", b"")
        ann.say(K.CALL, 6, "f", b"")
        assert len(eve.heard()) + len(bob.heard()) == 2

    def test_slots_bound_what_one_has_in_hand_and_the_rest_waits_in_order(self, ann, bob, eve):
        offer(bob, slots=1)
        for number, question in enumerate((b"a", b"b", b"c")):
            ann.say(K.CALL, number, "f", question)
        first = work(bob)
        bob.say(K.RESULT, first, b"")
        assert bob.heard()[0][-1] == b"b"
        eve.say(K.OFFER, 1, "f", 1)
        assert eve.heard()[1][-1] == b"c"
        ann.say(K.CALL, 3, "f", b"d")
        assert eve.heard() == bob.heard() == []
        bob.say(K.OFFER, 2, "f", 2)  # more of them, with one in hand
        assert bob.heard()[1][-1] == b"d"
        ann.say(K.CALL, 4, "f", b"e")
        assert eve.heard() == bob.heard() == []

    def test_no_more_wait_than_may(self, ann, bob):
        offer(bob, slots=1)
        for number in range(5):
            ann.say(K.CALL, number, "f", b"")
        assert ann.heard() == [(K.ERROR, 4, Reason.BUSY, "", "3 calls wait already")]

    def test_who_withdraws_finishes_what_it_has(self, ann, bob):
        offer(bob)
        ann.say(K.CALL, 1, "f", b"")
        number = work(bob)
        bob.say(K.WITHDRAW, 2, "f")
        bob.say(K.RESULT, number, b"done")
        assert ann.heard() == [(K.RESULT, 1, b"done")]

    def test_who_calls_itself_is_answered(self, ann):
        offer(ann)
        ann.say(K.CALL, 1, "f", b"")
        ann.say(K.RESULT, work(ann), b"me")
        assert ann.heard() == [(K.RESULT, 1, b"me")]

    def test_an_id_serves_again_when_its_call_is_over(self, ann, bob):
        offer(bob)
        for _ in range(2):
            ann.say(K.CALL, 1, "f", b"")
            bob.say(K.RESULT, work(bob), b"")
            assert ann.heard() == [(K.RESULT, 1, b"")]

    @pytest.mark.parametrize("second", [(K.CALL, 1, "f", b""), (K.STREAM, 1, "f", b""), (K.LOCK, 1, b"key")])
    def test_an_id_in_use_is_not_taken_twice(self, ann, bob, second):
        offer(bob)
        ann.say(K.CALL, 1, "f", b"")
        with pytest.raises(WireError, match="in use"):
            ann.say(*second)

    def test_slots_are_a_number(self, ann):
        with pytest.raises(WireError, match="slots"):
            ann.say(K.OFFER, 1, "f", -1)


class TestCancel:
    def test_of_a_call_that_waits(self, office, ann, bob):
        offer(bob, slots=1)
        ann.say(K.CALL, 1, "f", b"")
        ann.say(K.CALL, 2, "f", b"")
        ann.say(K.CANCEL, 2)
        bob.say(K.RESULT, work(bob), b"")
        assert ann.heard() == [(K.RESULT, 1, b"")]
        assert bob.heard() == []
        assert office.status()["names"]["f"] == {"offers": 1, "in_hand": 0, "waiting": 0}

    def test_of_a_call_for_a_name_that_may_come(self, office, ann):
        ann.say(K.CALL, 1, "hook:pool", b"")
        ann.say(K.CANCEL, 1)
        assert office.status()["names"] == {}

    @pytest.mark.parametrize("end", [(K.RESULT, b""), (K.END,), (K.ERROR, Reason.RAISED, "X", "")])
    def test_of_a_call_in_hand_is_passed_on_and_takes_its_slot_until_it_is_over(self, ann, bob, end):
        offer(bob, slots=1)
        ann.say(K.CALL, 1, "f", b"a")
        number = work(bob)
        ann.say(K.CALL, 2, "f", b"b")
        ann.say(K.CANCEL, 1)
        assert bob.heard() == [(K.CANCEL, number)]
        kind, *items = end
        bob.say(kind, number, *items)
        assert bob.heard()[0][-1] == b"b"
        assert ann.heard() == []

    def test_that_crosses_the_answer_is_harmless(self, ann, bob):
        offer(bob)
        ann.say(K.CALL, 1, "f", b"")
        bob.say(K.RESULT, work(bob), b"")
        ann.say(K.CANCEL, 1)
        ann.say(K.MORE, 1, 5)
        assert bob.heard() == []


class TestStreams:
    def test_chunks_then_the_end(self, ann, bob):
        offer(bob)
        ann.say(K.STREAM, 1, "f", b"")
        ((_, number, mode, _, _),) = bob.heard()
        assert mode == K.STREAM
        bob.say(K.CHUNK, number, b"a")
        bob.say(K.CHUNK, number, b"b")
        ann.say(K.MORE, 1, 2)
        assert bob.heard() == [(K.MORE, number, 2)]
        bob.say(K.END, number)
        assert ann.heard() == [(K.CHUNK, 1, b"a"), (K.CHUNK, 1, b"b"), (K.END, 1)]

    def test_that_raises_in_the_middle(self, ann, bob):
        offer(bob)
        ann.say(K.STREAM, 1, "f", b"")
        number = work(bob)
        bob.say(K.CHUNK, number, b"a")
        bob.say(K.ERROR, number, Reason.RAISED, "ValueError", "no")
        assert ann.heard() == [(K.CHUNK, 1, b"a"), (K.ERROR, 1, Reason.RAISED, "ValueError", "no")]

    def test_no_more_chunks_than_the_caller_can_take(self, ann, bob):
        offer(bob)
        ann.say(K.STREAM, 1, "f", b"")
        number = work(bob)
        ann.say(K.MORE, 1, 1)
        for _ in range(CREDIT + 1):
            bob.say(K.CHUNK, number, b"")
        with pytest.raises(WireError, match="not asked for"):
            bob.say(K.CHUNK, number, b"")
        assert ann.heard()[-1][:3] == (K.ERROR, 1, Reason.GONE)

    def test_more_that_was_asked_for_early_is_not_lost(self, ann, bob):
        ann.say(K.STREAM, 1, "hook:pool", b"")
        ann.say(K.MORE, 1, 4)
        bob.say(K.OFFER, 1, "hook:pool", 0)
        _, (_, number, *_), more = bob.heard()
        assert more == (K.MORE, number, 4)

    @pytest.mark.parametrize("chunks", [0, -1])
    def test_more_is_more(self, ann, bob, chunks):
        offer(bob)
        ann.say(K.STREAM, 1, "f", b"")
        with pytest.raises(WireError, match="MORE"):
            ann.say(K.MORE, 1, chunks)

    def test_that_is_cancelled_reaches_nobody_any_more(self, ann, bob):
        offer(bob)
        ann.say(K.STREAM, 1, "f", b"")
        number = work(bob)
        ann.say(K.CANCEL, 1)
        bob.say(K.CHUNK, number, b"on its way")
        bob.say(K.END, number)
        assert ann.heard() == []

    @pytest.mark.parametrize(
        ("mode", "answer"), [(K.CALL, (K.END,)), (K.CALL, (K.CHUNK, b"")), (K.STREAM, (K.RESULT, b""))]
    )
    def test_an_answer_of_the_wrong_kind(self, ann, bob, mode, answer):
        offer(bob)
        ann.say(mode, 1, "f", b"")
        number = work(bob)
        kind, *items = answer
        with pytest.raises(WireError):
            bob.say(kind, number, *items)
        assert ann.heard()[0][:3] == (K.ERROR, 1, Reason.GONE)

    @pytest.mark.parametrize("answer", [(K.RESULT, b""), (K.ERROR, 0, "", ""), (K.CHUNK, b""), (K.END,)])
    def test_an_answer_to_what_was_not_given(self, bob, answer):
        kind, *items = answer
        with pytest.raises(WireError, match="does not work on 99"):
            bob.say(kind, 99, *items)


class TestLocks:
    def test_who_asks_first_has_it_first(self, ann, bob, eve):
        for each in (ann, bob, eve):
            each.say(K.LOCK, 1, b"key")
        assert [each.heard() for each in (ann, bob, eve)] == [[(K.DONE, 1)], [], []]
        bob.say(K.UNLOCK, 1)  # waits no longer
        ann.say(K.UNLOCK, 1)
        assert [each.heard() for each in (ann, bob, eve)] == [[], [], [(K.DONE, 1)]]

    def test_keys_are_apart(self, ann, bob):
        ann.say(K.LOCK, 1, b"one")
        bob.say(K.LOCK, 1, b"two")
        assert ann.heard() == bob.heard() == [(K.DONE, 1)]

    def test_one_client_may_wait_for_itself(self, ann):
        ann.say(K.LOCK, 1, b"key")
        ann.say(K.LOCK, 2, b"key")
        assert ann.heard() == [(K.DONE, 1)]
        ann.say(K.UNLOCK, 1)
        assert ann.heard() == [(K.DONE, 2)]

    def test_giving_back_what_one_has_not_is_harmless(self, ann, bob):
        offer(bob)
        ann.say(K.CALL, 1, "f", b"")
        ann.say(K.LOCK, 2, b"key")
        ann.say(K.UNLOCK, 1)
        ann.say(K.UNLOCK, 3)
        ann.say(K.CANCEL, 2)
        bob.say(K.RESULT, work(bob), b"")
        assert ann.heard() == [(K.DONE, 2), (K.RESULT, 1, b"")]


class TestClientsThatGo:
    def test_nothing_is_left_of_them(self, office, ann, bob):
        offer(bob, slots=1)
        bob.say(K.SUBSCRIBE, 2, "a:*", 1)
        bob.say(K.LOCK, 3, b"key")
        for number in range(10, 13):
            ann.say(K.CALL, number, "f", b"")
        ann.say(K.LOCK, 13, b"key")
        ann.say(K.STREAM, 14, "hook:pool", b"")
        bob.say(K.CALL, 15, "hook:pool", b"")
        ann.heard()
        bob.go()
        assert [each[:3] for each in ann.heard()] == [
            (K.DONE, 13),
            (K.ERROR, 10, Reason.GONE),
            (K.ERROR, 11, Reason.UNKNOWN),
            (K.ERROR, 12, Reason.UNKNOWN),
        ]
        ann.go()
        status = office.status()
        del status["totals"]
        assert status == {"clients": [], "topics": {}, "names": {}, "locks": {"held": 0, "waiting": 0}}
        assert vars(office.topics)["_of"] == {}

    def test_its_calls_are_cancelled_where_they_run(self, ann, bob):
        offer(bob, slots=1)
        ann.say(K.CALL, 1, "f", b"")
        number = work(bob)
        ann.say(K.CALL, 2, "f", b"")
        ann.go()
        assert bob.heard() == [(K.CANCEL, number)]
        bob.say(K.RESULT, number, b"")
        assert bob.heard() == []  # the one that waited is gone too

    def test_its_casts_are_carried_out(self, ann, bob):
        offer(bob, slots=1)
        ann.say(K.CAST, "f", b"one")
        ann.say(K.CAST, "f", b"two")
        ann.go()
        bob.say(K.END, work(bob))
        assert bob.heard()[0][-1] == b"two"

    def test_a_call_in_its_hands_is_not_given_to_another(self, ann, bob, eve):
        offer(bob)
        offer(eve)
        ann.say(K.CALL, 1, "f", b"")
        bob.go()
        assert ann.heard()[0][:3] == (K.ERROR, 1, Reason.GONE)
        assert eve.heard() == []

    def test_a_stream_in_its_hands_ends_with_an_error(self, ann, bob):
        offer(bob)
        ann.say(K.STREAM, 1, "f", b"")
        bob.say(K.CHUNK, work(bob), b"a")
        bob.go()
        assert [each[0] for each in ann.heard()] == [K.CHUNK, K.ERROR]

    def test_a_call_that_its_caller_gave_up_is_nobodys(self, ann, bob):
        offer(bob)
        ann.say(K.CALL, 1, "f", b"")
        ann.say(K.CANCEL, 1)
        bob.go()
        assert ann.heard() == []

    def test_the_lock_it_has_goes_to_the_next(self, ann, bob):
        ann.say(K.LOCK, 1, b"key")
        bob.say(K.LOCK, 1, b"key")
        ann.go()
        assert bob.heard() == [(K.DONE, 1)]

    def test_who_is_at_work_on_its_own_call(self, office, ann):
        offer(ann)
        ann.say(K.CALL, 1, "f", b"")
        ann.go()
        assert office.status()["names"] == {}

    def test_what_it_was_to_get_in_that_turn_does_not_matter(self, office, ann, bob):
        bob.say(K.SUBSCRIBE, 1, "a", 1)
        bob.heard()
        office.receive(ann.client, [K.PUBLISH, 1, "a", b""])
        bob.go()
        assert ann.heard() == [(K.COUNT, 1, 1)]
        assert bob.heard() == []


def test_status_tells_what_there_is(office, ann, bob):
    offer(bob, slots=1)
    ann.say(K.SUBSCRIBE, 1, "a", 2)
    ann.say(K.LOCK, 2, b"key")
    for number in (3, 4):
        ann.say(K.CALL, number, "f", b"")
    ann.say(K.PUBLISH, 5, "a", b"")
    ann.heard()
    bob.heard()
    bob.say(K.STATUS, 9)
    ((kind, id_, payload),) = bob.heard()
    assert (kind, id_) == (K.RESULT, 9)
    assert ormsgpack.unpackb(payload) == {
        "clients": [{"who": "ann", "pid": 100, "missed": 0}, {"who": "bob", "pid": 100, "missed": 0}],
        "topics": {"a": {"subscribers": 2, "missed": 0}},
        "names": {"f": {"offers": 1, "in_hand": 1, "waiting": 1}},
        "locks": {"held": 1, "waiting": 0},
        "totals": {
            "clients": 2,
            "topics": 1,
            "subscribers": 2,
            "published": 1,
            "delivered": 2,
            "missed": 0,
            "calls": 2,
            "in_hand": 1,
            "waiting": 1,
        },
    }


def test_who_offers_a_name_is_counted_however_many_names_there_are(ann, bob, eve):
    for number in range(1200):
        bob.say(K.OFFER, number, f"f{number}", 0)
    eve.say(K.OFFER, 1, "f1199", 0)
    ann.say(K.OFFERED, 5, "f1199")
    ann.say(K.OFFERED, 6, "g")
    eve.say(K.WITHDRAW, 2, "f1199")
    ann.say(K.OFFERED, 7, "f1199")
    assert ann.heard() == [(K.COUNT, 5, 2), (K.COUNT, 6, 0), (K.COUNT, 7, 1)]


class TestHands:
    @pytest.fixture
    def hands(self, office, bob):
        """Two hands of bob's."""
        bob.say(K.HANDS, 1, b"bob's")
        assert bob.heard() == [(K.DONE, 1)]
        hands = [Somebody(office, "bob") for _ in range(2)]
        for hand in hands:
            hand.say(K.HAND, b"bob's")
        return hands

    def lent(self, worker, name="f", slots=0):
        worker.say(K.OFFER_HANDS, 1, name, slots)
        assert worker.heard()[0] == (K.DONE, 1)

    def test_a_call_is_a_hands_and_what_concerns_it_meanwhile_is_its_clients(self, ann, bob, hands):
        self.lent(bob)
        ann.say(K.STREAM, 7, "f", b"question")
        (hand,) = (hand for hand in hands if hand.client.work)
        ((kind, number, mode, name, payload),) = hand.heard()
        assert (kind, mode, name, payload) == (K.WORK, K.STREAM, "f", b"question")
        ann.say(K.MORE, 7, 3)
        hand.say(K.CHUNK, number, b"part")
        ann.say(K.CANCEL, 7)
        assert bob.heard() == [(K.MORE, number, 3), (K.CANCEL, number)]
        hand.say(K.END, number)
        assert hand.heard() == []
        assert ann.heard() == [(K.CHUNK, 7, b"part")]

    def test_what_a_client_takes_itself_is_not_for_its_hands(self, ann, bob, hands):
        offer(bob)
        ann.say(K.CALL, 1, "f", b"")
        work(bob)
        assert [hand.heard() for hand in hands] == [[], []]

    def test_who_worked_last_gets_the_next(self, ann, bob, hands):
        self.lent(bob)
        ann.say(K.CALL, 1, "f", b"")
        (hand,) = (hand for hand in hands if hand.client.work)
        for id in (1, 2, 3):
            hand.say(K.RESULT, work(hand), b"")
            ann.say(K.CALL, id, "f", b"")

    def test_calls_of_all_names_wait_for_whoever_is_idle_and_names_take_turns(self, ann, bob, hands):
        self.lent(bob)
        self.lent(bob, "g")
        for id, (name, question) in enumerate([("f", b"1"), ("f", b"2"), ("f", b"3"), ("g", b"4"), ("f", b"5")]):
            ann.say(K.CALL, id, name, question)
        done = []
        while busy := [hand for hand in hands if hand.client.work]:
            ((_, number, _, _, payload),) = busy[0].heard()
            done.append(payload)
            busy[0].say(K.RESULT, number, b"")
        assert sorted(done) == [b"1", b"2", b"3", b"4", b"5"]
        assert done.index(b"4") < done.index(b"5")

    def test_slots_bound_hands_too(self, office, ann, bob, hands):
        self.lent(bob, slots=1)
        for id in (1, 2):
            ann.say(K.CALL, id, "f", b"")
        assert office.status()["names"]["f"] == {"offers": 1, "in_hand": 1, "waiting": 1}
        (hand,) = (hand for hand in hands if hand.client.work)
        hand.say(K.RESULT, work(hand), b"")
        assert office.status()["names"]["f"] == {"offers": 1, "in_hand": 1, "waiting": 0}

    def test_many_hands_are_one_process(self, office, ann, bob, eve, hands):
        self.lent(bob)
        offer(eve)
        for id in range(3):
            ann.say(K.CALL, id, "f", b"")
        at_work = sum(len(hand.client.work) for hand in hands)
        assert sorted([at_work, len(eve.client.work)]) == [1, 2]
        assert office.status()["names"]["f"]["offers"] == 2

    def test_without_a_hand_it_waits_for_one_or_goes_to_others(self, office, ann, bob, eve):
        bob.say(K.HANDS, 1, b"bob's")
        self.lent(bob)
        ann.say(K.CALL, 1, "f", b"first")
        assert bob.heard() == []
        late = Somebody(office, "bob")
        late.say(K.HAND, b"bob's")
        assert late.heard()[0][-1] == b"first"
        ann.say(K.CALL, 2, "f", b"second")
        eve.say(K.OFFER, 1, "f", 0)
        assert eve.heard()[1][-1] == b"second"

    def test_a_hand_that_goes_takes_its_call_along_and_leaves_its_slot(self, ann, bob, hands):
        self.lent(bob, slots=1)
        ann.say(K.CALL, 1, "f", b"first")
        ann.say(K.CALL, 2, "f", b"second")
        one, other = sorted(hands, key=lambda hand: not hand.client.work)
        one.go()
        assert ann.heard() == [(K.ERROR, 1, Reason.GONE, "", "the process at work on it ended: bob")]
        number = work(other)
        other.go()
        late = Somebody(one.office, "bob")
        late.say(K.HAND, b"bob's")
        ann.say(K.CALL, 3, "f", b"third")
        assert work(late) > number

    def test_an_idle_hand_that_goes_gets_nothing(self, ann, bob, hands):
        self.lent(bob)
        hands[1].go()
        ann.say(K.CALL, 1, "f", b"")
        work(hands[0])

    def test_hands_of_who_is_gone_get_nothing_more_and_finish_what_they_have(self, office, ann, bob, hands):
        self.lent(bob)
        ann.say(K.CALL, 1, "f", b"")
        (hand,) = (hand for hand in hands if hand.client.work)
        bob.go()
        late = Somebody(office, "bob")
        late.say(K.HAND, b"bob's")
        hand.say(K.RESULT, work(hand), b"done")
        assert ann.heard() == [(K.RESULT, 1, b"done")]
        again = Somebody(office, "bob")
        again.say(K.HANDS, 1, b"another")
        self.lent(again)
        ann.say(K.CALL, 2, "f", b"")
        assert [each.heard() for each in (*hands, late, again)] == [[]] * 4

    def test_a_client_may_go_on_itself_with_what_a_hand_has_begun(self, ann, bob, hands):
        self.lent(bob)
        ann.say(K.CALL, 1, "f", b"")
        (hand,) = (hand for hand in hands if hand.client.work)
        number = work(hand)
        bob.say(K.CLAIM, number)
        ann.say(K.CALL, 2, "f", b"")
        work(hand)
        ann.say(K.CANCEL, 1)
        assert bob.heard() == [(K.CANCEL, number)]
        bob.say(K.RESULT, number, b"for nobody")
        with pytest.raises(WireError, match="no hand of its works on"):
            bob.say(K.CLAIM, number)

    def test_who_claims_a_call_loses_it_when_it_goes(self, ann, bob, hands):
        self.lent(bob)
        ann.say(K.CALL, 1, "f", b"")
        (hand,) = (hand for hand in hands if hand.client.work)
        bob.say(K.CLAIM, work(hand))
        hand.go()
        assert ann.heard() == []
        bob.go()
        assert ann.heard() == [(K.ERROR, 1, Reason.GONE, "", "the process at work on it ended: bob")]

    def test_what_is_offered_anew_may_be_offered_by_others(self, ann, bob, hands):
        self.lent(bob)
        offer(bob)
        ann.say(K.CALL, 1, "f", b"")
        work(bob)

    def test_a_client_has_one_key_and_a_hand_one_client(self, ann, bob, hands):
        with pytest.raises(WireError, match="already"):
            hands[0].say(K.HAND, b"bob's")
        with pytest.raises(WireError, match="one client's"):
            ann.say(K.HANDS, 1, b"bob's")
        with pytest.raises(WireError, match="one key"):
            bob.say(K.HANDS, 2, b"another")
        assert hands[0].client.gone
