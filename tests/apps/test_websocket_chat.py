"""The chat example, with real clients."""

import json
import os
from contextlib import ExitStack
from pathlib import Path

import pytest
from websockets.exceptions import ConnectionClosedError, InvalidStatus
from websockets.sync.client import connect

from tests.apps.conftest import EXAMPLES, client_of
from tests.support.daemon import Daemon


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with ExitStack() as stack:
        sys_toml = EXAMPLES / "websocket_chat" / "sys.toml"
        daemon = stack.enter_context(Daemon("-c", str(sys_toml), folder=tmp_path_factory.mktemp("chat"), ready=2))
        yield client_of(daemon, stack), f"ws://127.0.0.1:{daemon.port}", daemon


def heard(person) -> tuple[str, str, str]:
    news = json.loads(person.recv(timeout=10))
    return news["name"], news["event"], news["text"]


def test_the_page(server):
    client, _, _ = server
    page = client.get("/")
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert "new WebSocket(" in page.text
    assert client.get("/chat/lobby").status_code == 404


def test_a_conversation(server):
    _, url, _ = server
    with connect(f"{url}/chat/lobby?name=Ann") as ann:
        assert heard(ann) == ("Ann", "joined", "")
        with connect(f"{url}/chat/lobby?name=B%C3%A9a") as bea, connect(f"{url}/chat/cellar?name=Carl") as carl:
            assert heard(ann) == heard(bea) == ("Béa", "joined", "")
            assert heard(carl) == ("Carl", "joined", "")
            ann.send("hello, Béa")
            assert heard(ann) == heard(bea) == ("Ann", "said", "hello, Béa")
            bea.send("x" * 3000)
            assert heard(ann) == heard(bea) == ("Béa", "said", "x" * 2000)
        assert heard(ann) == ("Béa", "left", "")


def test_a_room_is_in_all_workers(server):
    _, url, daemon = server
    with ExitStack() as stack:
        people = []
        while len({worker_of(daemon, person.local_address[1]) for person in people}) < 2:
            assert len(people) < 50
            name = f"P{len(people)}"
            people.append(stack.enter_context(connect(f"{url}/chat/wide?name={name}")))
            assert {heard(person) for person in people} == {(name, "joined", "")}
        people[-1].send("hello")
        assert {heard(person) for person in people} == {(name, "said", "hello")}


def test_who_gives_no_name_is_not_let_in(server):
    _, url, _ = server
    with pytest.raises(InvalidStatus) as refused:
        connect(f"{url}/chat/lobby")
    assert refused.value.response.status_code == 403


def test_who_does_not_listen_is_sent_away(server):
    """The others do not wait for the slowest, and its queue is bounded."""
    _, url, _ = server
    with connect(f"{url}/chat/loud?name=Deaf", max_queue=1) as deaf, connect(f"{url}/chat/loud?name=Loud") as loud:
        assert heard(loud) == ("Loud", "joined", "")
        for number in range(8000):
            loud.send(f"{number} " + "x" * 1990)
            assert heard(loud)[1] == "said"
        news = []
        with pytest.raises(ConnectionClosedError) as closed:
            while True:
                news.append(heard(deaf))
        assert closed.value.rcvd is not None
        assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (1013, "too slow")
        assert len(news) < 8000
        assert heard_last(loud) == ("Deaf", "left", "")


def worker_of(daemon, port: int) -> int:
    """The process of the worker that has the connection from a local port."""
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        _, _, remote, _, _, _, _, _, _, inode, *_ = line.split()
        if int(remote.partition(":")[2], 16) == port:
            for pid in daemon.workers():
                for fd in Path(f"/proc/{pid}/fd").iterdir():
                    if os.path.lexists(fd) and os.readlink(fd) == f"socket:[{inode}]":
                        return pid
    raise AssertionError(f"no worker has the connection from port {port}")


def heard_last(person) -> tuple[str, str, str]:
    """The next news that nobody said."""
    while (news := heard(person))[1] == "said":
        pass
    return news
