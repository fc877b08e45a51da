"""Pools of processes under the command: how they start, are replaced, reloaded with the workers, and end."""

from __future__ import annotations

import os
import re
import signal
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.support.daemon import Daemon, alive
from tests.support.traffic import Traffic

APP = """
import time
from pathlib import Path
from urllib.parse import parse_qs

from hornbeam_erlang import execute


def application(environ, start_response):
    pool, action, *when = environ["PATH_INFO"].strip("/").split("/")
    try:
        if when:
            Path(*when).touch()
            while not Path(*when).with_suffix(".over").exists():
                time.sleep(0.01)
        answer = str(execute(pool, action, *parse_qs(environ["QUERY_STRING"]).get("with", ())))
    except Exception as error:
        answer = type(error).__name__
    start_response("200 OK", [("Content-Length", str(len(answer)))])
    return [answer.encode()]
"""

MODELS = """
import os
import time
from pathlib import Path


class Model:
    def __init__(self):
        self.held = []

    def pid(self):
        return os.getpid()

    def hold(self, name):
        Path(name).touch()
        while not Path(name + ".over").exists():
            time.sleep(0.01)
        return os.getpid()

    def grow(self, size):
        self.held.append(b"x" * int(size))
        return os.getpid()


class Heavy(Model):
    pass
"""

CONFIG = """
[hornbeam]
app = "app"
workers = 2
bind = "127.0.0.1:0"

[hornbeam.pools.models]
handler = "models:Model"
processes = 2
"""
HEAVY = '[hornbeam.pools.heavy]\nhandler = "models:Heavy"\n'

_READY = re.compile(r"pool process ready pool=(\S+) process=\d+ pid=(\d+)")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """That of an application with a pool of two processes."""
    (tmp_path / "app.py").write_text(APP)
    (tmp_path / "models.py").write_text(MODELS)
    (tmp_path / "sys.toml").write_text(CONFIG)
    return tmp_path


def daemon(folder: Path, *, ready: int = 2) -> Daemon:
    return Daemon("-c", "sys.toml", folder=folder, bind=None, ready=ready)


def processes(hornbeamd: Daemon, pool: str) -> list[int]:
    """The process ids of the pool's processes that were ready at some time and live."""
    return [int(pid) for name, pid in _READY.findall(hornbeamd.log) if name == pool and alive(int(pid))]


def both(hornbeamd: Daemon) -> list[int]:
    """The two processes of the pool, as soon as there are two."""
    return hornbeamd.wait(lambda: pids if len(pids := processes(hornbeamd, "models")) == 2 else None, "not two of them")


def get(hornbeamd: Daemon, path: str) -> str:
    """The answer of the application: the result of a call, or the class of what it raised."""
    with urllib.request.urlopen(f"{hornbeamd.url}{path}", timeout=10) as answer:
        return answer.read().decode()


def test_pools_start_before_the_workers_and_end_after_them(folder: Path) -> None:
    with daemon(folder) as hornbeamd:
        both(hornbeamd)
        hornbeamd.signal(signal.SIGTERM)
        assert hornbeamd.wait_ended() == 0
        log = hornbeamd.log
    first = [log.index(text) for text in ("pool process ready", "worker started", " serving ")]
    assert first == sorted(first)
    assert log.rindex(" worker ended") < log.index("pool process drains")
    assert len(re.findall('pool process ended pool=models .* end="exit 0"', log)) == 2


def test_a_pool_that_cannot_boot_refuses_the_start_with_its_traceback(folder: Path) -> None:
    (folder / "models.py").write_text("class Model:\n    def __init__(self):\n        raise OSError('no weights')\n")
    with daemon(folder, ready=0) as hornbeamd:
        assert hornbeamd.wait_ended() == 1
        assert 'models.py", line 3, in __init__' in hornbeamd.log
        assert "pool models: the first workers could not boot: OSError: no weights" in hornbeamd.log.splitlines()[-1]
        assert "worker started" not in hornbeamd.log


def test_a_reload_moves_all_or_nothing(folder: Path) -> None:
    with daemon(folder) as hornbeamd:
        before = both(hornbeamd) + hornbeamd.workers()
        with Traffic(hornbeamd.port, path="/models/pid") as traffic:
            # A pool that is new cannot boot; then the worker cannot, when the pools have proven themselves already.
            (folder / "sys.toml").write_text(CONFIG + HEAVY)
            (folder / "models.py").write_text(MODELS.replace("class Heavy(Model)", "class Light(Model)"))
            hornbeamd.signal(signal.SIGHUP)
            hornbeamd.wait_log("reload failed, the old workers serve on")
            assert "has no attribute 'Heavy'" in hornbeamd.log
            (folder / "models.py").write_text(MODELS)
            (folder / "app.py").write_text("import no_such_module")
            hornbeamd.signal(signal.SIGHUP)
            hornbeamd.wait_log("reload failed, the old workers serve on", count=2)
            proven = hornbeamd.log.split("reload begins")[2].partition("worker started")[0]
            assert {name for name, _ in _READY.findall(proven)} == {"models", "heavy"}
            hornbeamd.wait(lambda: both(hornbeamd) + hornbeamd.workers() == before, "it did not go back")
            hornbeamd.wait(lambda: not processes(hornbeamd, "heavy"), "the new pool stays")

            (folder / "app.py").write_text(APP)
            hornbeamd.signal(signal.SIGHUP)
            hornbeamd.wait_log("reload complete")
            hornbeamd.wait(lambda: not any(map(alive, before)), "old ones stay")
            now = both(hornbeamd)
            hornbeamd.wait(lambda: traffic.bodies >= {b"%d" % pid for pid in now}, "the new ones get no calls")
            assert len(processes(hornbeamd, "heavy")) == 1
        assert traffic.failures == []
        assert all(body.isdigit() for body in traffic.bodies), traffic.bodies

        # A pool that is removed is there for as long as a worker is who may call it.
        with ThreadPoolExecutor() as clients:
            later = clients.submit(get, hornbeamd, "/models/pid/asked")
            hornbeamd.wait((folder / "asked").exists, "the request does not arrive")
            (folder / "sys.toml").write_text(CONFIG.partition("[hornbeam.pools")[0] + HEAVY)
            hornbeamd.signal(signal.SIGHUP)
            hornbeamd.wait_log("reload complete", count=2)
            (folder / "asked.over").touch()
            assert int(later.result()) in now
        hornbeamd.wait(lambda: not processes(hornbeamd, "models"), "the pool that was removed stays")
        assert 'why="no longer configured"' in hornbeamd.log


def test_a_pool_that_keeps_dying_is_tried_more_slowly_and_the_server_serves_on(folder: Path) -> None:
    (folder / "sys.toml").write_text(CONFIG.replace("workers = 2", "workers = 1\nrestart_intensity = 1"))
    with daemon(folder, ready=1) as hornbeamd:
        worker = hornbeamd.workers()
        (folder / "models.py").write_text("raise OSError('gone')")
        for pid in both(hornbeamd):
            os.kill(pid, signal.SIGKILL)
        hornbeamd.wait_log("pool models: processes die too often, pausing restarts", count=2)
        (folder / "models.py").write_text(MODELS)
        both(hornbeamd)
        assert hornbeamd.workers() == worker


def test_a_call_goes_to_whoever_is_free_and_fails_with_its_process(folder: Path) -> None:
    with daemon(folder) as hornbeamd, ThreadPoolExecutor() as clients:
        pids = set(both(hornbeamd))
        held = clients.submit(get, hornbeamd, "/models/hold?with=held")
        hornbeamd.wait((folder / "held").exists, "the call does not begin")
        (free,) = {get(hornbeamd, "/models/pid") for _ in range(10)}
        (busy,) = pids - {int(free)}
        os.kill(busy, signal.SIGKILL)
        assert held.result(timeout=5) == "HubGone"
        # The hub may have heard of it before the supervisor.
        hornbeamd.wait(lambda: busy not in processes(hornbeamd, "models"), "it is not seen to be dead")
        pids = set(both(hornbeamd))

        # Two are held now, so the third waits, until the first is done.
        held, waits = (clients.submit(get, hornbeamd, f"/models/hold?with={name}") for name in ("one", "two"))
        hornbeamd.wait(lambda: all((folder / name).exists() for name in ("one", "two")), "they do not begin")
        third = clients.submit(get, hornbeamd, "/models/pid")
        (folder / "one.over").touch()
        assert third.result(timeout=5) == held.result(timeout=5)
        assert not waits.done()
        (folder / "two.over").touch()
        assert {int(held.result()), int(waits.result(timeout=5))} == pids


def test_processes_that_are_worn_or_stuck_are_replaced(folder: Path) -> None:
    pools = """
        [hornbeam.pools.few]
        handler = "models:Model"
        max_requests = 5
        [hornbeam.pools.small]
        handler = "models:Model"
        max_memory = "150MB"
        [hornbeam.pools.quick]
        handler = "models:Model"
        timeout = "500ms"
    """
    (folder / "sys.toml").write_text(CONFIG.partition("[hornbeam.pools")[0] + pools)
    with daemon(folder) as hornbeamd:
        with Traffic(hornbeamd.port, path="/few/pid") as traffic:
            hornbeamd.wait(lambda: len(traffic.bodies) > 2, "it is not replaced after some calls")
        assert traffic.failures == []
        assert all(body.isdigit() for body in traffic.bodies), traffic.bodies

        (small,) = processes(hornbeamd, "small")
        assert get(hornbeamd, "/small/grow?with=200000000") == str(small)
        hornbeamd.wait(lambda: not alive(small), "the process that is too large stays")
        assert 'why="max_memory: it holds 2' in hornbeamd.log

        (stuck,) = processes(hornbeamd, "quick")
        assert get(hornbeamd, "/quick/hold?with=stuck") == "CallTimeout"
        hornbeamd.wait_log("after it was given up")
        hornbeamd.wait(lambda: get(hornbeamd, "/quick/pid") not in ("CallTimeout", str(stuck)), "it is not replaced")
        hornbeamd.wait_log("pool process writes its stacks pool=quick")
        assert 'models.py", line' in hornbeamd.log
        (folder / "stuck.over").touch()
        hornbeamd.wait(lambda: not alive(stuck), "it does not end")
