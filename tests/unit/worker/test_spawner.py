"""The spawner, as far as it needs no processes; the rest is in tests/system."""

from __future__ import annotations

import errno
import os
import socket

import pytest

from hornbeamd.worker.channel import Lines, encode
from hornbeamd.worker.scoreboard import memory_file
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
        socket.send_fds(supervisors, [encode({"do": "fork", "worker": 1})], [theirs.fileno(), stacks])
        theirs.close()
        os.close(stacks)
        supervisors.shutdown(socket.SHUT_WR)
        spawner = Spawner(spawners)
        assert spawner.serve() is None  # it goes on until the supervisor is gone
        (message,) = Lines().feed(ours.recv(4096))
        assert message["event"] == "failed"
        assert "Resource temporarily unavailable" in message["text"]
        assert ours.recv(4096) == b""
        for sock in (spawner._wake, spawner._woken):
            sock.close()
