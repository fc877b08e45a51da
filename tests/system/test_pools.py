"""Pools of processes under the command: how they start, are replaced, reloaded with the workers, and end."""

from __future__ import annotations

import os
import re
import signal
from pathlib import Path

import pytest

from tests.support.daemon import Daemon, alive
from tests.support.traffic import Traffic

MODELS = """
class Model:
    pass


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
def folder(wsgi_app: Path) -> Path:
    """That of an application with a pool of two processes."""
    (wsgi_app / "models.py").write_text(MODELS)
    (wsgi_app / "sys.toml").write_text(CONFIG)
    return wsgi_app


def daemon(folder: Path, *, ready: int = 2) -> Daemon:
    return Daemon("-c", "sys.toml", folder=folder, bind=None, ready=ready)


def processes(hornbeamd: Daemon, pool: str) -> list[int]:
    """The process ids of the pool's processes that were ready at some time and live."""
    return [int(pid) for name, pid in _READY.findall(hornbeamd.log) if name == pool and alive(int(pid))]


def both(hornbeamd: Daemon) -> list[int]:
    """The two processes of the pool, as soon as there are two."""
    return hornbeamd.wait(lambda: pids if len(pids := processes(hornbeamd, "models")) == 2 else None, "not two of them")


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
    with daemon(folder) as hornbeamd, Traffic(hornbeamd.port) as traffic:
        before = both(hornbeamd) + hornbeamd.workers()

        # A pool that is new cannot boot; then the worker cannot, when the pools have proven themselves already.
        (folder / "sys.toml").write_text(CONFIG + HEAVY)
        (folder / "models.py").write_text(MODELS.replace("class Heavy(Model)", "class Model2(Model)"))
        hornbeamd.signal(signal.SIGHUP)
        hornbeamd.wait_log("reload failed, the old workers serve on")
        assert "has no attribute 'Heavy'" in hornbeamd.log
        (folder / "models.py").write_text(MODELS)
        application = (folder / "app.py").read_text()
        (folder / "app.py").write_text("import no_such_module")
        hornbeamd.signal(signal.SIGHUP)
        hornbeamd.wait_log("reload failed, the old workers serve on", count=2)
        proven = hornbeamd.log.partition("reload begins generation=3")[2].partition("worker started")[0]
        assert {name for name, _ in _READY.findall(proven)} == {"models", "heavy"}
        hornbeamd.wait(lambda: both(hornbeamd) + hornbeamd.workers() == before, "it did not go back")
        hornbeamd.wait(lambda: not processes(hornbeamd, "heavy"), "the new pool stays")

        # It succeeds, with one pool more; and again, with one less.
        (folder / "app.py").write_text(application)
        hornbeamd.signal(signal.SIGHUP)
        hornbeamd.wait_log("reload complete")
        hornbeamd.wait(lambda: not any(map(alive, before)), "old ones stay")
        both(hornbeamd)
        assert len(processes(hornbeamd, "heavy")) == 1
        (folder / "sys.toml").write_text(CONFIG.partition("[hornbeam.pools")[0] + HEAVY)
        hornbeamd.signal(signal.SIGHUP)
        hornbeamd.wait_log("reload complete", count=2)
        hornbeamd.wait(lambda: not processes(hornbeamd, "models"), "the pool that was removed stays")
        assert 'why="no longer configured"' in hornbeamd.log
    assert traffic.failures == []
    assert traffic.statuses == {200}


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
