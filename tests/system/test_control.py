"""``hornbeamctl`` and the daemon."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.daemon import Daemon
from tests.support.waiting import wait_until

APP = """
import time
from pathlib import Path

from hornbeam_erlang import execute, state_incr, state_set, subscribe

VERSION = "one"
while Path("slow").exists():
    time.sleep(0.01)


def application(environ, start_response):
    if environ["PATH_INFO"] == "/listen":
        with subscribe("room:*"):
            Path("listens").touch()
            while not Path("enough").exists():
                time.sleep(0.01)
    state_set("pair", (1, 2))
    body = f"{VERSION} {state_incr('visits')} {execute('models', 'double', 21)}".encode()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]
"""
MODELS = """
class Model:
    def double(self, number):
        return 2 * number
"""
CONFIG = """
[hornbeam]
app = "app"
workers = 2

[hornbeam.pools.models]
handler = "models:Model"
"""
FIXED = "[hornbeam.hub]\nmax_waiting_calls = 7\n"
"""What only a restart can change."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "app.py").write_text(APP)
    (tmp_path / "models.py").write_text(MODELS)
    (tmp_path / "sys.toml").write_text(CONFIG)
    return tmp_path


@pytest.fixture
def daemon(folder: Path) -> Iterator[Daemon]:
    with Daemon("-c", "sys.toml", folder=folder, ready=2) as daemon:
        daemon.wait_ready()
        yield daemon


def get(daemon: Daemon, path: str = "/") -> str:
    with urllib.request.urlopen(daemon.url + path, timeout=20) as answer:
        return answer.read().decode()


def test_a_server_is_seen_and_steered(daemon: Daemon, folder: Path) -> None:
    assert get(daemon) == "one 1 42"

    assert daemon.ctl("wait", "ready") == f"ready (process {daemon.pid})\n"
    status = daemon.ask("status")
    assert (status["state"], status["pid"], status["generation"]) == ("serving", daemon.pid, 1)
    assert (status["config"], status["listening"]) == (str(folder / "sys.toml"), [daemon.url])
    assert status["workers"] == {"wanted": 2, "serving": 2, "booting": 0, "draining": 0}
    assert [pool["name"] for pool in status["pools"]] == ["models"]
    assert "2 of 2 serving" in daemon.ctl("status")

    processes = {each["id"]: each for each in daemon.ask("workers")["processes"]}
    assert set(processes) == {"1", "2", "models/1"}
    assert {processes["1"]["pid"], processes["2"]["pid"]} == set(daemon.workers())
    assert processes["1"]["requests"] + processes["2"]["requests"] == 1
    assert all(each["memory"] > 1_000_000 and each["cpu_s"] >= 0 for each in processes.values())

    assert daemon.ctl("scale", "+1") == "3 workers wanted, 2 before\n"
    before = daemon.wait_workers(3)
    assert "there can be 1 to" in daemon.ctl("scale", "0", code=64)
    recycled = daemon.ask("recycle", "1")["pid"]
    daemon.wait(lambda: recycled not in daemon.workers() and len(daemon.workers()) == 3, daemon.workers)
    assert len(set(before) & set(daemon.workers())) == 2
    assert "there is no process 77" in daemon.ctl("recycle", "77", code=1)

    top = daemon.ctl("top", "--once")
    assert "\x1b" not in top
    assert "requests/s" in top.splitlines()[1]
    assert top.count(" serving ") >= 4

    assert daemon.ask("reload")["road"] == "unchanged"
    daemon.wait_workers(2)

    pool = daemon.ask("pools")["pools"][0]
    assert (pool["handler"], pool["serving"], pool["in_hand"], pool["waiting"]) == ("models:Model", 1, 0, 0)
    assert daemon.ctl("pools").splitlines()[1].split() == ["models", "1/1", "0", "0", "0", "0", "models:Model"]

    assert json.loads(daemon.ctl("version", "--json"))["daemon"]["pid"] == daemon.pid
    assert daemon.ctl("stop") == f"process {daemon.pid} ends\n"
    assert not daemon.running
    assert daemon.wait_ended() == 0
    assert not os.path.exists(daemon.control)
    assert "is it running" in daemon.ctl("status", code=69)


def test_the_state_is_read_and_written(daemon: Daemon) -> None:
    get(daemon)
    assert daemon.ctl("state", "get", "visits") == "1\n"
    assert daemon.ctl("state", "get", "pair") == "(1, 2)\n"
    assert daemon.ctl("state", "set", "visits", "41") == ""
    assert get(daemon) == "one 42 42"
    assert daemon.ctl("state", "set", "text", "\x1b[31mred\nand more") == ""
    assert daemon.ctl("state", "get", "text") == '"\\u001b[31mred\\nand more"\n'
    assert daemon.ctl("state", "keys") == "pair\ntext\nvisits\n"
    assert daemon.ctl("state", "keys", "v") == "visits\n"
    assert daemon.ask("state", "size")["entries"] == 3
    assert daemon.ctl("state", "delete", "text") == ""
    assert daemon.ctl("state", "delete", "text", code=1) == "there is no such key\n"
    assert daemon.ask("state", "get", "text", code=1)["found"] is False


def test_threads_tasks_and_topics_are_shown(daemon: Daemon, folder: Path) -> None:
    listener = subprocess.Popen(
        [sys.executable, "-c", f"import urllib.request; urllib.request.urlopen('{daemon.url}/listen')"]
    )
    try:
        daemon.wait((folder / "listens").exists, "nobody listens")
        (topic,) = daemon.ask("topics")["topics"]
        assert topic == {"topic": "room:*", "subscribers": 1, "missed": 0}
        assert "room:*" in daemon.ctl("topics")
        stacks = "".join(daemon.ctl("stacks", name) for name in ("1", "2", "models/1"))
        assert "time.sleep(0.01)" in stacks
        assert "task Task-1\n" in stacks
    finally:
        (folder / "enough").touch()
        listener.wait(20)


def test_of_a_blocked_event_loop_the_threads_are_shown(asgi_app: Path) -> None:
    flags = ["--worker-class", "asgi", "--workers", "1", "--heartbeat-timeout", "60s"]
    with Daemon("app:application", *flags, folder=asgi_app, ready=1) as daemon:
        with socket.create_connection(("127.0.0.1", daemon.port)) as sock:
            sock.sendall(b"GET /block HTTP/1.1\r\nHost: a\r\n\r\n")
            daemon.wait(lambda: daemon.ask("status")["in_flight"] == 1, "the request is not there")
            answer = daemon.ask("stacks", "1")
        assert answer["blocked"] is True
        assert "app.py" in answer["text"]
        daemon.signal(signal.SIGQUIT)
        daemon.wait_ended()


def test_what_a_reload_would_change_is_shown_before_it_is_done(daemon: Daemon, folder: Path) -> None:
    assert daemon.ctl("config", "diff") == "nothing differs\n"
    (option,) = (option for option in daemon.ask("config")["options"] if option["key"] == "workers")
    source = f"file {folder / 'sys.toml'}, line 4"
    assert option == {"key": "workers", "value": 2, "default": 4, "source": source, "apply": "live"}
    assert source in daemon.ctl("config")

    (folder / "sys.toml").write_text(CONFIG.replace("workers = 2", 'workers = 1\ntimeout = "9s"') + FIXED)
    changes = daemon.ask("config", "diff")["changes"]
    assert [(each["key"], each["from"], each["to"], each["apply"]) for each in changes] == [
        ("workers", 2, 1, "live"),
        ("timeout", 30000, 9000, "workers"),
        ("hub.max_waiting_calls", 10000, 7, "restart"),
    ]
    answer = daemon.ask("reload")
    assert answer["road"] == "replaced"
    assert answer["changed"] == {"live": ["workers"], "workers": ["timeout"], "restart": ["hub.max_waiting_calls"]}
    assert [each["key"] for each in daemon.ask("config", "diff")["changes"]] == ["hub.max_waiting_calls"]
    assert daemon.ask("status")["workers"]["wanted"] == 1

    (folder / "sys.toml").write_text(CONFIG.replace("workers", "worker"))
    assert 'did you mean "workers"' in daemon.ctl("config", "diff", code=1)


def test_the_level_of_the_log_holds_for_processes_to_come_and_until_the_next_reload(daemon: Daemon) -> None:
    assert daemon.ctl("log", "level") == "info\n"
    assert daemon.ctl("log", "level", "error") == "error\n"
    quiet = len(daemon.log)
    daemon.ctl("scale", "3")
    daemon.wait(lambda: daemon.ask("status")["workers"]["serving"] == 3, daemon.log)
    assert daemon.log[quiet:] == ""
    assert [each["key"] for each in daemon.ask("config", "diff")["changes"]] == ["log.level"]
    assert daemon.ask("reload")["road"] in ("swapped", "unchanged", "replaced")
    assert daemon.ctl("log", "level") == "info\n"
    assert daemon.ctl("config", "diff") == "nothing differs\n"


def test_a_reload_that_fails_shows_why_and_stays_visible_until_one_succeeds(daemon: Daemon, folder: Path) -> None:
    (folder / "app.py").write_text(APP.replace('"one"', "1 / 0"))
    told = daemon.ctl("reload", code=1)
    assert "ZeroDivisionError: division by zero" in told
    assert 'app.py", line' in told
    assert told.endswith("nothing has changed: generation 1 goes on\n")
    assert get(daemon).startswith("one ")
    told = daemon.ctl("restart", code=1)
    for shown in (told, daemon.ctl("status")):
        assert "ZeroDivisionError: division by zero" in shown
        assert 'app.py", line' in shown
    assert "FAILED" in daemon.ctl("status")

    (folder / "app.py").write_text(APP.replace('"one"', '"two"'))
    told = daemon.ctl("reload")
    assert told.splitlines()[0].startswith("worker ")
    assert " serves" in told
    assert get(daemon).startswith("two ")
    assert "FAILED" not in daemon.ctl("status")


def test_a_reload_ends_as_it_would_have_when_its_client_is_killed(daemon: Daemon, folder: Path) -> None:
    (folder / "slow").touch()
    (folder / "app.py").write_text(APP.replace('"one"', '"two"'))
    command = [sys.executable, "-m", "hornbeamd.control.cli", "--socket", daemon.control, "reload"]
    client = subprocess.Popen(command, cwd=Path(__file__).parents[2])
    daemon.wait(lambda: daemon.ask("status")["state"] == "reloading", "no reload begins")
    client.kill()
    client.wait()
    assert get(daemon).startswith("one ")
    (folder / "slow").unlink()
    wait_until(lambda: get(daemon).startswith("two "), explain=daemon.ctl("status"))
    daemon.wait(lambda: daemon.ask("status")["state"] == "serving", "the reload does not end")
    assert daemon.ask("status")["last_reload"]["road"] in ("swapped", "replaced")


def test_a_socket_that_was_left_is_replaced_and_that_of_a_live_daemon_is_not(wsgi_app: Path, tmp_path: Path) -> None:
    flags = ["app:application", "--workers", "1"]
    with Daemon(*flags, folder=wsgi_app, ready=1) as first:
        first.signal(signal.SIGKILL)
        first.wait_ended()
        first.wait(lambda: not first.workers(), "its worker does not end")
        assert os.path.exists(first.control)
        again = tmp_path / "again"
        again.mkdir()
        with Daemon(*flags, "--control-socket", first.control, "--pythonpath", str(wsgi_app), folder=again) as second:
            second.wait_ready()
            assert first.ask("status")["pid"] == second.pid
            third = tmp_path / "third"
            third.mkdir()
            with Daemon(*flags, "--control-socket", first.control, "--pythonpath", str(wsgi_app), folder=third) as late:
                assert late.wait_ended() == 1
                assert f"control.socket: cannot listen on unix:{first.control}: another server" in late.log
            assert first.ask("status")["pid"] == second.pid


def test_without_a_socket_the_daemon_runs_as_ever(wsgi_app: Path) -> None:
    env = {"HORNBEAM_CONTROL_SOCKET": ""}
    with Daemon("app:application", "--workers", "1", folder=wsgi_app, env=env, ready=1) as daemon:
        assert "control socket is off" in daemon.ctl("status", code=69)
        assert "control socket open" not in daemon.log
        assert not os.path.exists(daemon.control)


def test_an_upgrade_hands_the_socket_over(daemon: Daemon) -> None:
    inode = os.stat(daemon.control).st_ino
    told = daemon.ask("upgrade")
    status = daemon.ask("status")
    assert (status["pid"], status["state"]) == (told["pid"], "serving")
    assert told["pid"] != daemon.pid
    assert os.stat(daemon.control).st_ino == inode
    assert get(daemon).startswith("one ")
    assert daemon.ctl("stop") == f"process {told['pid']} ends\n"
    assert daemon.wait_ended() == 0
    assert not os.path.exists(daemon.control)
