"""As process 1 of a container, and as root that hands the application to somebody else."""

from __future__ import annotations

import os
import pwd
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from hornbeamd.hub.wire import Kind
from tests.support.applications import head
from tests.support.daemon import Daemon
from tests.support.hubclient import HubClient
from tests.support.tls import Authority, TlsClient

UNSHARE = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc"]


def can_unshare() -> bool:
    if shutil.which("unshare") is None:
        return False
    return subprocess.run([*UNSHARE, "true"], capture_output=True, check=False).returncode == 0


def get(url: str) -> str:
    with urllib.request.urlopen(url, timeout=10) as answer:
        return answer.read().decode()


@pytest.mark.skipif(not can_unshare(), reason="may not make a process namespace here")
class TestProcessOne:
    def test_it_collects_orphans_replaces_workers_and_ends_cleanly(self, wsgi_app: Path) -> None:
        arguments = ("app:application", "--workers", "2", "--log-level", "debug")
        with Daemon(*arguments, folder=wsgi_app, prefix=UNSHARE, ready=2) as hornbeamd:
            assert "serving pid=1 " in hornbeamd.log
            get(f"{hornbeamd.url}/orphan")
            hornbeamd.wait_log("orphan reaped")
            assert "worker ended" not in hornbeamd.log
            with pytest.raises(OSError):
                get(f"{hornbeamd.url}/die")
            hornbeamd.wait_log('end="exit 7"')
            hornbeamd.wait_log("worker ready", count=3)
            daemon = int(Path(f"/proc/{hornbeamd.pid}/task/{hornbeamd.pid}/children").read_text())
            os.kill(daemon, signal.SIGTERM)
            assert hornbeamd.wait_ended() == 0


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that other users can read, as pytest's are not."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        yield folder


def nobody_can_run_python() -> bool:
    if os.geteuid() != 0:
        return False
    try:
        subprocess.run([sys.executable, "-c", "import asyncio"], user="nobody", extra_groups=[], check=True)
    except (PermissionError, subprocess.CalledProcessError):
        return False
    return True


@pytest.mark.skipif(not nobody_can_run_python(), reason="not root, or others may not read this Python")
class TestUser:
    @pytest.mark.parametrize("preload", [(), ("--preload-app",)], ids=["plain", "preloaded"])
    def test_no_line_of_the_application_runs_as_root(
        self, open_folder: Path, wsgi_app: Path, preload: tuple[str, ...]
    ) -> None:
        nobody = pwd.getpwnam("nobody")
        text = (wsgi_app / "app.py").read_text()
        (open_folder / "app.py").write_text(f"{text}\nassert os.getuid() == {nobody.pw_uid}, os.getuid()\n")
        log = open_folder / "events.log"
        arguments = ("--user", "nobody", "--log-file", str(log), "--log-access", str(open_folder / "access.log"))
        with Daemon("app:application", *arguments, *preload, folder=open_folder) as hornbeamd:
            hornbeamd.log_path = log
            hornbeamd.wait(lambda: log.exists(), "no log")
            hornbeamd.wait_log("worker ready")
            assert get(f"{hornbeamd.url}/user") == f"{nobody.pw_uid}:{nobody.pw_gid}:{nobody.pw_dir}"
            assert log.stat().st_uid == nobody.pw_uid
            (place,) = re.findall(r"runtime directory made directory=(\S+)", hornbeamd.log)
            for path in (place, *(entry.path for entry in os.scandir(place))):
                assert os.stat(path).st_uid == nobody.pw_uid
            with HubClient(f"{place}/hub") as root:  # who may do everything anyway
                assert root.ask(Kind.PUBLISH, 1, "a", b"") == (Kind.COUNT, 1, 0)
            rotated = log.rename(open_folder / "events.log.1")
            hornbeamd.wait(lambda: rotated.read_text().count("worker ready") >= 4, "not all workers are ready")
            hornbeamd.signal(signal.SIGUSR1)
            hornbeamd.wait(lambda: log.exists(), "no new log")
            hornbeamd.signal(signal.SIGTTIN)
            hornbeamd.wait_log("worker ready")
            assert log.stat().st_uid == nobody.pw_uid

    def test_a_key_that_root_alone_may_read_serves_through_crashes_and_reloads(
        self, open_folder: Path, wsgi_app: Path
    ) -> None:
        (open_folder / "app.py").write_text((wsgi_app / "app.py").read_text())
        authority = Authority(open_folder)
        certfile, keyfile = authority.issue("localhost")
        Path(keyfile).chmod(0o600)
        arguments = ("--user", "nobody", "--ssl", "--certfile", certfile, "--keyfile", keyfile, "--workers", "1")
        with Daemon("app:application", *arguments, folder=open_folder, ready=1) as hornbeamd:
            for serving in range(2, 4):
                with TlsClient(("127.0.0.1", hornbeamd.port), authority.trusting()) as client:
                    assert client.request(head("/user")).status == 200
                if serving == 2:
                    os.kill(hornbeamd.workers()[0], signal.SIGKILL)
                else:
                    hornbeamd.signal(signal.SIGHUP)
                hornbeamd.wait_log("worker ready", count=serving)
            with TlsClient(("127.0.0.1", hornbeamd.port), authority.trusting()) as client:
                assert client.request(head("/user")).status == 200
