"""Connections spread over the workers, which share one listening socket."""

from __future__ import annotations

import contextlib
import socket
from collections import Counter
from pathlib import Path

from tests.support.daemon import Daemon
from tests.support.waiting import wait_until


def test_connections_spread_over_the_workers(wsgi_app: Path) -> None:
    """Clients that stay: none of the workers goes on taking all of them, however the machine lets them run."""
    with (
        Daemon("app:application", "--workers", "2", "--keepalive", "60", folder=wsgi_app, ready=2) as hornbeamd,
        contextlib.ExitStack() as clients,
    ):
        answers: Counter[bytes] = Counter()

        def spread() -> bool:
            client = clients.enter_context(socket.create_connection(("127.0.0.1", hornbeamd.port), timeout=10))
            client.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            answers[client.recv(4096).partition(b"\r\n\r\n")[2]] += 1
            return len(answers) == 2 and 3 * min(answers.values()) >= max(answers.values()) >= 10

        wait_until(spread, explain=lambda: str(answers))
