"""The spawner, as far as it needs no processes; the rest is in tests/system."""

from __future__ import annotations

import errno
import fcntl
import os
import resource
import socket

import pytest

import hornbeamd
from hornbeamd.config.options import Options
from hornbeamd.jsonlines import encode
from hornbeamd.worker.channel import Inbox, packed
from hornbeamd.worker.scoreboard import Scoreboard, memory_file
from hornbeamd.worker.spawner import Spawner


def test_a_fork_that_fails_is_told_over_the_channel_of_the_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    def fork() -> int:
        raise OSError(errno.EAGAIN, "Resource temporarily unavailable")

    monkeypatch.setattr(os, "fork", fork)
    monkeypatch.setattr("signal.signal", lambda *_: None)
    monkeypatch.setattr("signal.set_wakeup_fd", lambda *_, **__: None)
    supervisors, spawners = socket.socketpair()
    ours, theirs = socket.socketpair()
    stacks = memory_file("stacks")
    with supervisors, spawners, ours:
        socket.send_fds(
            supervisors, [encode({"do": "fork", "pool": "", "worker": 1, "trial": False})], [theirs.fileno(), stacks]
        )
        theirs.close()
        os.close(stacks)
        supervisors.shutdown(socket.SHUT_WR)
        spawner = Spawner(spawners)
        assert spawner.serve() is None  # it goes on until the supervisor is gone
        (message,) = Inbox().feed(ours.recv(4096))
        assert message["event"] == "failed"
        assert "Resource temporarily unavailable" in message["text"]
        assert ours.recv(4096) == b""
        for sock in (spawner._wake, spawner._woken):
            sock.close()


def test_it_waits_on_descriptors_of_any_number(monkeypatch: pytest.MonkeyPatch) -> None:
    """In a daemon of hundreds of processes they are beyond what select() can hold."""
    monkeypatch.setattr("signal.signal", lambda *_: None)
    monkeypatch.setattr("signal.set_wakeup_fd", lambda *_, **__: None)
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (1100, limits[1]))
    supervisors, spawners = socket.socketpair()
    try:
        with supervisors, spawners, socket.socket(fileno=fcntl.fcntl(spawners, fcntl.F_DUPFD_CLOEXEC, 1024)) as high:
            supervisors.shutdown(socket.SHUT_WR)
            spawner = Spawner(high)
            assert spawner.serve() is None
            for sock in (spawner._wake, spawner._woken):
                sock.close()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)


def test_certificates_are_loaded_before_privileges_are_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keys are usually readable by root alone."""
    order = []

    def drop(user: str | None, group: str | None) -> None:
        order.append("dropped")
        raise PermissionError("that is all this test needs")

    monkeypatch.setattr("hornbeamd.worker.spawner.server_context", lambda options: order.append("loaded"))
    monkeypatch.setattr("hornbeamd.worker.identity.drop_privileges", drop)
    options = packed(Options(app="app"))
    board = Scoreboard.create()
    place = {"directory": "/d", "state": "/s"}
    begin = {"do": "begin", "version": hornbeamd.__version__, "generation": 1, "listeners": []}
    supervisors, spawners = socket.socketpair()
    with supervisors, spawners:
        lock = os.dup(board.fd)
        supervisors.sendall(
            encode({**begin, "board": os.dup(board.fd), "locks": [lock], "place": place, "options": options})
        )
        spawner = Spawner(spawners)
        assert not spawner.begin()
        (message,) = Inbox().feed(supervisors.recv(65536))
        assert message["event"] == "failed"
        for sock in (spawner._wake, spawner._woken):
            sock.close()
        spawner._board.close()
        os.close(lock)
    board.close()
    assert order == ["loaded", "dropped"]
