"""Which daemon ``hornbeamctl`` finds, where daemons put their sockets, and what the command says of failures."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import pwd
import re
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hornbeamd.config.control import ControlOptions
from hornbeamd.control import cli, client, codes, places
from hornbeamd.control.client import Client, Failure, find
from hornbeamd.control.peers import Access
from hornbeamd.control.usage import parse
from hornbeamd.control.wire import LONGEST_QUESTION
from hornbeamd.errors import SupervisionError
from hornbeamd.supervisor.control import open_control
from tests.integration.test_control import FakeDaemon, serving

AUTO = ControlOptions()


@pytest.fixture
def environ(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, str]]:
    """An environment in which sockets are in folders of the test alone, with short paths."""
    with tempfile.TemporaryDirectory(prefix="hb-") as folder:
        monkeypatch.setattr(places, "SYSTEM", f"{folder}/run")
        environ = {"TMPDIR": folder}
        monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
        monkeypatch.delenv("HORNBEAM_CONTROL_SOCKET", raising=False)
        monkeypatch.setenv("TMPDIR", folder)
        yield environ


class Known(FakeDaemon):
    """A daemon with a process id, and a configuration file if it has one. It is made up, and so are its figures."""

    def __init__(self, pid: int = 7, config: str | None = None) -> None:
        super().__init__()
        self.pid, self.config = pid, config

    async def version(self) -> dict[str, Any]:
        return {"version": "1", "pid": self.pid, "config": self.config, "app": "shop", "listening": ["http://a:1"]}

    async def status(self) -> dict[str, Any]:
        crowd = {"wanted": 1, "serving": 1, "booting": 0, "draining": 0}
        about = {"uptime_s": 5.0, "generation": 1, "workers": crowd, "pools": [], "in_flight": 0, "connections": 0}
        return {"state": "serving", **await self.version(), **about, "hub": {"pid": 8}, "last_reload": None}

    async def workers(self) -> dict[str, Any]:
        return {"processes": []}

    async def wait_ready(self, *, timeout: float) -> dict[str, Any]:
        return {"pid": self.pid}


def known(path: str, pid: int = 7, config: str | None = None) -> Any:
    """Serve a made up daemon at *path*."""
    os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
    return serving(Access(os.geteuid()), path, lambda: Known(pid, config))


# --- where a daemon listens ---


def opened(file: str | None, environ: dict[str, str], options: ControlOptions = AUTO) -> str:
    """The name of the socket that a daemon opens."""
    listener = open_control(options, file, environ)
    assert listener is not None
    assert listener.path is not None
    open_ones.append(listener)
    return os.path.basename(listener.path)


open_ones: list[Any] = []


@pytest.fixture(autouse=True)
def closed() -> Iterator[None]:
    yield
    while open_ones:
        open_ones.pop().close()


def test_who_runs_with_a_file_gets_the_name_that_everybody_knows_unless_it_is_taken(environ, caplog):
    assert opened("/etc/a.toml", environ) == "control.sock"
    assert caplog.records == []
    assert opened("/etc/b.toml", environ) == f"control-{os.getpid()}.sock"
    (record,) = caplog.records
    assert record.getMessage() == "the control socket gets a name of its own"
    assert "another server listens there" in record.fields["error"]
    assert record.fields["option"] == "control.socket"


def test_who_runs_without_a_file_never_takes_that_name(environ):
    assert opened(None, environ) == f"control-{os.getpid()}.sock"
    assert opened("/etc/a.toml", environ) == "control.sock"


def test_what_dead_daemons_left_is_removed_or_replaced(environ):
    folder, _ = places.prepare(environ)
    for name in ("control.sock", "control-1.sock"):
        with socket.socket(socket.AF_UNIX) as dead:
            dead.bind(os.path.join(folder, name))
    with known(os.path.join(folder, "control-2.sock")):
        assert opened("/etc/a.toml", environ) == "control.sock"
        assert sorted(os.listdir(folder)) == ["control-2.sock", "control.sock"]


def test_a_place_that_was_named_and_cannot_be_had_is_an_error(environ):
    path = os.path.join(environ["TMPDIR"], "run", "here")
    with pytest.raises(SupervisionError, match=r"control\.socket: cannot listen on unix:.*: No such file"):
        open_control(ControlOptions(socket=path), None, environ)
    with known(path), pytest.raises(SupervisionError, match="another server listens there"):
        open_control(ControlOptions(socket=path), None, environ)
    assert open_control(ControlOptions(socket=None), None, environ) is None


def test_no_place_by_default_is_a_warning(environ, caplog):
    for folder in places.folders(environ):
        Path(folder).touch()
    assert open_control(AUTO, None, environ) is None
    (record,) = caplog.records
    assert "nobody can control this daemon" in record.getMessage()
    assert len(record.fields["problems"]) == 2


# --- which daemon a client finds ---


def test_the_only_daemon_there_is_needs_no_name(environ):
    path = os.path.join(places.SYSTEM, "control-7.sock")
    with known(path):
        with socket.socket(socket.AF_UNIX) as dead:
            dead.bind(os.path.join(places.SYSTEM, "control.sock"))
        assert find(environ) == path


def test_of_several_one_has_to_be_said_and_they_are_listed(environ, tmp_path, capsys):
    (tmp_path / "sys.toml").write_text('[hornbeam]\napp = "shop"\n')
    file = str(tmp_path / "sys.toml")
    one, two = (os.path.join(places.SYSTEM, name) for name in ("control.sock", "control-2.sock"))
    with known(one, 1, file), known(two, 2):
        assert cli.main(["version", "--json"]) == codes.OK  # which asks no daemon in particular
        assert cli.main(["status"]) == codes.USAGE
        told = capsys.readouterr().err
        assert "several daemons run; say which:" in told
        assert f"--socket {one}    -c {file}, process 1, http://a:1" in told
        assert f"--socket {two}    shop, process 2, http://a:1" in told
        assert find(environ, file) == one
        with known(os.path.join(places.SYSTEM, "control-3.sock"), 3, file):
            with pytest.raises(Failure, match="several daemons run") as failure:
                find(environ, file)
            assert "process 2" not in str(failure.value)
        assert cli.main(["-c", file, "wait", "ready"]) == codes.OK
        assert capsys.readouterr().out == "ready (process 1)\n"
        assert cli.main(["--socket", two, "wait", "ready"]) == codes.OK
        assert capsys.readouterr().out == "ready (process 2)\n"


def test_no_daemon_says_where_was_looked_and_what_else_can_be_named(environ):
    with pytest.raises(Failure, match=r"no daemon found \(looked in .*/run, .*\): is it running\?") as failure:
        find(environ)
    assert failure.value.code == codes.UNREACHABLE
    with pytest.raises(Failure, match=r"no daemon runs with sys\.toml: is it running\?"):
        find(environ, "sys.toml")


def test_a_daemon_that_does_not_answer_is_told_of(environ, monkeypatch, capsys):
    monkeypatch.setattr(client, "LOOK_TIMEOUT", 0.01)
    path = os.path.join(places.prepare(environ)[0], "control.sock")
    with socket.socket(socket.AF_UNIX) as stopped:
        stopped.bind(path)
        stopped.listen()
        with pytest.raises(Failure, match=f"the daemon at {path} does not answer") as failure:
            find(environ)
        assert failure.value.code == codes.TIMED_OUT
        with pytest.raises(Failure, match=rf"no daemon runs with sys\.toml.*\n.* {path} does not answer") as failure:
            find(environ, "sys.toml")
        assert failure.value.code == codes.UNREACHABLE
        monkeypatch.setattr(cli, "SILENCE", 0.01)
        for command in ("status", "reload", "stop"):
            assert cli.main(["--socket", path, command]) == codes.TIMED_OUT
            assert f"the daemon at {path} does not answer" in capsys.readouterr().err


# --- the command ---


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (["--socket", "/nowhere", "status"], 69, "no daemon listens at /nowhere: is it running"),
        (["status"], 69, "no daemon found"),
        (["relod"], 64, 'did you mean "reload"'),
        (["-c", "/nowhere.toml", "status"], 78, "/nowhere.toml"),
        (["--socket", "/nowhere", "wait", "ready", "--timeout", "0"], 75, "not ready within 0 s: no daemon listens"),
    ],
)
def test_a_failure_has_its_code_and_says_what_to_do(environ, capsys, words, code, told):
    assert cli.main(words) == code
    written = capsys.readouterr()
    assert told in written.err
    assert all(line.startswith("hornbeamctl: ") for line in written.err.splitlines())
    assert written.out == ""


def test_a_socket_named_in_a_file_or_in_the_environment_is_taken(environ, tmp_path, capsys, monkeypatch):
    path = os.path.join(environ["TMPDIR"], "mine", "here")
    (tmp_path / "sys.toml").write_text(f'[hornbeam]\napp = "shop"\n[hornbeam.control]\nsocket = "{path}"\n')
    with known(path, 3):
        assert cli.main(["-c", str(tmp_path / "sys.toml"), "wait", "ready"]) == codes.OK
        monkeypatch.setenv("HORNBEAM_CONTROL_SOCKET", path)
        assert cli.main(["wait", "ready"]) == codes.OK
        assert capsys.readouterr().out == "ready (process 3)\n" * 2
    monkeypatch.setenv("HORNBEAM_CONTROL_SOCKET", "")
    assert cli.main(["status"]) == codes.UNREACHABLE
    assert "the control socket is off by HORNBEAM_CONTROL_SOCKET" in capsys.readouterr().err


@pytest.mark.parametrize("more", ['workers = "lots"', 'user = "no-such-user"', "colour = 1"])
def test_of_a_file_only_the_socket_is_read(environ, tmp_path, monkeypatch, more):
    mine, other = (os.path.join(environ["TMPDIR"], folder, "here") for folder in ("mine", "other"))
    (tmp_path / "sys.toml").write_text(f'[hornbeam]\n{more}\n[hornbeam.control]\nsocket = "{mine}"\n')
    monkeypatch.setenv("HORNBEAM_CONTROL_SOCKET", other)
    monkeypatch.setenv("HORNBEAM_COLOUR", "1")
    with known(mine, 3), known(other, 4):
        assert cli._socket(parse(["-c", str(tmp_path / "sys.toml"), "stop"])) == mine


@pytest.mark.parametrize("text", ["[hornbeam", '[hornbeam.control]\nsocket = ["a"]', None])
def test_a_file_that_cannot_be_read_still_names_the_daemon_that_runs_with_it(environ, tmp_path, capsys, text):
    file = tmp_path / "sys.toml"
    if text is not None:
        file.write_text(text)
    with known(os.path.join(places.SYSTEM, "control-1.sock"), 1):
        assert cli.main(["-c", str(file), "status"]) == codes.CONFIG
        written = capsys.readouterr().err
        assert f"hornbeamctl: file {file}" in written
        assert f"hornbeamctl: no daemon runs with {file}" in written
        with known(os.path.join(places.SYSTEM, "control.sock"), 2, str(file)):
            assert cli.main(["-c", str(file), "wait", "ready"]) == codes.OK
            assert capsys.readouterr().out == "ready (process 2)\n"
            with known(os.path.join(places.SYSTEM, "control-3.sock"), 3, str(file)):
                assert cli.main(["-c", str(file), "status"]) == codes.USAGE


def test_the_environment_may_have_told_the_daemon_of_a_file_where_to_listen(environ, tmp_path, monkeypatch):
    path = os.path.join(environ["TMPDIR"], "mine", "here")
    (tmp_path / "sys.toml").write_text('[hornbeam]\napp = "shop"\n')
    monkeypatch.setenv("HORNBEAM_CONTROL_SOCKET", path)
    with known(path, 3, str(tmp_path / "sys.toml")):
        assert cli.main(["-c", str(tmp_path / "sys.toml"), "wait", "ready"]) == codes.OK
    os.unlink(path)
    with known(path, 4, str(tmp_path / "other.toml")):
        assert cli.main(["-c", str(tmp_path / "sys.toml"), "stop"]) == codes.UNREACHABLE


def test_answers_are_json_whatever_is_in_them(capsys):
    answer = {"found": True, "text": "non\u00a0breaking, \x7f, \U000e0001, \x1b"}
    assert cli._answered(parse(["state", "get", "key", "--json"]), answer) == codes.OK
    assert json.loads(capsys.readouterr().out) == answer


def test_a_value_that_is_too_long_is_told_so(environ, capsys):
    path = os.path.join(environ["TMPDIR"], "control")
    with known(path):
        assert cli.main(["--socket", path, "state", "set", "key", "x" * LONGEST_QUESTION]) == codes.USAGE
    assert capsys.readouterr().err == "hornbeamctl: that is too long: a command may have 64 KiB\n"


def test_a_crowd_at_the_door_is_waited_for(environ):
    path = os.path.join(environ["TMPDIR"], "control")
    with socket.socket(socket.AF_UNIX) as listener, contextlib.ExitStack() as crowd:
        listener.bind(path)
        listener.listen(1)
        for _ in range(2):
            crowd.enter_context(Client(path, 10))
        with pytest.raises(Failure, match="does not answer") as failure:
            Client(path, 0.05)
        assert failure.value.code == codes.TIMED_OUT
        timer = threading.Timer(0.1, lambda: listener.accept()[0].close())
        timer.start()
        with Client(path, 10):
            timer.join()


def test_who_may_not_use_a_socket_is_told_who_may(environ):
    path = os.path.join(environ["TMPDIR"], "control")
    os.chmod(environ["TMPDIR"], 0o755)
    reading, writing = os.pipe()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()
        os.chmod(path, 0)
        child = os.fork()
        if not child:
            try:
                if os.geteuid() == 0:
                    os.setuid(pwd.getpwnam("nobody").pw_uid)
                Client(path)
            except Failure as failure:
                os.write(writing, f"{failure.code} {failure}".encode())
            finally:
                os._exit(0)
        os.close(writing)
        with open(reading) as pipe:
            told = pipe.read()
        os.waitpid(child, 0)
    assert told.startswith(f"{codes.DENIED} you may not use {path}: try as root")


def start(*words: str, **how: Any) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-m", "hornbeamd.control.cli", *words], **how)


def test_ready_is_waited_for_before_there_is_a_daemon(environ):
    path = os.path.join(environ["TMPDIR"], "late", "here")
    waiting = start("--socket", path, "wait", "ready", "--timeout", "20s")
    with known(path):
        assert waiting.wait(20) == codes.OK


def test_top_draws_on_a_terminal_in_place_and_leaves_it_as_it_was(environ):
    with known(os.path.join(places.SYSTEM, "control.sock")) as served:
        ours, theirs = pty.openpty()
        top = start("--socket", served.path, "top", "--interval", "100ms", stdin=theirs, stdout=theirs)
        os.close(theirs)
        drawn = b""
        while drawn.count(b"requests/s") < 2:
            drawn += os.read(ours, 4096)
        os.write(ours, b"q")
        while b"\x1b[?1049l" not in drawn:
            drawn += os.read(ours, 4096)
        assert top.wait(20) == codes.OK
        os.close(ours)
    assert drawn.startswith(b"\x1b[?1049h")
    assert re.search(rb"\x1b\[H\x1b\[1mhornbeamd 1  shop  up 5s  serving  generation 1\x1b\[m\x1b\[K", drawn)


def test_the_command_imports_little(environ):
    with known(os.path.join(places.SYSTEM, "control.sock")) as served:
        script = (
            "import sys; from hornbeamd.control.cli import main\n"
            f"code = main(['--socket', {served.path!r}, 'status']); print(*sys.modules); sys.exit(code)"
        )
        bare = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}
        command = [sys.executable, "-c", script]
        loaded = subprocess.run(command, check=True, capture_output=True, text=True, env=bare).stdout.split()
    heavy = {"anyio", "asyncio", "argparse", "dataclasses", "typing", "logging", "tempfile", "subprocess", "inspect"}
    assert not heavy & set(loaded)
    assert not [name for name in loaded if name.startswith("hornbeamd.config")]
