"""What systemd is told, over a notify socket of our own in its place."""

from __future__ import annotations

import os
import re
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.support.daemon import Daemon


class Manager:
    """The other end of NOTIFY_SOCKET; remembers every message as a dictionary."""

    def __init__(self, address: str) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(address.replace("@", "\0"))
        self.socket.setblocking(False)
        self.messages: list[dict[str, str]] = []

    def heard(self, **expected: str) -> bool:
        """Whether a message with these assignments has come."""
        while True:
            try:
                data = self.socket.recv(4096)
            except BlockingIOError:
                break
            self.messages.append(dict(line.split("=", 1) for line in data.decode().splitlines()))
        return any(expected.items() <= message.items() for message in self.messages)

    @property
    def status(self) -> str:
        """What ``systemctl status`` would show."""
        return next(message["STATUS"] for message in reversed(self.messages) if "STATUS" in message)


@pytest.fixture(params=["path", "abstract"])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return str(tmp_path / "notify") if request.param == "path" else f"@hornbeamd-test-{os.getpid()}"


@pytest.fixture
def manager(address: str) -> Iterator[Manager]:
    manager = Manager(address)
    yield manager
    manager.socket.close()


def test_ready_reload_and_stop(wsgi_app: Path, address: str, manager: Manager) -> None:
    environment = {"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "200000"}
    with Daemon("app:application", "--workers", "1", folder=wsgi_app, env=environment) as hornbeamd:
        main = {"READY": "1", "MAINPID": str(hornbeamd.pid)}
        hornbeamd.wait(lambda: manager.heard(**main), "not ready")
        assert manager.heard(READY="1", STATUS="1 workers, generation 1")
        (place,) = re.findall(r"runtime directory made directory=(\S+)", hornbeamd.log)
        assert manager.heard(READY="1", X_HORNBEAM_RUNTIME=place)
        hornbeamd.wait(lambda: manager.heard(WATCHDOG="1"), "no watchdog")

        manager.messages.clear()
        with (wsgi_app / "app.py").open("a") as file:
            file.write("# changed\n")
        hornbeamd.signal(signal.SIGHUP)
        hornbeamd.wait(lambda: manager.heard(**main), "not ready again")
        told = [message for message in manager.messages if "WATCHDOG" not in message]
        assert told[0]["RELOADING"] == "1"
        assert int(told[0]["MONOTONIC_USEC"]) > 0
        assert told[-1]["STATUS"] == "1 workers, generation 2"

        hornbeamd.signal(signal.SIGTERM)
        hornbeamd.wait(lambda: manager.heard(STOPPING="1"), "not stopping")
        assert hornbeamd.wait_ended() == 0


def test_a_failed_reload_stays_visible(wsgi_app: Path, address: str, manager: Manager) -> None:
    with Daemon("app:application", folder=wsgi_app, env={"NOTIFY_SOCKET": address}) as hornbeamd:
        hornbeamd.wait(lambda: manager.heard(READY="1"), "not ready")
        manager.messages.clear()
        (wsgi_app / "app.py").write_text("import no_such_module\n")
        hornbeamd.signal(signal.SIGHUP)
        hornbeamd.wait(lambda: manager.heard(READY="1"), "not ready again")
        assert "last reload failed" in manager.messages[-1]["STATUS"]


@pytest.mark.parametrize("address", ["path"], indirect=True)
def test_who_waits_for_a_reload_hears_of_its_end_also_when_nothing_serves(
    wsgi_app: Path, address: str, manager: Manager
) -> None:
    with Daemon("app:application", "--workers", "1", folder=wsgi_app, env={"NOTIFY_SOCKET": address}) as hornbeamd:
        hornbeamd.wait(lambda: manager.heard(READY="1"), "not ready")
        (wsgi_app / "app.py").write_text("import time\ntime.sleep(60)\n")
        os.kill(hornbeamd.workers()[0], signal.SIGKILL)
        hornbeamd.wait_log("worker started", count=2)
        manager.messages.clear()
        hornbeamd.signal(signal.SIGHUP)
        hornbeamd.wait(lambda: manager.heard(READY="1"), "it does not say that the reload is over")
        assert ["RELOADING" in message for message in manager.messages] == [True, False]


# What systemd does between fork and exec, with what it has kept for the service.
GIVE_BACK = """
import os, sys
names, number, *rest = sys.argv[1:]
fds, command = rest[:int(number)], rest[int(number):]
for at, fd in enumerate(fds):
    os.dup2(int(fd), 3 + at)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS=number, LISTEN_FDNAMES=names)
os.execv(command[0], command)
"""


def test_sockets_outlive_a_daemon_that_is_killed(wsgi_app: Path, tmp_path: Path) -> None:
    config, path, unix = wsgi_app / "sys.toml", tmp_path / "notify", tmp_path / "s"
    general = '[hornbeam]\napp = "app"\nworkers = 1\n'
    config.write_text(general + f'bind = ["127.0.0.1:0", "unix:{unix}"]\n')
    environment = {"NOTIFY_SOCKET": str(path), "FDSTORE": "8"}
    kept: dict[str, int] = {}
    with ExitStack() as stack:
        manager = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM))
        manager.bind(str(path))
        manager.settimeout(10)

        def hear(wanted: str) -> dict[str, str]:
            """Keep what is to be kept, until a message holds *wanted*."""
            while True:
                data, fds, _, _ = socket.recv_fds(manager, 4096, 8)
                message = dict(line.split("=", 1) for line in data.decode().splitlines())
                if "FDSTORE" in message:
                    (kept[message["FDNAME"]],) = fds
                    stack.callback(os.close, fds[0])
                if wanted in message:
                    return message

        with Daemon("-c", str(config), folder=wsgi_app, bind=None, env=environment, ready=1) as first:
            port = first.port
            hear("FDSTORE")
            hear("FDSTORE")
            first.signal(signal.SIGKILL)
            first.wait_ended()
        given = [":".join(kept), str(len(kept)), *map(str, kept.values())]
        again = Daemon(
            "-c",
            str(config),
            folder=wsgi_app,
            bind=None,
            env=environment,
            prefix=[sys.executable, "-c", GIVE_BACK, *given],
            pass_fds=list(kept.values()),
            ready=1,
        )
        with socket.create_connection(("127.0.0.1", port), timeout=10) as client, again as second:
            client.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            assert client.recv(4096).startswith(b"HTTP/1.1 200")
            assert set(second.urls) == {f"http://127.0.0.1:{port}", f"unix:{unix}"}
            config.write_text(general + 'bind = "127.0.0.1:0"\n')
            second.signal(signal.SIGHUP)
            assert hear("FDSTOREREMOVE")["FDNAME"] in kept
            assert not unix.exists()
            second.signal(signal.SIGTERM)
            assert second.wait_ended() == 0
        # Whoever comes now waits for the next start.
        socket.create_connection(("127.0.0.1", port), timeout=5).close()


def test_nothing_is_said_before_the_first_worker_serves(wsgi_app: Path, address: str, manager: Manager) -> None:
    (wsgi_app / "app.py").write_text("raise SystemExit(1)\n")
    with Daemon("app:application", folder=wsgi_app, env={"NOTIFY_SOCKET": address}) as hornbeamd:
        assert hornbeamd.wait_ended() == 1
        assert not manager.heard(READY="1")


def test_how_many_processes_of_each_pool_serve_is_told(wsgi_app: Path, address: str, manager: Manager) -> None:
    (wsgi_app / "models.py").write_text("def answer(action):\n    return action\n")
    pools = '{"models": {"handler": "models:answer", "processes": 2}}'
    environment = {"NOTIFY_SOCKET": address, "HORNBEAM_POOLS": pools}
    with Daemon("app:application", "--workers", "1", folder=wsgi_app, env=environment) as hornbeamd:
        all_serve = {"STATUS": "1 workers, pool models 2/2, generation 1"}
        hornbeamd.wait(lambda: manager.heard(**all_serve), "not two processes")
        (wsgi_app / "models.py").write_text("import no_such_module\n")
        manager.messages.clear()  # at the start, too, there was one before there were two
        pid = int(hornbeamd.log.partition("pool process ready")[2].partition("pid=")[2].split()[0])
        os.kill(pid, signal.SIGKILL)
        hornbeamd.wait(lambda: manager.heard(STATUS="1 workers, pool models 1/2, generation 1"), "it counts the dead")
        (wsgi_app / "models.py").write_text("def answer(action):\n    return action\n")
        hornbeamd.wait(lambda: manager.heard() and manager.status == all_serve["STATUS"], "not two processes again")
