"""A light, steady load over HTTP/2 that counts everything that goes wrong while something else happens."""

from __future__ import annotations

import threading
from collections import Counter
from types import TracebackType

from tests.support.h2client import H2Client

_AT_ONCE = 8


class H2Traffic:
    """Threads that send requests to ``port``, eight at once on one connection each, until left.

    They obey GOAWAY (RFC 9113, section 6.8): nothing new is sent behind the first, and what the last one excludes
    is sent again on another connection. Any other end of a connection, or of a request, is a failure.
    """

    def __init__(self, port: int, *, connections: int = 3) -> None:
        self.address = ("127.0.0.1", port)
        self.answers: Counter[tuple[int, bytes]] = Counter()
        self.failures: list[str] = []
        self.goodbyes = 0
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._run) for _ in range(connections)]

    def __enter__(self) -> H2Traffic:
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

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                with H2Client(self.address, deadline=20) as client:
                    self._use(client)
            except (OSError, AssertionError) as error:
                with self._lock:
                    self.failures.append(repr(error))

    def _use(self, client: H2Client) -> None:
        while not self._stop.is_set() and not client.goaways:
            streams = [client.start() for _ in range(_AT_ONCE)]
            while left := [stream for stream in streams if stream not in client.ended]:
                if client.goaways and left[0] > client.goaways[-1][0]:
                    break
                assert not client.resets, client.resets
                assert client.read(), f"the connection ended before {left}, with {client.goaways}"
            with self._lock:
                for stream in client.ended.intersection(streams):
                    self.answers[int(client.heads[stream][b":status"]), bytes(client.bodies[stream])] += 1
        with self._lock:
            self.goodbyes += bool(client.goaways)
            self.failures += [f"GOAWAY with {code}" for _, code in client.goaways if code]
