"""Connections spread over the workers, which share one listening socket."""

from __future__ import annotations

import socket
from collections import Counter
from pathlib import Path

from tests.support.daemon import Daemon

CONNECTIONS = 40


def test_connections_that_come_at_once_are_shared(wsgi_app: Path) -> None:
    with Daemon("app:application", "--workers", "2", "--keepalive", "30", folder=wsgi_app, ready=2) as hornbeamd:
        clients = [socket.create_connection(("127.0.0.1", hornbeamd.port), timeout=10) for _ in range(CONNECTIONS)]
        answers: Counter[bytes] = Counter()
        for client in clients:
            client.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            answers[client.recv(4096).partition(b"\r\n\r\n")[2]] += 1
            client.close()
    # Where a worker is kept from running, the other takes what would wait; so not exactly half.
    assert len(answers) == 2
    assert min(answers.values()) >= CONNECTIONS // 4
