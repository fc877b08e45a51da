"""The hub over real sockets: what one client does wrong costs nobody else."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import ormsgpack
import pytest

from hornbeamd.hub import server
from hornbeamd.hub.wire import ENVELOPE, VERSION, Kind, Reason, encode
from tests.support.hubclient import HubClient
from tests.support.hubs import Hub
from tests.support.waiting import wait_until

LIMIT = 1 << 20

Join = Callable[..., HubClient]


@pytest.fixture(params=["asyncio", "uvloop"])
def hub(request: pytest.FixtureRequest) -> Iterator[Hub]:
    hub = Hub(limit=LIMIT, loop=request.param)
    yield hub
    hub.close()


@pytest.fixture
def join(hub: Hub) -> Iterator[Join]:
    """Makes clients that are closed in the end."""
    with ExitStack() as stack:
        yield lambda who="test": stack.enter_context(HubClient(hub.place.hub, who))


def subscriber(join: Join, pattern: str) -> HubClient:
    client = join("subscriber")
    assert client.ask(Kind.SUBSCRIBE, 1, pattern, 1) == (Kind.DONE, 1)
    return client


def status(client: HubClient) -> dict[str, Any]:
    answer = client.ask(Kind.STATUS, 99)
    assert answer is not None
    return ormsgpack.unpackb(answer[2])


def test_the_next_hub_is_found_where_the_last_one_was(hub: Hub, join: Join) -> None:
    hub.kill()
    hub.start()
    assert status(join())["totals"]["clients"] == 1


HELLO = encode(Kind.HELLO, VERSION, "evil", 1)


@pytest.mark.parametrize(
    "garbage",
    [
        b"\xff\xff\xff\xff",  # a message of 4 GiB
        (LIMIT + ENVELOPE + 1).to_bytes(4, "little"),
        b"GET / HTTP/1.1\r\n\r\n",
        encode(Kind.STATUS, 1),  # without HELLO
        encode(Kind.HELLO, VERSION + 1, "evil", 1),
        HELLO + b"\x01\x00\x00\x00\xc1",  # a byte that MessagePack does not have
        HELLO + encode(Kind.PUBLISH, 1, "a"),
        HELLO + encode(Kind.PUBLISH, "1", "a", b""),
        HELLO + encode(Kind.RESULT, 1, b"for nobody"),
        HELLO + encode(99),
    ],
)
def test_what_is_no_message_ends_that_connection_alone(join: Join, garbage: bytes) -> None:
    good, evil = subscriber(join, "a"), join(None)
    evil.socket.sendall(garbage)
    assert evil.hear() is None
    publisher = join()
    assert publisher.ask(Kind.PUBLISH, 1, "a", b"x") == (Kind.COUNT, 1, 1)
    assert good.hear() == (Kind.MESSAGE, "a", b"x")


def test_half_a_message_is_waited_for_and_holds_nobody_up(join: Join) -> None:
    good, slow = subscriber(join, "a"), join()
    message = encode(Kind.PUBLISH, 1, "a", b"x" * 1000)
    for end in range(1, 8):
        slow.socket.sendall(message[end - 1 : end])
        assert join().ask(Kind.PUBLISH, 1, "b", b"") == (Kind.COUNT, 1, 0)
    slow.socket.sendall(message[7:])
    assert good.hear() == (Kind.MESSAGE, "a", b"x" * 1000)
    slow.socket.sendall(message[:500])
    slow.close()
    assert good.ask(Kind.PUBLISH, 1, "b", b"") == (Kind.COUNT, 1, 0)


def test_the_largest_message_passes(join: Join) -> None:
    worker, caller = join("worker"), join("caller")
    assert worker.ask(Kind.OFFER, 1, "f", 0) == (Kind.DONE, 1)
    payload = os.urandom(LIMIT)
    caller.say(Kind.CALL, 1, "f", payload)
    heard = worker.hear()
    assert heard is not None
    assert heard[-1] == payload
    worker.say(Kind.RESULT, heard[1], payload)
    assert caller.hear() == (Kind.RESULT, 1, payload)


def test_messages_of_one_publisher_arrive_in_order(join: Join) -> None:
    good, publisher = subscriber(join, "n:*"), join()
    for number in range(2000):
        publisher.say(Kind.PUBLISH, number, f"n:{number % 7}", b"%d" % number)
    assert [good.hear() for _ in range(2000)] == [(Kind.MESSAGE, f"n:{n % 7}", b"%d" % n) for n in range(2000)]
    assert [publisher.hear() for _ in range(2000)] == [(Kind.COUNT, number, 1) for number in range(2000)]


def test_who_does_not_read_misses_messages_while_others_are_served(join: Join) -> None:
    good, lazy, publisher = subscriber(join, "a"), subscriber(join, "a"), join()
    payload, counts = bytes(512 * 1024), []
    for number in range(24):  # three times what is kept for it
        publisher.say(Kind.PUBLISH, number, "a", payload)
        assert good.hear() == (Kind.MESSAGE, "a", payload)
        counts.append(publisher.hear()[2])
    got = sum(counts) - 24
    assert counts == [2] * got + [1] * (24 - got)
    assert server.SLOW // len(payload) <= got <= server.SLOW // len(payload) + 3
    assert status(good)["topics"] == {"a": {"subscribers": 2, "missed": 24 - got}}
    assert [lazy.hear() for _ in range(got)] == [(Kind.MESSAGE, "a", payload)] * got
    assert lazy.hear() == (Kind.MISSED, "a", 24 - got)
    assert publisher.ask(Kind.PUBLISH, 1, "a", b"again") == (Kind.COUNT, 1, 2)
    assert lazy.hear() == (Kind.MESSAGE, "a", b"again")


def test_who_never_reads_its_answers_is_disconnected(join: Join) -> None:
    worker, caller = join("worker"), join("caller")
    assert worker.ask(Kind.OFFER, 1, "f", 0) == (Kind.DONE, 1)
    assert caller.ask(Kind.LOCK, 1, b"key") == (Kind.DONE, 1)
    most = server.LEAST_BOUND // LIMIT
    for number in range(2, 2 * most):
        caller.say(Kind.CALL, number, "f", b"")
    answered = 0
    while (heard := worker.hear()) is not None and heard[0] is Kind.WORK:
        worker.say(Kind.RESULT, heard[1], bytes(LIMIT))
        answered += 1
    assert heard is not None
    assert heard[0] is Kind.CANCEL
    assert answered > most
    assert status(join())["locks"] == {"held": 0, "waiting": 0}


def test_a_client_that_dies_takes_its_calls_with_it(join: Join) -> None:
    worker, caller = join("worker"), join("caller")
    assert worker.ask(Kind.OFFER, 1, "f", 0) == (Kind.DONE, 1)
    caller.say(Kind.CALL, 1, "f", b"")
    heard = worker.hear()
    assert heard is not None
    caller.say(Kind.CANCEL, 1)
    assert worker.hear() == (Kind.CANCEL, heard[1])
    caller.say(Kind.CALL, 2, "f", b"")
    worker.hear()
    worker.close()
    answer = caller.hear()
    assert answer is not None
    assert answer[:3] == (Kind.ERROR, 2, Reason.GONE)


def test_ten_thousand_connections_come_and_go(hub: Hub, join: Join) -> None:
    good = subscriber(join, "a")
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(100):
        crowd = [socket.socket(socket.AF_UNIX) for _ in range(100)]
        for each in crowd:
            each.connect(hub.place.hub)
            each.sendall(HELLO + encode(Kind.SUBSCRIBE, 1, "a", 1)[:3])
            each.close()
    wait_until(lambda: status(good)["totals"]["clients"] == 1, explain=lambda: status(good))
    wait_until(lambda: len(os.listdir("/proc/self/fd")) <= before)
    assert good.ask(Kind.PUBLISH, 1, "a", b"") == (Kind.MESSAGE, "a", b"")


def test_another_user_is_not_let_in(hub: Hub, join: Join, monkeypatch: pytest.MonkeyPatch) -> None:
    good = subscriber(join, "a")
    monkeypatch.setattr(server, "peer_uid", lambda sock: os.getuid() + 1)
    assert join(None).hear() is None
    monkeypatch.undo()
    assert server.peer_uid(good.socket) == os.getuid()
    assert join().ask(Kind.PUBLISH, 1, "a", b"") == (Kind.COUNT, 1, 1)
