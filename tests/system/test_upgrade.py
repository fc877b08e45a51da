"""``hornbeamctl upgrade``: a new daemon in the place of the old, and whoever is connected does not notice."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import urllib.request
from functools import partial
from pathlib import Path

import pytest

from hornbeamd.supervisor import keeper
from tests.support.daemon import Daemon, alive
from tests.support.traffic import Traffic
from tests.support.waiting import wait_until
from tests.support.websocket import RawWebSocket

APP = """
import os, time
from hornbeam_erlang import state_incr

VERSION = "one"


async def application(scope, receive, send):
    if scope["type"] == "lifespan":
        raise NotImplementedError
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.send", "text": f"{os.getpid()}"})
        while (await receive())["type"] != "websocket.disconnect":
            pass
        return
    count = state_incr("requests")
    body = f"{VERSION} {os.getppid()} {count}".encode()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]})
    await send({"type": "http.response.body", "body": body})
"""
PROCESSES = ("daemon", "hub", "spawner", "worker", "worker")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "app.py").write_text(APP)
    return tmp_path


def daemon(folder: Path, *args: str, **more) -> Daemon:
    options = ("--worker-class", "asgi", "--workers", "2", "--pidfile", "pid", *args)
    return Daemon("app:application", *options, folder=folder, ready=2, **more)


def serving(folder: Path) -> int:
    """The process id of the daemon that the pidfile names."""
    return int((folder / "pid").read_text())


def family(pid: int) -> list[int]:
    """All descendants of a process."""
    try:
        children = [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except FileNotFoundError:
        return []
    return [each for child in children for each in (child, *family(child))]


def all_gone(pids: list[int]) -> bool:
    return not any(map(alive, pids))


def descriptors(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/fd"))


def websocket(port: int) -> RawWebSocket:
    client = RawWebSocket(("127.0.0.1", port), 15.0)
    client.open()
    client.read_message()
    return client


class TestUpgrade:
    def test_two_in_a_row_lose_nothing_and_leave_nothing_behind(self, folder: Path) -> None:
        unix = folder / "s"
        with daemon(folder, bind=f"127.0.0.1:0,unix:{unix}") as hornbeamd:
            first, port = hornbeamd.pid, hornbeamd.port
            with Traffic(port) as traffic:
                hornbeamd.wait(lambda: traffic.total > 20, "no answers")
                before, inode = descriptors(first), unix.stat().st_ino
                for number in (1, 2):
                    (folder / "app.py").write_text(APP.replace('"one"', f'"new {number}"') + "#" * number)
                    old, workers = serving(folder), hornbeamd.workers()
                    with websocket(port) as client:
                        answer = hornbeamd.ask("upgrade")
                        assert answer["pid"] == serving(folder) != old
                        assert client.read_close() == (1012, "service restart")
                    hornbeamd.wait(partial(all_gone, workers), "old workers stay")
                    # The first process stays, for who has started it; the others end when they have drained.
                    hornbeamd.wait(lambda: len(family(first)) == len(PROCESSES), lambda: family(first))
                    assert hornbeamd.ask("status")["pid"] == serving(folder)
                seen = traffic.total
                hornbeamd.wait(lambda: traffic.total > seen + 20, "no answers")
            assert traffic.failures == []
            assert traffic.statuses == {200}
            assert {body.rsplit(maxsplit=2)[0] for body in traffic.bodies} == {b"one", b"new 1", b"new 2"}
            counts = sorted(int(body.split()[-1]) for body in traffic.bodies)
            assert counts == list(range(1, traffic.total + 1))  # the state was one and the same all the time
            assert unix.stat().st_ino == inode
            assert descriptors(serving(folder)) <= before + 1  # the pipe to the keeper
            assert descriptors(first) <= 4

            hornbeamd.signal(signal.SIGHUP)  # whoever has started the first process knows no other
            hornbeamd.wait_log("reload complete")
            place = Path(hornbeamd.log.partition("runtime directory made directory=")[2].split()[0])
            assert place.exists()
            hornbeamd.signal(signal.SIGTERM)
            assert hornbeamd.wait_ended() == 0
        assert not place.exists()
        assert not unix.exists()
        assert not (folder / "pid").exists()

    def test_what_a_new_daemon_inherits_may_be_more_or_less_than_it_is_to_have(self, folder: Path) -> None:
        config, gone, new = folder / "sys.toml", folder / "gone", folder / "new"
        general = '[hornbeam]\napp = "app"\nworker_class = "asgi"\nworkers = 2\npidfile = "pid"\n'
        config.write_text(general + f'bind = ["127.0.0.1:0", "unix:{gone}"]\n')
        with Daemon("-c", str(config), folder=folder, bind=None, ready=2) as hornbeamd:
            port = hornbeamd.port
            config.write_text(general.replace('"pid"', '"other"') + f'bind = ["127.0.0.1:0", "unix:{new}"]\n')
            hornbeamd.ask("upgrade")
            assert hornbeamd.ask("status")["listening"] == [f"http://127.0.0.1:{port}", f"unix:{new}"]
            hornbeamd.wait(lambda: not gone.exists(), "the removed address stays")
            with socket.socket(socket.AF_UNIX) as client:
                client.connect(str(new))
            assert 'changed options need a restart options=["pidfile"]' in hornbeamd.log
            assert serving(folder) != hornbeamd.pid


class TestUpgradeThatFails:
    def test_the_old_daemon_serves_on_and_says_why(self, folder: Path) -> None:
        with daemon(folder) as hornbeamd, Traffic(hornbeamd.port, keep_alive=2, fresh=1) as traffic:
            hornbeamd.wait(lambda: traffic.total > 20, "no answers")
            processes = sorted(family(hornbeamd.pid))
            before = descriptors(hornbeamd.pid)

            (folder / "app.py").write_text("import no_such_module\n")
            told = hornbeamd.ctl("upgrade", code=1)
            assert "No module named 'no_such_module'" in told
            assert 'app.py", line 1' in told
            (folder / "app.py").write_text(APP)

            # What is imported before anything else can be said; the current folder comes first.
            (folder / "hornbeamd").mkdir()
            (folder / "hornbeamd" / "__init__.py").write_text("raise ImportError('sabotaged')\n")
            assert "ImportError: sabotaged" in hornbeamd.ctl("upgrade", code=1)
            (folder / "hornbeamd" / "__init__.py").unlink()
            (folder / "hornbeamd").rmdir()

            hornbeamd.wait(lambda: sorted(family(hornbeamd.pid)) == processes, lambda: family(hornbeamd.pid))
            assert descriptors(hornbeamd.pid) == before
            assert serving(folder) == hornbeamd.pid
            seen = traffic.total
            hornbeamd.wait(lambda: traffic.total > seen + 20, "no answers")
            assert hornbeamd.ask("upgrade")["pid"] == serving(folder) != hornbeamd.pid
        assert traffic.failures == []
        assert traffic.statuses == {200}

    def test_a_configuration_with_errors_is_told_in_its_words(self, folder: Path) -> None:
        config = folder / "sys.toml"
        config.write_text('[hornbeam]\napp = "app"\nworker_class = "asgi"\nworkers = 1\nbind = "127.0.0.1:0"\n')
        with Daemon("-c", str(config), folder=folder, bind=None, ready=1) as hornbeamd:
            config.write_text('[hornbeam]\napp = "app"\nworkerz = 1\n')
            assert "workerz" in hornbeamd.ctl("upgrade", code=1)
            assert urllib.request.urlopen(hornbeamd.url, timeout=5).status == 200

    def test_who_is_told_to_end_meanwhile_ends_and_takes_the_new_one_along(self, folder: Path) -> None:
        with daemon(folder) as hornbeamd:
            (folder / "app.py").write_text("open('loading', 'w').close()\nimport time\ntime.sleep(60)\n")
            pid = os.posix_spawn(
                sys.executable,
                [sys.executable, "-m", "hornbeamd.control.cli", "upgrade"],
                {**os.environ, "HORNBEAM_CONTROL_SOCKET": hornbeamd.control},
            )
            hornbeamd.wait((folder / "loading").exists, "the new daemon does not come")
            processes = family(hornbeamd.pid)
            hornbeamd.signal(signal.SIGTERM)
            assert hornbeamd.wait_ended(20) == 0
            os.waitpid(pid, 0)
            wait_until(partial(all_gone, processes), explain=lambda: list(filter(alive, processes)))


# What systemd does between fork and exec.
AS_SERVICE = """
import os, sys
os.environ["SYSTEMD_EXEC_PID"] = str(os.getpid())
os.execv(sys.argv[1], sys.argv[1:])
"""


def test_systemd_is_told_of_the_new_main_process_and_the_old_one_ends(folder: Path) -> None:
    address = str(folder / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(address)
        manager.settimeout(10)

        def hear(*wanted: str) -> None:
            """Read on until all of *wanted* have come, in this order."""
            for each in wanted:
                while each not in manager.recv(4096).decode().splitlines():
                    pass

        env = {"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "200000"}
        with daemon(folder, env=env, prefix=[sys.executable, "-c", AS_SERVICE]) as hornbeamd:
            hear("READY=1")
            (folder / "app.py").write_text(APP + "#\n")
            new = hornbeamd.ask("upgrade")["pid"]
            try:
                hear(f"MAINPID={new}", "READY=1", "WATCHDOG=1")
                assert hornbeamd.wait_ended() == 0
                assert alive(new)
                assert urllib.request.urlopen(hornbeamd.url, timeout=5).status == 200
                newer = hornbeamd.ask("upgrade")["pid"]
                hear(f"MAINPID={newer}", "READY=1")
                wait_until(lambda: not alive(new))
                new = newer
            finally:
                os.kill(new, signal.SIGTERM)
            hear("STOPPING=1")
            wait_until(lambda: not alive(new))


KEPT = """\
import os, signal, sys, time
from pathlib import Path
from hornbeamd.supervisor import keeper, reaper

def wait_for(name):
    while not os.path.exists(name):
        time.sleep(0.01)

def announce(pid, name):
    os.write(writing, b"%d\\n" % pid)
    Path(name).touch()

reaper.become_subreaper()
reading, writing = os.pipe()
keeper.hold_signals()
if not (second := os.fork()):
    signal.sigwait(keeper.FORWARDED)
    reaper.become_subreaper()
    if not (third := os.fork()):
        wait_for("third announced")
        reaper.become_subreaper()
        if not (fourth := os.fork()):
            number = signal.sigwait(keeper.FORWARDED)
            Path("heard").write_text(signal.Signals(number).name)
            os.kill(os.getpid(), signal.SIGKILL)
        announce(fourth, "fourth announced")
        wait_for("third ends")
        os._exit(0)
    announce(third, "third announced")
    wait_for("second ends")
    os._exit(0)
sys.exit(keeper.become(keeper.Heirs(second, reading)))
"""


@pytest.mark.parametrize("order", [("second", "third"), ("third", "second")], ids="-".join)
def test_a_keeper_passes_on_how_the_last_daemon_has_ended(tmp_path: Path, order: tuple[str, str]) -> None:
    """Three daemons behind the first, played by processes of few lines; those between drain for longer or shorter."""
    (tmp_path / "first.py").write_text(KEPT)
    env = {**os.environ, "PYTHONPATH": os.fspath(Path(__file__).parents[2])}
    process = subprocess.Popen([sys.executable, "first.py"], cwd=tmp_path, env=env)
    proc = Path(f"/proc/{process.pid}")
    wait_until(lambda: b"the keeper of hornbeamd" in (proc / "cmdline").read_bytes())
    assert len((proc / "cmdline").read_bytes()) < 200
    process.send_signal(signal.SIGHUP)  # once it is passed on, it keeps
    wait_until((tmp_path / "fourth announced").exists)
    second = kept = (proc / "task" / proc.name / "children").read_text()
    for name in order:
        (tmp_path / f"{name} ends").touch()
        if order[0] == "second" or name == "second":  # the third is the second's child until that ends
            before = kept
            kept = wait_until(partial(_other, proc, before))
    assert kept != second
    process.send_signal(signal.SIGUSR1)
    assert process.wait(10) == 128 + signal.SIGKILL
    assert (tmp_path / "heard").read_text() == "SIGUSR1"


REPLACED = """\
import os, subprocess, sys
import keeper

os.unlink("keeper.py")
sys.executable = sys.argv[1]
keeper.hold_signals()
heir = subprocess.Popen(["sh", "-c", "exit 7"])
sys.exit(keeper.become(keeper.Heirs(heir.pid, os.pipe()[0])))
"""


@pytest.mark.parametrize("interpreter", [sys.executable, "/no/such/interpreter", shutil.which("false")])
def test_a_keeper_stays_whatever_an_upgrade_has_replaced(tmp_path: Path, interpreter: str) -> None:
    shutil.copy(keeper.__file__, tmp_path)
    (tmp_path / "first.py").write_text(REPLACED)
    ended = subprocess.run([sys.executable, "first.py", interpreter], cwd=tmp_path, timeout=10, check=False)
    assert ended.returncode == 7


def _other(proc: Path, before: str) -> str:
    """The children of a process when there are some, and not those *before*."""
    children = (proc / "task" / proc.name / "children").read_text()
    return children if children != before else ""
