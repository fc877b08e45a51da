"""A light, steady load that counts everything that goes wrong while something else happens."""

from __future__ import annotations

import http.client
import socket
import threading
from collections import Counter
from types import TracebackType

# Between two requests of a thread. Without it the load would take the processors from the processes that are to start.
PAUSE = 0.005


class Traffic:
    """Threads that send requests to ``port`` until left: some over keep-alive connections, some over fresh ones.

    A keep-alive connection is given up only when an answer says so (``Connection: close``), as RFC 9112,
    section 9.6, has it; any other end of it is a failure. ``answers`` counts status codes and bodies.
    """

    def __init__(self, port: int, *, keep_alive: int = 3, fresh: int = 2, path: str = "/") -> None:
        self.port = port
        self.path = path
        self.answers: Counter[tuple[int, bytes]] = Counter()
        self.failures: list[str] = []
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._run, args=(True,)) for _ in range(keep_alive)]
        self._threads += [threading.Thread(target=self._run, args=(False,)) for _ in range(fresh)]

    def __enter__(self) -> Traffic:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    @property
    def total(self) -> int:
        """How many answers arrived."""
        with self._lock:
            return sum(self.answers.values())

    @property
    def bodies(self) -> set[bytes]:
        """The different bodies of the answers."""
        with self._lock:
            return {body for _, body in self.answers}

    @property
    def statuses(self) -> set[int]:
        """The different status codes of the answers."""
        with self._lock:
            return {status for status, _ in self.answers}

    def _run(self, keep_alive: bool) -> None:
        connection: http.client.HTTPConnection | None = None
        headers = {} if keep_alive else {"Connection": "close"}
        while not self._stop.wait(PAUSE):
            if connection is None:
                connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
                # Without this the client would connect anew by itself, and hide what it is here to show.
                connection.auto_open = 0
            try:
                if connection.sock is None:
                    connection.connect()
                    connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                connection.request("GET", self.path, headers=headers)
                with connection.getresponse() as answer:
                    body = answer.read()
            except (OSError, http.client.HTTPException) as error:
                with self._lock:
                    self.failures.append(f"{'keep-alive' if keep_alive else 'fresh'}: {error!r}")
                connection.close()
                connection = None
                continue
            with self._lock:
                self.answers[answer.status, body] += 1
            if answer.will_close:
                connection.close()
                connection = None
        if connection is not None:
            connection.close()
