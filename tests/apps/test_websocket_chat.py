"""The chat example, with real clients."""

import json
from contextlib import ExitStack

import pytest
from websockets.exceptions import ConnectionClosedError, InvalidStatus
from websockets.sync.client import connect

from tests.apps.conftest import EXAMPLES, client_of
from tests.support.daemon import Daemon


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with ExitStack() as stack:
        sys_toml = EXAMPLES / "websocket_chat" / "sys.toml"
        daemon = stack.enter_context(Daemon("-c", str(sys_toml), folder=tmp_path_factory.mktemp("chat")))
        yield client_of(daemon, stack), f"ws://127.0.0.1:{daemon.port}"


def heard(person) -> tuple[str, str, str]:
    news = json.loads(person.recv(timeout=10))
    return news["name"], news["event"], news["text"]


def test_the_page(server):
    client, _ = server
    page = client.get("/")
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert "new WebSocket(" in page.text
    assert client.get("/chat/lobby").status_code == 404


def test_a_conversation(server):
    _, url = server
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


def test_who_gives_no_name_is_not_let_in(server):
    _, url = server
    with pytest.raises(InvalidStatus) as refused:
        connect(f"{url}/chat/lobby")
    assert refused.value.response.status_code == 403


def test_who_does_not_listen_is_sent_away(server):
    """The others do not wait for the slowest, and its queue is bounded."""
    _, url = server
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


def heard_last(person) -> tuple[str, str, str]:
    """The next news that nobody said."""
    while (news := heard(person))[1] == "said":
        pass
    return news
