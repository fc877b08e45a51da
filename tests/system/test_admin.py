"""The admin listener of the running daemon: what orchestrators and Prometheus see of its life."""

from __future__ import annotations

import os
import re
import signal
import socket
import threading
import urllib.error
import urllib.request
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from tests.support.daemon import Daemon
from tests.support.raw import RawClient
from tests.support.waiting import wait_until

APP = """
import asyncio, os, time

while not os.path.exists("go"):
    time.sleep(0.01)


async def application(scope, receive, send):
    if scope["type"] != "http":
        return
    status = int(scope["path"][1:] or 200)
    if scope["query_string"]:
        while not os.path.exists(scope["query_string"].decode()):
            await asyncio.sleep(0.01)
    await send({"type": "http.response.start", "status": status, "headers": [(b"content-length", b"5")]})
    await send({"type": "http.response.body", "body": b"hello"})
"""


def get(url: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


class Scraped:
    """Asks the admin listener of *daemon*."""

    def __init__(self, daemon: Daemon) -> None:
        self.daemon = daemon
        self.url = daemon.wait(lambda: re.findall(r"admin listener at (http\S+)", daemon.log), "no admin listener")[0]

    def get(self, path: str) -> tuple[int, str]:
        return get(self.url + path)

    def values(self) -> dict[tuple[str, ...], float]:
        status, text = self.get("/metrics")
        assert status == 200
        return {
            (sample.name.removeprefix("hornbeam_"), *sample.labels.values()): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }

    def wait(self, expected: dict[tuple[str, ...], float]) -> dict[tuple[str, ...], float]:
        """Scrape until it says what is *expected*."""

        def seen() -> dict[tuple[str, ...], float] | None:
            found = self.values()
            return found if expected.items() <= found.items() else None

        return wait_until(seen, explain=lambda: {key: self.values().get(key) for key in expected})


def test_from_the_start_to_the_end(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(APP)
    args = ("app:application", "--worker-class", "asgi", "--workers", "2", "--admin-bind", "127.0.0.1:0")
    with Daemon(*args, folder=tmp_path) as daemon:
        admin = Scraped(daemon)
        assert admin.get("/livez") == (200, "alive\n")
        assert admin.get("/readyz") == (503, "[-] workers: 0 of 2 serve\nnot ready\n")
        assert admin.values()[("last_reload_successful",)] == 1
        (tmp_path / "go").touch()
        wait_until(lambda: admin.get("/readyz") == (200, "ready\n"))

        for path in ("/", "/", "/", "/404", "/503"):
            get(daemon.url + path)
        counted = {("requests_total", "2xx"): 3, ("requests_total", "4xx"): 1, ("requests_total", "5xx"): 1}
        found = admin.wait({**counted, ("workers", "serving"): 2, ("state_entries",): 0, ("hub_up",): 1})
        assert found[("response_bytes_total",)] == 25
        assert found[("request_duration_seconds_count", "2xx")] == 3
        assert found[("process_resident_memory_bytes", "worker 1")] > 1 << 20

        _kill_a_worker(daemon, admin, counted)
        _stop_the_hub(daemon, admin, counted)
        _fail_to_reload(daemon, admin, tmp_path / "app.py")
        _drain(daemon, admin, tmp_path / "done")


def _kill_a_worker(daemon: Daemon, admin: Scraped, counted: dict[tuple[str, ...], float]) -> None:
    """Its series begin anew, the totals do not."""
    os.kill(daemon.workers()[0], signal.SIGKILL)
    found = admin.wait({("worker_ends_total", "crash"): 1, ("workers", "serving"): 2, **counted})
    assert sum(found[("worker_requests_total", worker)] for worker in ("1", "2")) < 5


def _stop_the_hub(daemon: Daemon, admin: Scraped, counted: dict[tuple[str, ...], float]) -> None:
    """While it does not answer the rest is told."""
    hub = int(re.findall(r"hub ready pid=(\d+)", daemon.log)[-1])
    os.kill(hub, signal.SIGSTOP)
    found = admin.wait({("hub_up",): 0, **counted})
    assert ("state_entries",) not in found
    os.kill(hub, signal.SIGCONT)
    admin.wait({("hub_up",): 1, ("state_entries",): 0})


def _fail_to_reload(daemon: Daemon, admin: Scraped, app: Path) -> None:
    """It stays failed until a reload succeeds; meanwhile the old code serves."""
    app.write_text("this is no Python")
    daemon.signal(signal.SIGHUP)
    found = admin.wait({("last_reload_successful",): 0, ("reloads_total", "refused"): 1, ("generation",): 1})
    assert found[("last_reload_timestamp_seconds",)] > found[("start_time_seconds",)]
    assert admin.get("/readyz") == (200, "ready\n")
    app.write_text(APP + "# repaired\n")
    daemon.signal(signal.SIGHUP)
    found = admin.wait({("last_reload_successful",): 1, ("workers", "serving"): 2, ("reloads_total", "refused"): 1})
    assert found[("generation",)] > 1


def _drain(daemon: Daemon, admin: Scraped, done: Path) -> None:
    """No more requests are to be sent, but it is not to be killed: one is in hand."""
    answers: list[tuple[int, str]] = []
    client = threading.Thread(target=lambda: answers.append(get(f"{daemon.url}/?{done}")), daemon=True)
    client.start()
    wait_until(lambda: sum(admin.values().get(("requests_in_flight", worker), 0) for worker in "1234") == 1)
    daemon.signal(signal.SIGTERM)
    daemon.wait_log("SIGTERM: drain and end")
    status, text = admin.get("/readyz?verbose")
    assert (status, text.splitlines()[0]) == (503, "[-] shutdown: the server is about to end")
    assert admin.get("/livez") == (200, "alive\n")
    admin.wait({("worker_ends_total", "shutdown"): 1, ("workers", "draining"): 1})
    done.touch()
    client.join(10)
    assert answers == [(200, "hello")]
    assert daemon.wait_ended() == 0


def test_a_reload_opens_and_closes_it_under_the_same_workers(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(APP)
    (tmp_path / "go").touch()
    path, config = tmp_path / "admin", tmp_path / "sys.toml"

    def write(*binds: str) -> None:
        options = f'app = "app:application"\nworker_class = "asgi"\nworkers = 1\nadmin.bind = {list(binds)}\n'
        config.write_text(f"[hornbeam]\n{options}")

    def answers() -> bool:
        with RawClient(str(path)) as client:
            return client.request(b"GET /readyz HTTP/1.1\r\nHost: a\r\n\r\n").status == 200

    write()
    with Daemon("-c", "sys.toml", folder=tmp_path, ready=1) as daemon, socket.create_server(("127.0.0.1", 0)) as taken:
        workers = daemon.workers()
        write("unix:admin")
        daemon.signal(signal.SIGHUP)
        daemon.wait_log("reload complete")
        daemon.wait(lambda: path.exists() and answers(), "no answer at the new socket")

        write(f"127.0.0.1:{taken.getsockname()[1]}")
        daemon.signal(signal.SIGHUP)
        daemon.wait_log("reload failed")
        assert "Address already in use" in daemon.log
        assert answers()

        write()
        daemon.signal(signal.SIGHUP)
        daemon.wait_log("reload complete", count=2)
        daemon.wait(lambda: not path.exists(), "the socket stays")
        assert daemon.workers() == workers
