"""The control socket with clients of all kinds, in front of a daemon that is made up."""

from __future__ import annotations

import contextlib
import json
import os
import pwd
import re
import select
import socket
import tempfile
import threading
from collections.abc import Callable, Iterator
from typing import Any

import anyio
import anyio.from_thread
import pytest
from anyio.from_thread import BlockingPortal

from hornbeamd.control import codes, server
from hornbeamd.control.client import Client, Failure
from hornbeamd.control.command import LOOK
from hornbeamd.control.peers import Access, Peer
from hornbeamd.control.server import MOST_CLIENTS, ControlServer
from hornbeamd.control.wire import LONGEST_QUESTION
from hornbeamd.errors import ControlError
from tests.support.waiting import wait_until

OUTCOME = {
    "road": "swapped",
    "generation": 2,
    "why": "",
    "changed": {},
    "steps": [],
    "problems": [],
    "ms": 1,
    "at": 0.0,
}


class FakeDaemon:
    """Some of the operations. A reload takes until ``go`` is set, and is counted in ``begun`` and ``done``; the server
    is never ready, and ``waiting`` counts who waits for it."""

    def __init__(self) -> None:
        self.go = anyio.Event()
        self.begun = self.done = self.waiting = 0

    async def version(self) -> dict[str, Any]:
        return {"version": "1", "pid": 7, "config": None, "app": "app", "listening": []}

    async def state_get(self, *, key: str) -> dict[str, Any]:
        return {"found": True, "type": "str", "value": key * 1000, "text": None}

    async def log_level(self, *, level: str | None) -> dict[str, Any]:
        return {"level": level or "info"}

    async def scale(self, *, number: str) -> dict[str, Any]:
        raise ControlError(f"not {number}", codes.USAGE)

    async def pools(self) -> dict[str, Any]:
        raise KeyError("broken")

    async def topics(self) -> dict[str, Any]:
        return {"topics": []}

    async def wait_ready(self, *, timeout: float) -> dict[str, Any]:
        self.waiting += 1
        try:
            await anyio.sleep(timeout)
        finally:
            self.waiting -= 1
        raise ControlError("not ready", codes.TIMED_OUT)

    async def reload(self, progress: Any, *, every: bool) -> dict[str, Any]:
        self.begun += 1
        progress({"pool": "", "number": 1, "pid": 7, "result": "prepared", "modules": [], "ms": 1})
        await self.go.wait()
        progress({"pool": "", "number": 1, "pid": 7, "result": "committed", "modules": [], "ms": 1})
        self.done += 1
        return OUTCOME


class Served:
    """A server at ``path``."""

    def __init__(self, path: str, daemon: FakeDaemon, portal: BlockingPortal, answering: ControlServer) -> None:
        self.path = path
        self.daemon = daemon
        self.answering = answering
        self.portal = portal

    def go(self) -> None:
        """Let the reloads end."""
        self.portal.call(self.daemon.go.set)

    def raw(self) -> socket.socket:
        """A connection on which nothing is said yet."""
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        sock.settimeout(10)
        sock.connect(self.path)
        return sock

    def ask(self, command: str, **arguments: Any) -> dict[str, Any]:
        with Client(self.path, 10) as client:
            return client.ask(command, arguments)

    def refusal(self, command: str, **arguments: Any) -> Failure:
        with pytest.raises(Failure) as failure:
            self.ask(command, **arguments)
        return failure.value


def until_closed(sock: socket.socket) -> list[dict[str, Any]]:
    """All that is said there until the other side closes it."""
    data = b""
    try:
        while more := sock.recv(65536):
            data += more
    except ConnectionResetError:
        pass  # what we had sent was not read
    return [json.loads(line) for line in data.splitlines()]


@contextlib.contextmanager
def serving(access: Access, path: str | None = None, daemon: Callable[[], FakeDaemon] = FakeDaemon) -> Iterator[Served]:
    """A server for those whom *access* lets, at *path* or somewhere; everybody can connect."""
    with tempfile.TemporaryDirectory(prefix="hb-") as folder, socket.socket(socket.AF_UNIX) as listener:
        os.chmod(folder, 0o755)
        path = path or os.path.join(folder, "control")
        listener.bind(path)
        os.chmod(path, 0o666)
        listener.listen(256)
        listener.setblocking(False)
        with anyio.from_thread.start_blocking_portal() as portal:
            fake = portal.call(daemon)
            answering = portal.call(ControlServer, listener, fake, access)
            running = portal.start_task_soon(answering.run)
            yield Served(path, fake, portal, answering)
            assert not running.done(), running.exception()
            running.cancel()


@pytest.fixture
def served() -> Iterator[Served]:
    with serving(Access(os.geteuid())) as served:
        yield served


def test_questions_are_answered_one_after_the_other_on_one_connection(served):
    with Client(served.path, 10) as client:
        assert client.ask("version", {})["pid"] == 7
        assert client.ask("state get", {"key": "x" * 1000})["value"] == "x" * 1_000_000
        assert client.ask("version", {})["app"] == "app"


def test_what_cannot_be_done_is_told_in_words_with_its_code(served, caplog):
    refused = served.refusal("scale", number="0")
    assert (str(refused), refused.code) == ("not 0", codes.USAGE)
    for command, arguments, text in (
        ("relaod", {}, "knows no command 'relaod'"),
        ("top", {}, "knows no command 'top'"),
        ("scale", {"number": "x"}, "'number' should be a number"),
        ("version", {"x": 1}, "takes no argument 'x'"),
    ):
        refused = served.refusal(command, **arguments)
        assert text in str(refused)
        assert refused.code == codes.USAGE
    refused = served.refusal("pools")
    assert (str(refused), refused.code) == ("pools failed: KeyError: 'broken'", codes.FAILED)
    assert "has, or lacks: clients, totals" in str(served.refusal("topics"))
    assert served.ask("version")["pid"] == 7


@pytest.mark.parametrize(
    ("said", "text"),
    [
        (b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", "no JSON"),
        (b"\x00\xff\n", "no JSON"),
        (b"[]\n", "no JSON object"),
        (b"null\n", "no JSON object"),
        (b'{"command": ["status"]}\n', "knows no command"),
        (b'{"command": "version", "arguments": []}\n', "arguments are no JSON object"),
        (b"x" * (LONGEST_QUESTION + 1), "may have 65536 bytes"),
    ],
)
def test_garbage_is_answered_in_words(served, said, text):
    with served.raw() as sock:
        sock.sendall(said)
        sock.shutdown(socket.SHUT_WR)
        answer, *_ = until_closed(sock)
    assert text in answer["error"]
    assert answer["code"] == codes.USAGE
    assert served.ask("version")["pid"] == 7


def test_ten_megabytes_without_an_end_are_not_read(served):
    with served.raw() as sock:
        with pytest.raises(OSError):
            sock.sendall(b"x" * 10_000_000)
        (answer,) = until_closed(sock)
    assert "may have 65536 bytes" in answer["error"]


def test_half_a_question_and_silence_end_in_a_time_out(served, monkeypatch):
    monkeypatch.setattr(server, "IDLE", 0.2)
    with served.raw() as half, served.raw() as silent:
        half.sendall(b'{"command": "vers')
        for sock in (half, silent):
            (answer,) = until_closed(sock)
            assert answer == {"error": "nothing was asked within 0.2 s", "code": codes.TIMED_OUT}


def test_two_hundred_idle_clients_keep_nobody_out(served):
    idle = [served.raw() for _ in range(200)]
    try:
        assert served.ask("version")["pid"] == 7
        (told,) = until_closed(idle[0])
        assert "others need this connection" in told["error"]
        # Those that came last are still welcome.
        idle[-1].sendall(b'{"command": "version"}\n')
        assert json.loads(idle[-1].recv(65536))["answer"]["pid"] == 7
    finally:
        for sock in idle:
            sock.close()


def test_clients_for_whom_something_is_done_are_not_sent_away(served):
    busy = [served.raw() for _ in range(MOST_CLIENTS)]
    try:
        for sock in busy:
            sock.sendall(b'{"command": "reload"}\n')
            assert b"prepared" in sock.recv(65536)
        assert "too many commands" in str(served.refusal("version"))
        served.go()
        for sock in busy:
            sock.shutdown(socket.SHUT_WR)
            assert until_closed(sock)[-1] == {"answer": OUTCOME}
        assert served.ask("version")["pid"] == 7
    finally:
        served.go()
        for sock in busy:
            sock.close()


def test_a_command_goes_on_when_its_client_is_gone(served):
    with served.raw() as sock:
        sock.sendall(b'{"command": "reload"}\n')
        assert b"prepared" in sock.recv(65536)
    steps = []
    timer = threading.Timer(0.1, served.go)
    timer.start()
    with Client(served.path, 10) as client:
        assert client.ask("reload", {"every": False}, lambda step: steps.append(step["result"])) == OUTCOME
    timer.join()
    assert steps == ["prepared", "committed"]
    assert (served.daemon.begun, served.daemon.done) == (2, 2)


def test_what_only_waits_ends_with_its_client(served, monkeypatch):
    monkeypatch.setattr(server, "PAUSE", 0.02)
    with served.raw() as gone, served.raw() as silent:
        for sock in (gone, silent):
            sock.sendall(b'{"command": "wait ready"}\n')
        silent.shutdown(socket.SHUT_WR)
        wait_until(lambda: served.daemon.waiting == 2)
        gone.close()
        wait_until(lambda: served.daemon.waiting == 1)
        assert served.ask("version")["pid"] == 7
        assert served.daemon.waiting == 1


def test_who_has_nothing_more_to_say_still_gets_the_answer(served):
    with served.raw() as sock:
        sock.sendall(b'{"command": "reload"}\n')
        sock.shutdown(socket.SHUT_WR)
        assert b"prepared" in sock.recv(65536)
        served.go()
        assert until_closed(sock)[-1] == {"answer": OUTCOME}


def test_who_takes_no_answer_is_left_alone(served, monkeypatch):
    monkeypatch.setattr(server, "SEND_TIMEOUT", 0.2)
    with served.raw() as sock:
        sock.sendall(b'{"command": "state get", "arguments": {"key": "%s"}}\n' % (b"x" * 60_000))
        assert served.ask("version")["pid"] == 7
        poll = select.poll()
        poll.register(sock, 0)
        wait_until(lambda: any(flags & select.POLLHUP for _, flags in poll.poll(0)), explain="it is still connected")
    assert served.ask("version")["pid"] == 7


def test_who_has_left_the_socket_to_another_lets_nobody_in_but_ends_what_it_has_begun(served):
    with served.raw() as busy, served.raw() as idle:
        idle.sendall(b'{"command": "version"}\n')
        assert b"answer" in idle.recv(65536)
        busy.sendall(b'{"command": "reload"}\n')
        assert b"prepared" in busy.recv(65536)
        served.portal.call(served.answering.leave)
        (told,) = until_closed(idle)
        assert "another daemon" in told["error"]
        with served.raw() as late:
            late.sendall(b'{"command": "version"}\n')
            served.go()
            busy.shutdown(socket.SHUT_WR)
            assert until_closed(busy)[-1] == {"answer": OUTCOME}
            late.setblocking(False)
            with pytest.raises(BlockingIOError):
                late.recv(1)


def fork_foreigner(path: int, answer: int) -> int:
    """A process of another user than root, which asks at the socket whose path it reads from a pipe, and hands on what
    it is answered. It has to be forked before there are threads."""
    child = os.fork()
    if not child:
        try:
            if os.geteuid() == 0:
                nobody = pwd.getpwnam("nobody")
                os.setgroups([])
                os.setgid(nobody.pw_gid)
                os.setuid(nobody.pw_uid)
            with socket.socket(socket.AF_UNIX) as sock:
                sock.connect(os.read(path, 1000))
                sock.sendall(b'{"command": "version"}\n')
                os.write(answer, sock.recv(65536))
        finally:
            os._exit(0)
    return child


@pytest.mark.parametrize("access", [Access(12345), Access(12345, 54321)])
def test_a_foreign_user_is_refused_in_words_whatever_the_mode_lets_in(access):
    read_path, tell_path = os.pipe()
    read_answer, tell_answer = os.pipe()
    child = fork_foreigner(read_path, tell_answer)
    with serving(access) as served:
        os.write(tell_path, os.fsencode(served.path))
        os.close(tell_answer)
        with open(read_answer, "rb") as pipe:
            answer = json.loads(pipe.read())
    os.waitpid(child, 0)
    os.close(read_path)
    os.close(tell_path)
    assert answer["code"] == codes.DENIED
    assert re.match(r"user \d+ may not control this daemon", answer["error"])


def test_who_may_only_look_sees_the_level_and_does_not_change_it(monkeypatch):
    monkeypatch.setattr(server, "peer_of", lambda sock: Peer(1, 501, frozenset((54321,))))
    with serving(Access(12345, 54321, LOOK)) as served, Client(served.path) as client:
        assert client.ask("log level", {}) == {"level": "info"}
        with pytest.raises(Failure, match="may look, but not change anything"):
            client.ask("log level", {"level": "debug"})
