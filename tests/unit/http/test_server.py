"""Who accepts the next connection."""

from __future__ import annotations

import socket
from collections.abc import Callable
from contextvars import Context

import pytest

from hornbeamd.config.options import Options
from hornbeamd.http.server import Server
from tests.support.echo import Echo


class StandingLoop:
    """An event loop whose clock does not move; timers and readers are kept for the test to look at."""

    def __init__(self) -> None:
        self.timers: list[Callable[[], None]] = []
        self.readers: set[socket.socket] = set()

    def time(self) -> float:
        return 100.0

    def call_later(self, seconds: float, callback: Callable[[], None]) -> None:
        self.timers.append(callback)

    def add_reader(self, listener: socket.socket, callback: Callable[[socket.socket], None], *args: object) -> None:
        self.readers.add(listener)

    def remove_reader(self, listener: socket.socket) -> None:
        self.readers.discard(listener)


@pytest.fixture
def listener():
    with socket.create_server(("127.0.0.1", 0)) as made:
        made.setblocking(False)
        yield made


def accepting(listener: socket.socket, crowd: tuple[int, int]) -> tuple[Server, StandingLoop]:
    server = Server(Options(workers=2), Echo(), crowd=lambda: crowd)
    loop = StandingLoop()
    server.loop = loop  # type: ignore[assignment]
    server.context = Context()
    server.acceptor._sockets.append(listener)
    loop.readers.add(listener)
    return server, loop


def test_a_worker_with_more_than_its_share_lets_the_others_go_first_once(listener: socket.socket) -> None:
    server, loop = accepting(listener, crowd=(2, 12))
    server.row[1] = 10
    server.connections = set(range(10))  # type: ignore[arg-type]
    server.acceptor._accept(listener)
    assert not loop.readers
    (timer,) = loop.timers
    timer()  # rings although the clock stands still
    assert loop.readers == {listener}
    server.acceptor._accept(listener)  # nobody took it: it is accepted, or would be
    assert loop.readers == {listener}
    assert len(loop.timers) == 1


def test_a_worker_with_its_share_or_alone_accepts_at_once(listener: socket.socket) -> None:
    for workers, everybodys, own in ((2, 10, 5), (1, 8, 8)):
        server, loop = accepting(listener, crowd=(workers, everybodys))
        server.row[1] = own
        server.connections = set(range(own))  # type: ignore[arg-type]
        server.acceptor._accept(listener)
        assert loop.readers == {listener}
        assert not loop.timers
