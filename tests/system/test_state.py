"""A state on disk under the command: it outlives the daemon, however that ends, and belongs to one daemon."""

import os
import signal
import urllib.request

from tests.support.daemon import Daemon

APP = """
import os
from hornbeam_erlang import state_get, state_incr, state_set


def application(environ, start_response):
    value = {1: (os.getpid(),)}
    state_set("value", value)
    assert state_get("value") == value
    body = str(state_incr("visits")).encode()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]
"""


def visit(daemon):
    with urllib.request.urlopen(daemon.url, timeout=10) as answer:
        return int(answer.read())


def test_a_state_on_disk_outlives_the_daemon(tmp_path):
    (tmp_path / "app.py").write_text(APP)
    folder = tmp_path / "kept"
    arguments = ["app:application", "--workers", "2", "--state-path", str(folder), "--state-sync-interval", "100ms"]
    with Daemon(*arguments, folder=tmp_path, ready=2) as daemon:
        assert visit(daemon) == 1
        daemon.wait(lambda: os.path.getsize(folder / "synced") > 8192, "nothing was synced")
        (tmp_path / "second").mkdir()
        with Daemon(*arguments, folder=tmp_path / "second") as second:
            assert second.wait_ended() == 1
            assert "another daemon has its state in" in second.log
        os.killpg(daemon.pid, signal.SIGKILL)
        daemon.wait_ended()
    with Daemon(*arguments, folder=tmp_path, ready=2) as daemon:
        assert [visit(daemon), visit(daemon)] == [2, 3]
        daemon.signal(signal.SIGTERM)
        assert daemon.wait_ended() == 0
    assert sorted(os.listdir(folder)) == ["data.mdb", "lock.mdb", "synced"]
    assert all((folder / name).stat().st_mode & 0o077 == 0 for name in os.listdir(folder))
