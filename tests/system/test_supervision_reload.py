"""New processes by SIGHUP and by recycling: replacement first, then removal, and not one request of a load lost.

How the code is exchanged inside the processes, which is what a reload does where it can: test_swap.py.
"""

from __future__ import annotations

import json
import os
import signal
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from tests.support.daemon import Daemon, alive
from tests.support.traffic import Traffic

HUB_AND_SPAWNER = 2  # the children of a supervisor that has replaced nothing yet, or is done with it


def daemon(folder: Path, *args: str, workers: int = 2) -> Daemon:
    flags = ("--no-reload-in-place", "--workers", str(workers), *args)
    return Daemon("app:application", *flags, folder=folder, ready=workers)


def get(url: str) -> str:
    with urllib.request.urlopen(url, timeout=10) as answer:
        return answer.read().decode()


def assert_unharmed(traffic: Traffic, least: int = 20) -> None:
    assert traffic.failures == []
    assert traffic.statuses == {200}
    assert traffic.total >= least


def edit(folder: Path, old: str, new: str) -> None:
    """Change the application. Its size changes as well: .pyc files are told apart by second and size."""
    path = folder / "app.py"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new) + "#\n")


class TestReload:
    @pytest.mark.parametrize("preload", [(), ("--preload-app",)], ids=["plain", "preloaded"])
    def test_new_code_serves_and_no_request_fails(self, wsgi_app: Path, preload: tuple[str, ...]) -> None:
        with daemon(wsgi_app, *preload) as hornbeamd:
            before = hornbeamd.workers()
            with Traffic(hornbeamd.port) as traffic:
                hornbeamd.wait(lambda: traffic.total > 20, "no answers")
                edit(wsgi_app, 'VERSION = "one"', 'VERSION = "two"')
                hornbeamd.signal(signal.SIGHUP)
                hornbeamd.wait_log("reload complete")
                hornbeamd.wait(lambda: not any(map(alive, before)), "old workers stay")
                seen = traffic.total
                hornbeamd.wait(lambda: traffic.total > seen + 20, "no answers")
            assert_unharmed(traffic)
            versions = {body.split()[0] for body in traffic.bodies}
            assert versions == {b"one", b"two"}
            assert len(hornbeamd.workers()) == 2

    def test_reloads_of_one_worker_in_a_row_lose_nothing_and_leave_nothing_behind(self, wsgi_app: Path) -> None:
        with daemon(wsgi_app, workers=1) as hornbeamd:
            descriptors = open_descriptors(hornbeamd.pid)
            with Traffic(hornbeamd.port) as traffic:
                for done in range(1, 5):
                    hornbeamd.signal(signal.SIGHUP)
                    hornbeamd.wait_log("reload complete", count=done)
            hornbeamd.wait_workers(1)
            hornbeamd.wait(lambda: len(children(hornbeamd.pid)) == HUB_AND_SPAWNER, "old spawners stay")
            hornbeamd.wait(
                lambda: open_descriptors(hornbeamd.pid) == descriptors,
                lambda: f"{open_descriptors(hornbeamd.pid)} are not {descriptors}",
            )
            assert_unharmed(traffic)

    def test_signals_that_come_together_are_joined(self, wsgi_app: Path) -> None:
        (wsgi_app / "app.py").write_text("import time\ntime.sleep(0.3)\n" + (wsgi_app / "app.py").read_text())
        with daemon(wsgi_app, workers=1) as hornbeamd:
            hornbeamd.signal(signal.SIGHUP)
            hornbeamd.wait_log("reload begins")
            for received in range(2, 5):
                hornbeamd.signal(signal.SIGHUP)
                hornbeamd.wait_log("SIGHUP", count=received)
            hornbeamd.wait_log("reload complete", count=2)
            hornbeamd.wait_workers(1)
            hornbeamd.signal(signal.SIGTERM)
            assert hornbeamd.wait_ended() == 0
            assert hornbeamd.log.count("reload begins") == 2

    def test_sigterm_during_a_reload_ends_it(self, wsgi_app: Path) -> None:
        with daemon(wsgi_app, workers=1) as hornbeamd:
            edit(wsgi_app, "import os, time", "import os, time; open('importing', 'w').close(); time.sleep(60)")
            hornbeamd.signal(signal.SIGHUP)
            hornbeamd.wait((wsgi_app / "importing").exists, "no new worker")
            hornbeamd.signal(signal.SIGTERM)
            assert hornbeamd.wait_ended(deadline=4) == 0


BROKEN = {
    "syntax": "def (",
    "import": "import no_such_module",
    "exit": "raise SystemExit('no')",
    "os-exit": "import os; os._exit(9)",
    "segfault": "import ctypes; ctypes.string_at(0)",
    "hang": "import time; time.sleep(60)",
}


class TestReloadThatFails:
    @pytest.mark.parametrize("preload", [(), ("--preload-app",)], ids=["plain", "preloaded"])
    @pytest.mark.parametrize("fault", BROKEN)
    def test_a_failing_canary_changes_nothing(self, wsgi_app: Path, fault: str, preload: tuple[str, ...]) -> None:
        # Short only where it is waited for: a busy machine takes its time to start an interpreter.
        limit = ("--boot-timeout", "3s") if fault == "hang" else ()
        with daemon(wsgi_app, *limit, *preload) as hornbeamd:
            before = hornbeamd.workers()
            with Traffic(hornbeamd.port) as traffic:
                edit(wsgi_app, 'VERSION = "one"', BROKEN[fault])
                hornbeamd.signal(signal.SIGHUP)
                hornbeamd.wait_log("reload failed, the old workers serve on")
                seen = traffic.total
                hornbeamd.wait(lambda: traffic.total > seen + 20, "no answers")
            assert_unharmed(traffic)
            assert hornbeamd.workers() == before
            if fault in ("syntax", "import", "exit"):
                assert 'app.py", line' in hornbeamd.log
            hornbeamd.wait(lambda: len(children(hornbeamd.pid)) == HUB_AND_SPAWNER, "the failed spawner stays")
            if preload:  # the old spawner has the old code, so a worker that dies now comes back with it
                os.kill(before[0], signal.SIGKILL)
                newcomer = hornbeamd.wait(lambda: set(hornbeamd.workers()) - set(before), "no new worker").pop()
                answer = f"one {newcomer}"
                hornbeamd.wait(lambda: get(hornbeamd.url) == answer, "it does not serve the old code")

    def test_a_later_worker_that_fails_rolls_everything_back(self, asgi_app: Path) -> None:
        with daemon(asgi_app, "--worker-class", "asgi", "--preload-app", workers=3) as hornbeamd:
            with Traffic(hornbeamd.port) as traffic:
                edit(asgi_app, 'f"one', 'f"two')
                edit(
                    asgi_app,
                    "        while (message",
                    "        if os.path.exists('served'):\n"
                    "            await send({'type': 'lifespan.startup.failed', 'message': 'full'})\n"
                    "        open('served', 'w').close()\n"
                    "        while (message",
                )
                hornbeamd.signal(signal.SIGHUP)
                hornbeamd.wait_log("reload failed, the old workers serve on")
                hornbeamd.wait(lambda: len(children(hornbeamd.pid)) == HUB_AND_SPAWNER, "the failed spawner stays")
                assert b"two" in {body.split()[0] for body in traffic.bodies}
            assert_unharmed(traffic)
            assert {get(hornbeamd.url).split()[0] for _ in range(20)} == {"one"}
            assert "full" in hornbeamd.log
            hornbeamd.wait_workers(3)

    def test_a_broken_configuration_changes_nothing_and_all_its_problems_are_told(self, wsgi_app: Path) -> None:
        config = wsgi_app / "sys.toml"
        config.write_text('[hornbeam]\napp = "app"\nworkers = 1\n')
        with Daemon("-c", str(config), folder=wsgi_app, ready=1) as hornbeamd:
            before = hornbeamd.workers()
            config.write_text('[hornbeam]\napp = "app"\nworkers = "many"\nworkerz = 3\n')
            hornbeamd.signal(signal.SIGHUP)
            hornbeamd.wait_log("reload refused", count=2)
            assert "workerz" in hornbeamd.log
            assert hornbeamd.workers() == before

    def test_a_new_number_of_workers_is_taken_over_and_a_new_pidfile_is_not(self, wsgi_app: Path) -> None:
        config = wsgi_app / "sys.toml"
        config.write_text('[hornbeam]\napp = "app"\nworkers = 1\nbind = "127.0.0.1:0"\n')
        with Daemon("-c", str(config), folder=wsgi_app, ready=1, bind=None) as hornbeamd:
            config.write_text('[hornbeam]\napp = "app"\nworkers = 3\nbind = "127.0.0.1:0"\npidfile = "pid"\n')
            hornbeamd.signal(signal.SIGHUP)
            hornbeamd.wait_log("reload complete")
            hornbeamd.wait_workers(3)
            assert 'need a restart options=["pidfile"]' in hornbeamd.log
            assert not (wsgi_app / "pid").exists()


class TestReloadOfTheLog:
    def test_the_event_log_changes_file_form_and_level_in_every_process(self, wsgi_app: Path) -> None:
        config, log = wsgi_app / "sys.toml", wsgi_app / "new.log"
        general = '[hornbeam]\napp = "app"\nworkers = 1\nbind = "127.0.0.1:0"\n[hornbeam.log]\n'
        config.write_text(general)
        with Daemon("-c", str(config), folder=wsgi_app, ready=1, bind=None) as hornbeamd:
            (wsgi_app / "circle").symlink_to("circle")
            config.write_text(general + 'file = "circle"\n')
            hornbeamd.signal(signal.SIGHUP)
            hornbeamd.wait_log("reload failed")
            assert "cannot log to" in hornbeamd.log
            config.write_text(general + 'file = "new.log"\nformat = "json"\nlevel = "debug"\n')
            hornbeamd.signal(signal.SIGHUP)
            hornbeamd.wait(lambda: log.exists() and "reload complete" in hornbeamd.log + log.read_text(), "no new log")

            def written() -> bool:
                with pytest.raises(urllib.error.HTTPError):
                    get(f"{hornbeamd.url}/slow")  # without the name of a file the application raises
                return '"role":"worker 1"' in log.read_text()

            hornbeamd.wait(written, "the worker writes nothing there")
            before = hornbeamd.log
            lines = [json.loads(line) for line in log.read_text().splitlines()]
            (worker,) = {line["pid"] for line in lines if line["role"] == "worker 1"}
            os.kill(worker, signal.SIGKILL)
            hornbeamd.wait(lambda: '"worker ready"' in log.read_text(), "no new worker")
            assert hornbeamd.log == before


class TestRecycling:
    def test_max_requests_replaces_workers_under_load_without_a_failed_request(self, wsgi_app: Path) -> None:
        with daemon(wsgi_app, "--max-requests", "40", "--max-requests-jitter", "20") as hornbeamd:
            with Traffic(hornbeamd.port) as traffic:
                hornbeamd.wait_log("worker asks to be replaced", count=6, deadline=20)
                hornbeamd.wait_log("worker drained", count=4, deadline=20)
            assert_unharmed(traffic, least=200)
            hornbeamd.wait_workers(2)
            assert "worker ready" in hornbeamd.log.partition("worker drains")[0].partition("asks to be")[2]


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def open_descriptors(pid: int) -> list[str]:
    """What the descriptors of a process refer to, without the numbers of sockets and pipes."""
    places = (os.readlink(entry) for entry in Path(f"/proc/{pid}/fd").iterdir())
    return sorted(place.partition(":")[0] for place in places)
