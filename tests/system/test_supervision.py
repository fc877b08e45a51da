"""Supervision under the installed command: crashes, signals, scaling, first boots that fail."""

from __future__ import annotations

import os
import resource
import signal
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from tests.support.daemon import Daemon, alive
from tests.support.traffic import Traffic
from tests.support.waiting import wait_until


def get(url: str) -> str:
    with urllib.request.urlopen(url, timeout=10) as answer:
        return answer.read().decode()


def daemon(folder: Path, *args: str, workers: int = 2, ready: bool = True) -> Daemon:
    count = workers if ready else 0
    return Daemon("app:application", "--workers", str(workers), *args, folder=folder, ready=count)


def open_files(pid: int) -> set[str]:
    return {os.readlink(link) for link in Path(f"/proc/{pid}/fd").iterdir()}


class TestCrash:
    def test_a_killed_worker_is_replaced_and_the_others_serve_on(self, wsgi_app: Path) -> None:
        with daemon(wsgi_app) as hornbeamd:
            victim, survivor = hornbeamd.workers()
            with Traffic(hornbeamd.port, keep_alive=0, fresh=2) as traffic:
                os.kill(victim, signal.SIGKILL)
                hornbeamd.wait(lambda: len(pids := hornbeamd.workers()) == 2 and victim not in pids, "no new worker")
                newcomer = next(pid for pid in hornbeamd.workers() if pid != survivor)
                hornbeamd.wait(lambda: f"one {newcomer}".encode() in traffic.bodies, "the new one does not serve")
            # What the dead worker held is lost, at most one request of each thread; nothing else is.
            assert len(traffic.failures) <= 2
            assert alive(survivor)

    def test_a_crash_in_c_leaves_its_stack_in_the_log(self, wsgi_app: Path) -> None:
        with daemon(wsgi_app, workers=1) as hornbeamd:
            with pytest.raises(OSError):
                get(f"{hornbeamd.url}/crash")
            hornbeamd.wait_log("end=SIGSEGV")
            hornbeamd.wait_log("string_at")

    def test_intensity_exceeded_while_nothing_serves_ends_the_daemon(self, wsgi_app: Path) -> None:
        with daemon(wsgi_app, "--restart-intensity", "2", workers=1) as hornbeamd:
            for death in range(1, 4):
                hornbeamd.wait_log("worker ready", count=death)
                os.kill(hornbeamd.wait_workers(1)[0], signal.SIGKILL)
            assert hornbeamd.wait_ended() == 1
            last = hornbeamd.log.splitlines()[-1]
            assert "gave up" in last
            assert "more than 2 workers died within 10 s and none serves" in last

    def test_intensity_exceeded_while_others_serve_only_slows_restarts_down(self, wsgi_app: Path) -> None:
        with daemon(wsgi_app, "--restart-intensity", "1") as hornbeamd:
            survivor = hornbeamd.workers()[0]
            for death in range(2):
                hornbeamd.wait_log("worker ready", count=2 + death)
                victim = next(pid for pid in hornbeamd.wait_workers(2) if pid != survivor)
                os.kill(victim, signal.SIGKILL)
            hornbeamd.wait_log("workers die too often, pausing restarts")
            assert get(hornbeamd.url) == f"one {survivor}"
            hornbeamd.wait_workers(2)  # after the pause


class TestScaling:
    def test_ttin_adds_and_ttou_removes_a_worker(self, wsgi_app: Path) -> None:
        with daemon(wsgi_app) as hornbeamd:
            hornbeamd.signal(signal.SIGTTIN)
            hornbeamd.wait_workers(3)
            for expected in (2, 1):
                hornbeamd.signal(signal.SIGTTOU)
                hornbeamd.wait_workers(expected)
            hornbeamd.signal(signal.SIGTTOU)
            hornbeamd.wait_log("pool resized workers=1", count=2)
            assert get(hornbeamd.url) == f"one {hornbeamd.workers()[0]}"


class TestOutOfDescriptors:
    def test_what_cannot_be_started_is_tried_again_while_the_others_serve(self, wsgi_app: Path) -> None:
        with daemon(wsgi_app, "--no-reload-in-place", "--restart-intensity", "1000") as hornbeamd:
            before = hornbeamd.workers()
            limits = resource.prlimit(hornbeamd.pid, resource.RLIMIT_NOFILE)
            lowest = len(os.listdir(f"/proc/{hornbeamd.pid}/fd"))
            resource.prlimit(hornbeamd.pid, resource.RLIMIT_NOFILE, (lowest, limits[1]))
            hornbeamd.signal(signal.SIGHUP)
            hornbeamd.wait_log("the spawner could not start")
            hornbeamd.signal(signal.SIGTTIN)
            hornbeamd.wait_log("worker could not be started")
            assert get(hornbeamd.url).startswith("one ")
            assert hornbeamd.workers() == before
            resource.prlimit(hornbeamd.pid, resource.RLIMIT_NOFILE, limits)
            hornbeamd.wait_workers(3)


class TestFirstBoot:
    @pytest.mark.parametrize("preload", [(), ("--preload-app",)], ids=["worker", "preloaded"])
    def test_an_app_that_cannot_be_imported_ends_the_daemon_with_its_traceback(
        self, tmp_path: Path, preload: tuple[str, ...]
    ) -> None:
        (tmp_path / "app.py").write_text("def broken():\n    raise RuntimeError('no database')\n\nbroken()\n")
        with daemon(tmp_path, *preload, ready=False) as hornbeamd:
            assert hornbeamd.wait_ended() == 1
            log = hornbeamd.log
        assert log.count("Traceback (most recent call last)") == 1
        assert 'app.py", line 2, in broken' in log
        assert "importlib" not in log
        assert "hornbeamd/worker" not in log
        assert "RuntimeError: no database" in log.splitlines()[-1]

    def test_an_app_that_exits_while_it_is_imported_is_told_from_a_crash(self, tmp_path: Path) -> None:
        (tmp_path / "app.py").write_text("raise SystemExit('SECRET_KEY is not set')\n")
        with daemon(tmp_path, ready=False) as hornbeamd:
            assert hornbeamd.wait_ended() == 1
            assert "SECRET_KEY is not set" in hornbeamd.log.splitlines()[-1]

    def test_a_startup_that_hangs_ends_with_the_stacks(self, tmp_path: Path) -> None:
        (tmp_path / "app.py").write_text("import time\ndef wait():\n    time.sleep(60)\nwait()\n")
        with daemon(tmp_path, "--boot-timeout", "3s", workers=1, ready=False) as hornbeamd:
            assert hornbeamd.wait_ended() == 1
            assert "in wait" in hornbeamd.log
            assert "not ready within 3 s" in hornbeamd.log

    @pytest.mark.parametrize("flag", ["--log-file", "--log-access"])
    def test_a_log_that_cannot_be_opened_ends_the_daemon(self, wsgi_app: Path, flag: str) -> None:
        (log := wsgi_app / "there.log").symlink_to("nowhere/at.all")
        with daemon(wsgi_app, flag, "there.log", ready=False) as hornbeamd:
            assert hornbeamd.wait_ended() == 1
            assert f'cannot start error="cannot log to {log}: No such file or directory"' in hornbeamd.log
            assert "worker started" not in hornbeamd.log

    def test_an_address_in_use_ends_the_daemon(self, wsgi_app: Path) -> None:
        with daemon(wsgi_app) as first:
            (wsgi_app / "second").mkdir()
            with Daemon("app:application", folder=wsgi_app / "second", bind=f"127.0.0.1:{first.port}") as second:
                assert second.wait_ended() == 1
                assert f"cannot listen on 127.0.0.1:{first.port}: Address already in use" in second.log


class TestEnvironment:
    def test_packages_of_the_venv_and_folders_of_pythonpath_are_found(self, tmp_path: Path) -> None:
        version = f"python{sys.version_info.major}.{sys.version_info.minor}"
        packages = tmp_path / "venv" / "lib" / version / "site-packages"
        packages.mkdir(parents=True)
        (packages / "from_venv.py").write_text("NAME = 'venv'\n")
        (packages / "json.py").write_text("raise ImportError('a package must not hide the standard library')\n")
        (tmp_path / "first").mkdir()
        (tmp_path / "second").mkdir()
        (tmp_path / "first" / "which.py").write_text("NAME = 'first'\n")
        (tmp_path / "second" / "which.py").write_text("NAME = 'second'\n")
        (tmp_path / "second" / "app.py").write_text(
            "import json, from_venv, which\n"
            "def application(environ, start_response):\n"
            "    start_response('200 OK', [])\n"
            "    return [f'{from_venv.NAME} {which.NAME}'.encode()]\n"
        )
        (tmp_path / "sys.toml").write_text(
            '[hornbeam]\napp = "app"\nworkers = 1\nvenv = "venv"\npythonpath = ["first", "second"]\n'
        )
        with Daemon("-c", "sys.toml", folder=tmp_path, ready=1) as hornbeamd:
            assert get(hornbeamd.url) == "venv first"


class TestSpawner:
    @pytest.mark.parametrize("preload", [(), ("--preload-app",)], ids=["plain", "preloaded"])
    def test_workers_outlive_it_and_a_new_one_forks_their_successors(
        self, wsgi_app: Path, preload: tuple[str, ...]
    ) -> None:
        with daemon(wsgi_app, *preload) as hornbeamd:
            before = hornbeamd.workers()
            with Traffic(hornbeamd.port) as traffic:
                os.kill(hornbeamd.spawner(), signal.SIGKILL)
                hornbeamd.wait_log("spawner ready", count=2)
                seen = traffic.total
                hornbeamd.wait(lambda: traffic.total > seen + 20, "no answers")
            assert traffic.failures == []
            assert hornbeamd.workers() == before
            # Now orphans of the spawner, they are collected by the supervisor, and with their status.
            os.kill(before[0], signal.SIGKILL)
            hornbeamd.wait_log("end=SIGKILL", count=2)
            hornbeamd.wait(lambda: len(hornbeamd.workers()) == 2, "no new worker")


class TestSupervisor:
    def test_when_it_is_killed_everything_ends_and_running_requests_finish(self, wsgi_app: Path) -> None:
        with daemon(wsgi_app) as hornbeamd:
            family = [*hornbeamd.workers(), hornbeamd.spawner()]
            slow = Request(f"{hornbeamd.url}/slow?started")
            wait_until((wsgi_app / "started").exists)
            os.kill(hornbeamd.pid, signal.SIGKILL)
            assert slow.result().startswith("one ")
            hornbeamd.wait(lambda: not any(map(alive, family)), "some live on")

    def test_when_it_is_killed_its_address_is_free_at_once(self, wsgi_app: Path) -> None:
        with daemon(wsgi_app) as hornbeamd:
            slow = Request(f"{hornbeamd.url}/slow?started")
            wait_until((wsgi_app / "started").exists)
            os.kill(hornbeamd.pid, signal.SIGKILL)
            gone = "the supervisor is gone, draining"
            hornbeamd.wait(lambda: hornbeamd.log.count(gone) == 2, "its workers do not notice")
            (wsgi_app / "second").mkdir()
            arguments = {"folder": wsgi_app / "second", "bind": f"127.0.0.1:{hornbeamd.port}", "ready": 1}
            with Daemon("app:application", "--workers", "1", "--pythonpath", str(wsgi_app), **arguments) as second:
                assert get(second.url).startswith("one ")
            assert slow.result().startswith("one ")


class Request:
    """A GET that runs in a thread."""

    def __init__(self, url: str) -> None:
        from concurrent.futures import ThreadPoolExecutor

        self._pool = ThreadPoolExecutor(1)
        self._future = self._pool.submit(get, url)

    def result(self) -> str:
        try:
            return self._future.result(20)
        finally:
            self._pool.shutdown()


class TestStop:
    def test_sigterm_finishes_what_runs_and_refuses_what_is_new(self, wsgi_app: Path) -> None:
        with daemon(wsgi_app) as hornbeamd:
            url = hornbeamd.url
            slow = Request(f"{url}/slow?started")
            wait_until((wsgi_app / "started").exists)
            hornbeamd.signal(signal.SIGTERM)
            hornbeamd.wait_log("SIGTERM")
            wait_until(lambda: refused(url), deadline=0.5)
            assert hornbeamd.running
            assert slow.result().startswith("one ")
            assert hornbeamd.wait_ended() == 0
        assert "cut=true" not in hornbeamd.log
        assert "Exception" not in hornbeamd.log

    def test_graceful_timeout_is_the_end_of_patience(self, wsgi_app: Path) -> None:
        with daemon(wsgi_app, "--graceful-timeout", "500ms", workers=1) as hornbeamd:
            endless = Request(f"{hornbeamd.url}/endless?started")
            wait_until((wsgi_app / "started").exists)
            hornbeamd.signal(signal.SIGTERM)
            assert hornbeamd.wait_ended(deadline=3) == 0
            with pytest.raises(OSError):
                endless.result()

    def test_a_second_sigterm_that_is_no_echo_of_the_first_ends_at_once(self, wsgi_app: Path) -> None:
        with daemon(wsgi_app, workers=1) as hornbeamd:
            endless = Request(f"{hornbeamd.url}/endless?started")
            wait_until((wsgi_app / "started").exists)
            for count in (1, 2):
                hornbeamd.signal(signal.SIGTERM)
                hornbeamd.wait_log("SIGTERM: ", count=count)
            assert "at once" not in hornbeamd.log

            def impatient() -> bool:
                hornbeamd.signal(signal.SIGTERM)
                return not hornbeamd.running

            hornbeamd.wait(impatient, "it does not end", deadline=6)
            assert hornbeamd.wait_ended() == 0  # no signal keeps it from clearing up
            with pytest.raises(OSError):
                endless.result()

    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGQUIT])
    def test_sigint_and_sigquit_end_at_once(self, wsgi_app: Path, number: signal.Signals) -> None:
        with daemon(wsgi_app, workers=1) as hornbeamd:
            endless = Request(f"{hornbeamd.url}/endless?started")
            wait_until((wsgi_app / "started").exists)
            hornbeamd.signal_group(number)  # Ctrl-C and Ctrl-\\ reach every process of the group
            assert hornbeamd.wait_ended(deadline=4) == 0
            with pytest.raises(OSError):
                endless.result()

    def test_lifespan_shutdown_runs_in_every_worker(self, asgi_app: Path) -> None:
        with daemon(asgi_app, "--worker-class", "asgi") as hornbeamd:
            pids = hornbeamd.workers()
            hornbeamd.signal(signal.SIGTERM)
            assert hornbeamd.wait_ended() == 0
        assert sorted(map(int, (asgi_app / "shutdowns").read_text().split())) == sorted(pids)

    @pytest.mark.parametrize("preload", [(), ("--preload-app",)], ids=["worker", "preloaded"])
    def test_sigterm_during_boot_ends_it(self, tmp_path: Path, preload: tuple[str, ...]) -> None:
        (tmp_path / "app.py").write_text("import time\nopen('importing', 'w').close()\ntime.sleep(60)\n")
        with daemon(tmp_path, *preload, workers=1, ready=False) as hornbeamd:
            wait_until((tmp_path / "importing").exists)
            hornbeamd.signal(signal.SIGTERM)
            assert hornbeamd.wait_ended(deadline=4) == 0

    def test_sigterm_sent_to_a_worker_has_it_replaced_without_a_cut(self, wsgi_app: Path) -> None:
        with daemon(wsgi_app) as hornbeamd:
            with Traffic(hornbeamd.port) as traffic:
                leaver = hornbeamd.workers()[0]
                os.kill(leaver, signal.SIGTERM)
                hornbeamd.wait(lambda: not alive(leaver), "it stays")
                hornbeamd.wait_workers(2)
            assert traffic.failures == []
            assert traffic.statuses == {200}


def refused(url: str) -> bool:
    try:
        get(url)
    except OSError as error:
        return isinstance(getattr(error, "reason", error), ConnectionRefusedError)
    return False


class TestStuck:
    def test_a_blocked_loop_is_replaced_and_its_stacks_are_logged(self, asgi_app: Path) -> None:
        arguments = ("--worker-class", "asgi", "--heartbeat-timeout", "600ms")
        with daemon(asgi_app, *arguments) as hornbeamd:
            blocked = Request(f"{hornbeamd.url}/block")
            hornbeamd.wait_log("is killed")
            log = hornbeamd.log
            assert "no heartbeat for 0." in log
            assert 'app.py", line' in log
            # The replacement came first.
            assert log.count("worker ready", 0, log.index("is killed")) == 3
            hornbeamd.wait_workers(2)
            with pytest.raises(OSError):
                blocked.result()

    def test_threads_that_are_all_stuck_are_replaced(self, wsgi_app: Path) -> None:
        arguments = ("--threads", "1", "--timeout", "300ms", "--graceful-timeout", "500ms")
        with daemon(wsgi_app, *arguments, workers=1) as hornbeamd:
            endless = Request(f"{hornbeamd.url}/endless?started")
            wait_until((wsgi_app / "started").exists)
            hornbeamd.wait_log("worker is stuck")
            hornbeamd.wait_log("worker ready", count=2)
            hornbeamd.wait_log("worker ended", count=1)
            hornbeamd.wait_log("in application")
            assert get(hornbeamd.url) == f"one {hornbeamd.wait_workers(1)[0]}"
            with pytest.raises(urllib.error.HTTPError) as answer:
                endless.result()
            assert answer.value.status == 504
            answer.value.close()


class TestLogs:
    def test_sigusr1_opens_all_logs_anew_in_every_process(self, wsgi_app: Path) -> None:
        events, access = wsgi_app / "events.log", wsgi_app / "access.log"
        with daemon(wsgi_app, "--log-access", str(access), "--log-file", str(events), ready=False) as hornbeamd:
            hornbeamd.log_path = events
            hornbeamd.wait(events.exists, "no log")
            hornbeamd.wait_log("worker ready", count=2)
            processes = [hornbeamd.pid, hornbeamd.spawner(), *hornbeamd.workers()]
            with Traffic(hornbeamd.port) as traffic:
                hornbeamd.wait(lambda: traffic.total > 10, "no answers")
                old = [path.rename(f"{path}.1") for path in (events, access)]
                hornbeamd.signal(signal.SIGUSR1)
                hornbeamd.wait(lambda: events.exists() and access.exists(), "no new logs")
                seen = traffic.total
                hornbeamd.wait(lambda: traffic.total > seen + 10, "no answers")
            assert traffic.failures == []
            # Every answer has its line, in the old file or in the new one.
            hornbeamd.wait(
                lambda: sum(len(path.read_text().splitlines()) for path in (old[1], access)) == traffic.total,
                "lines are missing",
            )
            assert access.read_text()
            for pid in processes:
                hornbeamd.wait(lambda pid=pid: not set(map(str, old)) & open_files(pid), f"{pid} keeps an old file")


class TestOrphans:
    def test_processes_that_the_app_abandons_are_collected_and_not_taken_for_workers(self, wsgi_app: Path) -> None:
        with daemon(wsgi_app, "--log-level", "debug") as hornbeamd:
            before = hornbeamd.workers()
            get(f"{hornbeamd.url}/orphan")
            hornbeamd.wait_log('end="exit 3"')
            assert "orphan reaped" in hornbeamd.log
            assert hornbeamd.workers() == before
            assert "worker ended" not in hornbeamd.log
