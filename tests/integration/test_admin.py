"""The admin listener on a real socket, and clients that do their worst: none keeps the others from their answers."""

from __future__ import annotations

import logging
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack

import anyio
import pytest

from hornbeamd.admin import conversation, listening
from hornbeamd.admin.conversation import LONGEST_HEAD, Answer, Question, words
from hornbeamd.admin.listening import Door
from tests.support.raw import RawClient
from tests.support.waiting import wait_until

GET = b"GET /livez HTTP/1.1\r\nHost: a\r\n\r\n"
HUGE = b"x" * (64 << 20)


async def respond(question: Question) -> Answer:
    if question.path == "/huge":
        return Answer(200, HUGE)
    if question.path == "/broken":
        raise RuntimeError("a defect")
    return words(200, f"{question.method} {question.path} {question.query} {question.accept}")


class Running:
    """A door in a thread with an event loop of its own."""

    def __init__(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.listener.setblocking(False)
        self.address = self.listener.getsockname()
        self.door: Door
        self.thread = threading.Thread(target=anyio.run, args=(self._run,), daemon=True)
        self.thread.start()
        wait_until(lambda: hasattr(self, "door"))

    async def _run(self) -> None:
        async with anyio.create_task_group() as group:
            self.door = Door(group, respond)
            await self.door.attend(self.listener.dup())
            group.cancel_scope.cancel()

    def client(self) -> RawClient:
        return RawClient(self.address)

    def close(self) -> None:
        self.listener.shutdown(socket.SHUT_RDWR)
        self.thread.join(5)
        self.listener.close()


@pytest.fixture
def running() -> Iterator[Running]:
    running = Running()
    yield running
    running.close()
    assert not running.thread.is_alive()


def test_a_connection_is_kept_and_requests_sent_ahead_are_answered_in_turn(running: Running) -> None:
    with running.client() as client:
        for _ in range(2):
            client.send(
                b"GET /a?verbose HTTP/1.1\r\nHost: a\r\nAccept: x/y\r\nAccept: z/*\r\n\r\n"
                b"HEAD /b HTTP/1.1\r\nHost: a\r\n\r\n"
            )
            first, second = client.read_response(), client.read_response("HEAD")
            assert (first.status, first.body) == (200, b"GET /a verbose x/y,z/*\n")
            assert (second.status, second.body) == (200, b"")
            assert second.header(b"content-length") == b"%d" % len("HEAD /b  \n")
            assert first.header(b"cache-control") == b"no-store"


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"what is this\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n", 400),  # TLS
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (b"GET / nonsense\r\nHost: a\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n", 501),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"y" * LONGEST_HEAD, 431),
        (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nno chunk\r\n", 400),
    ],
)
def test_what_is_no_request_is_refused_in_words_and_ends_the_connection(
    running: Running, data: bytes, status: int
) -> None:
    with running.client() as client:
        answer = client.request(data)
        assert (answer.status, answer.header(b"connection")) == (status, b"close")
        assert answer.body.startswith(b"this is no request that can be answered: ")
        client.expect_end()


@pytest.mark.parametrize("size", [3, 4 << 20])
def test_a_body_is_not_read_and_costs_the_connection_but_not_the_answer(running: Running, size: int) -> None:
    head = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % size
    with running.client() as client:
        client.send(head + GET[:3])
        answer = client.read_response()
        assert (answer.status, answer.header(b"connection")) == (200, b"close")
        client.expect_end()


def test_who_asks_to_close_or_closes_his_side_gets_his_answer(running: Running) -> None:
    with running.client() as client:
        assert client.request(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").status == 200
        client.expect_end()
    with running.client() as client:
        client.send(GET)
        client.half_close()
        assert client.read_response().status == 200
        client.expect_end()


@pytest.mark.parametrize(("limit", "data"), [("HEAD_SECONDS", GET[:-1]), ("IDLE_SECONDS", b""), ("IDLE_SECONDS", GET)])
def test_who_is_slow_or_silent_is_let_go(
    running: Running, monkeypatch: pytest.MonkeyPatch, limit: str, data: bytes
) -> None:
    monkeypatch.setattr(conversation, limit, 0.05)
    with running.client() as client:
        if data == GET:
            assert client.request(GET).status == 200
        else:
            client.send(data)
        client.expect_end()


def test_who_takes_no_answer_is_let_go_and_keeps_nobody_waiting(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(conversation, "SEND_SECONDS", 0.5)
    with running.client() as greedy, running.client() as other:
        greedy.send(b"GET /huge HTTP/1.1\r\nHost: a\r\n\r\n")
        wait_until(lambda: len(running.door.open) == 2)
        for _ in range(20):
            assert other.request(GET).status == 200
        wait_until(lambda: len(running.door.open) == 1)
        assert len(greedy.read_to_end()) < len(HUGE)


def test_at_the_bound_the_one_that_had_no_answer_for_the_longest_time_makes_room(running: Running) -> None:
    with ExitStack() as stack:
        clients = [stack.enter_context(running.client()) for _ in range(listening.MOST)]
        wait_until(lambda: len(running.door.open) == listening.MOST)
        assert clients[0].request(GET).status == 200
        for _ in range(3):
            assert stack.enter_context(running.client()).request(GET).status == 200
        assert len(running.door.open) == listening.MOST
        for client in clients[1:4]:
            client.expect_end()
        assert clients[0].request(GET).status == 200
        assert clients[4].request(GET).status == 200


def test_a_defect_ends_one_connection_and_is_logged(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    monkeypatch.setattr(logging.getLogger("hornbeamd.admin"), "exception", told.append)
    with running.client() as client:
        client.send(b"GET /broken HTTP/1.1\r\nHost: a\r\n\r\n")
        client.expect_end()
    with running.client() as client:
        assert client.request(GET).status == 200
    assert told == ["the admin listener failed"]
