"""HTTP/2 while workers come and go: not one request of a client that obeys GOAWAY is lost."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from tests.support.daemon import Daemon
from tests.support.h2traffic import H2Traffic


def assert_unharmed(traffic: H2Traffic) -> None:
    assert traffic.failures == []
    assert {status for status, _ in traffic.answers} == {200}
    assert traffic.goodbyes


@pytest.mark.parametrize("kind", ["asgi", "wsgi"])
def test_recycling(request: pytest.FixtureRequest, kind: str) -> None:
    """max_requests."""
    folder: Path = request.getfixturevalue(f"{kind}_app")
    args = ("--worker-class", kind, "--workers", "2", "--max-requests", "100", "--max-requests-jitter", "50")
    with Daemon("app:application", *args, folder=folder, ready=2) as daemon:
        with H2Traffic(daemon.port) as traffic:
            daemon.wait_log("worker drained", count=4, deadline=20)
        assert_unharmed(traffic)
        assert traffic.total >= 300
        daemon.wait_workers(2)


def test_reloads_by_new_processes(asgi_app: Path) -> None:
    args = ("--no-reload-in-place", "--worker-class", "asgi", "--workers", "2")
    with Daemon("app:application", *args, folder=asgi_app, ready=2) as daemon:
        with H2Traffic(daemon.port) as traffic:
            for done in range(1, 4):
                seen = traffic.total
                daemon.wait(lambda seen=seen: traffic.total > seen + 50, "no answers")
                daemon.signal(signal.SIGHUP)
                daemon.wait_log("reload complete", count=done)
                daemon.wait_log("worker drained", count=2 * done)
        assert_unharmed(traffic)
        assert len({body for _, body in traffic.answers}) >= 4
