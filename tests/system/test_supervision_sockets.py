"""Where the daemon listens: Unix sockets, inherited descriptors, all interfaces, and what it refuses."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import stat
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.daemon import Daemon
from tests.support.traffic import Traffic
from tests.support.waiting import wait_until


def get_unix(path: Path) -> bytes:
    connection = http.client.HTTPConnection("localhost")
    connection.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.sock.connect(os.fspath(path))
        connection.request("GET", "/", headers={"Connection": "close"})
        with connection.getresponse() as answer:
            return answer.read()
    finally:
        connection.close()


def get(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=10) as answer:
        return answer.read()


def daemon(folder: Path, *args: str, **more) -> Daemon:
    return Daemon("app:application", "--workers", "1", *args, folder=folder, **more)


class TestUnix:
    def test_mode_answers_reload_and_removal(self, wsgi_app: Path) -> None:
        path = wsgi_app / "s"
        with daemon(wsgi_app, "--unix-socket-mode", "0600", bind=f"unix:{path}", ready=1) as hornbeamd:
            assert stat.S_IMODE(path.lstat().st_mode) == 0o600
            assert stat.S_ISSOCK(path.lstat().st_mode)
            inode = path.lstat().st_ino
            assert get_unix(path).startswith(b"one ")
            hornbeamd.signal(signal.SIGHUP)
            hornbeamd.wait_log("reload complete")
            assert get_unix(path).startswith(b"one ")
            assert path.lstat().st_ino == inode
            hornbeamd.signal(signal.SIGTERM)
            assert hornbeamd.wait_ended() == 0
        assert not path.exists()

    def test_what_a_killed_server_left_is_replaced(self, wsgi_app: Path) -> None:
        path = wsgi_app / "s"
        with daemon(wsgi_app, bind=f"unix:{path}", ready=1) as first:
            first.signal(signal.SIGKILL)
            first.wait_ended()
        assert path.exists()
        with daemon(wsgi_app, bind=f"unix:{path}", ready=1):
            assert get_unix(path).startswith(b"one ")

    def test_a_live_server_is_not_robbed(self, wsgi_app: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
        path = wsgi_app / "s"
        with daemon(wsgi_app, bind=f"unix:{path}", ready=1):
            with daemon(tmp_path_factory.mktemp("second"), bind=f"unix:{path}") as second:
                assert second.wait_ended() == 1
                assert "another server listens there" in second.log
            assert get_unix(path).startswith(b"one ")

    def test_a_socket_that_another_server_put_in_its_place_is_left_alone(self, wsgi_app: Path) -> None:
        path = wsgi_app / "s"
        with daemon(wsgi_app, bind=f"unix:{path}", ready=1) as hornbeamd:
            path.unlink()
            with socket.socket(socket.AF_UNIX) as other:
                other.bind(os.fspath(path))
                hornbeamd.signal(signal.SIGTERM)
                assert hornbeamd.wait_ended() == 0
        assert path.exists()


@pytest.fixture
def listening() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        yield sock


# What systemd does between fork and exec.
ACTIVATE = """
import os, sys
fd, *command = sys.argv[1:]
os.dup2(int(fd), 3)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS="1", LISTEN_FDNAMES="web")
os.execv(command[0], command)
"""


class TestInherited:
    def test_systemds_sockets_take_the_place_of_bind_and_survive_the_daemon(
        self, wsgi_app: Path, listening: socket.socket
    ) -> None:
        fd, port = listening.fileno(), listening.getsockname()[1]
        prefix = [sys.executable, "-c", ACTIVATE, str(fd)]
        with daemon(wsgi_app, prefix=prefix, pass_fds=[fd], ready=1) as hornbeamd:
            assert hornbeamd.urls == [f"http://127.0.0.1:{port}"]
            assert "name=web" in hornbeamd.log
            assert get(hornbeamd.url).startswith(b"one ")
            hornbeamd.signal(signal.SIGTERM)
            assert hornbeamd.wait_ended() == 0
        # It belongs to systemd: whoever connects now waits for the next daemon, and is not refused.
        socket.create_connection(("127.0.0.1", port), timeout=5).close()

    def test_a_descriptor_named_in_bind(self, wsgi_app: Path, listening: socket.socket) -> None:
        fd = listening.fileno()
        with daemon(wsgi_app, bind=f"fd://{fd}", pass_fds=[fd], ready=1) as hornbeamd:
            assert hornbeamd.urls == [f"http://127.0.0.1:{listening.getsockname()[1]}"]
            assert get(hornbeamd.url).startswith(b"one ")

    def test_variables_meant_for_another_process_are_ignored(self, wsgi_app: Path) -> None:
        with daemon(wsgi_app, env={"LISTEN_PID": "1", "LISTEN_FDS": "1"}, ready=1) as hornbeamd:
            assert get(hornbeamd.url).startswith(b"one ")

    def test_a_descriptor_that_is_no_socket_is_refused(self, wsgi_app: Path) -> None:
        with daemon(wsgi_app, bind="fd://0") as hornbeamd:
            assert hornbeamd.wait_ended() == 1
            assert "fd://0 is no socket" in hornbeamd.log


class TestTcp:
    def test_without_a_host_all_interfaces_are_served_and_the_log_says_so(self, wsgi_app: Path) -> None:
        with daemon(wsgi_app, bind=":0", ready=1) as hornbeamd:
            assert "listening on all interfaces" in hornbeamd.log
            ports = {url.rpartition(":")[2] for url in hornbeamd.urls}
            assert len(ports) == 1
            assert get(f"http://127.0.0.1:{ports.pop()}").startswith(b"one ")
            for url in hornbeamd.urls:
                if "[::]" in url:
                    assert get(url.replace("[::]", "[::1]")).startswith(b"one ")

    def test_a_host_that_does_not_resolve_is_an_error(self, wsgi_app: Path) -> None:
        with daemon(wsgi_app, bind="no-such-host.invalid:0") as hornbeamd:
            assert hornbeamd.wait_ended() == 1
            assert "no-such-host.invalid:0: the host does not resolve" in hornbeamd.log
            assert not hornbeamd.urls

    def test_several_addresses(self, wsgi_app: Path) -> None:
        path = wsgi_app / "s"
        with daemon(wsgi_app, "--bind", f"unix:{path}", ready=1) as hornbeamd:
            assert len(hornbeamd.urls) == 2
            tcp = next(url for url in hornbeamd.urls if url.startswith("http"))
            assert get(tcp).startswith(b"one ")
            assert get_unix(path).startswith(b"one ")

    def test_one_address_that_fails_leaves_nothing_of_the_others(
        self, wsgi_app: Path, listening: socket.socket
    ) -> None:
        path = wsgi_app / "s"
        taken = f"127.0.0.1:{listening.getsockname()[1]}"
        with daemon(wsgi_app, "--bind", f"unix:{path}", bind=taken) as hornbeamd:
            assert hornbeamd.wait_ended() == 1
        assert not path.exists()
        wait_until(lambda: not list(wsgi_app.glob("s.*")))


class TestReload:
    def test_addresses_come_and_go_under_load_at_the_one_that_stays(self, wsgi_app: Path) -> None:
        config, first, second = wsgi_app / "sys.toml", wsgi_app / "first", wsgi_app / "second"

        def bind(*addresses: object) -> None:
            named = ", ".join(f'"{address}"' for address in ("127.0.0.1:0", *addresses))
            config.write_text(f'[hornbeam]\napp = "app"\nworkers = 2\nbind = [{named}]\n')

        bind(f"unix:{first}")
        with Daemon("-c", str(config), folder=wsgi_app, ready=2, bind=None) as hornbeamd:
            with Traffic(hornbeamd.port) as traffic:
                hornbeamd.wait(lambda: traffic.total > 20, "no answers")
                bind("127.0.0.1:0", f"unix:{second}")
                hornbeamd.signal(signal.SIGHUP)
                hornbeamd.wait_log("reload complete")
                assert not first.exists()
                assert get_unix(second).startswith(b"one ")
                with socket.create_server(("127.0.0.1", 0)) as other:
                    bind(f"127.0.0.1:{other.getsockname()[1]}")
                    hornbeamd.signal(signal.SIGHUP)
                    hornbeamd.wait_log("reload failed")
                    assert "Address already in use" in hornbeamd.log
                assert get_unix(second).startswith(b"one ")
                seen = traffic.total
                hornbeamd.wait(lambda: traffic.total > seen + 20, "no answers")
            assert traffic.failures == []
            assert traffic.statuses == {200}
            assert len(hornbeamd.urls) == 3  # each was opened once


class TestPidfile:
    def test_it_names_the_daemon_keeps_out_a_second_one_and_goes(
        self, wsgi_app: Path, tmp_path_factory: pytest.TempPathFactory
    ) -> None:
        path = wsgi_app / "pid"
        path.write_text("1\n")  # of a daemon long gone, whose number is another's by now
        with daemon(wsgi_app, "--pidfile", str(path), ready=1) as first:
            assert path.read_text() == f"{first.pid}\n"
            with daemon(tmp_path_factory.mktemp("second"), "--pidfile", str(path)) as second:
                assert second.wait_ended() == 1
                assert f"already running as process {first.pid}" in second.log
            assert path.read_text() == f"{first.pid}\n"
            first.signal(signal.SIGTERM)
            assert first.wait_ended() == 0
        assert not path.exists()
