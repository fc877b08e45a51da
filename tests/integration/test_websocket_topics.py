"""WebSockets that join topics by their path, when the option websocket_topics says so."""

from contextlib import ExitStack

import pytest

from hornbeam_erlang import publish
from hornbeamd.apps.joining import Joins
from hornbeamd.config.websockets import WebSocketTopic
from hornbeamd.node import alone, current, install
from tests.support.applications import asgi
from tests.support.hubs import Hub
from tests.support.waiting import wait_until
from tests.support.websocket import BINARY, TEXT, RawWebSocket, close_frame, frame, handshake

CHAT = (WebSocketTopic(path="/chat/{room}", topic="chat:{room}"), WebSocketTopic(path="/chat/{any}", topic="everybody"))


@pytest.fixture(params=["alone", "hub"], autouse=True)
def node(request):
    with ExitStack() as stack:
        node = alone()
        if request.param == "hub":
            hub = Hub()
            stack.callback(hub.close)
            node = hub.node()
            node.connect_in_background()
            stack.callback(node.leave_background)
        install(node)
        stack.callback(install, None)
        yield node


async def application(scope, receive, send):
    """Accepts, and echoes; what it is told at the beginning decides."""
    while True:
        message = await receive()
        if message["type"] == "websocket.connect":
            if scope["query_string"] == b"no":
                await send({"type": "websocket.close"})
            else:
                await send({"type": "websocket.accept"})
        elif message["type"] == "websocket.receive":
            if message.get("text") == "close":
                await send({"type": "websocket.close"})
            else:
                await send({"type": "websocket.send", "text": message["text"]})
        else:
            return


@pytest.fixture
def served():
    with asgi(application, websocket_topics=CHAT) as served:
        yield served


def client(served, target="/chat/5"):
    client = RawWebSocket(served.running.address, 5.0)
    client.open(target)
    return client


def left(topic):
    wait_until(lambda: current().subscriptions.count(topic) == 0)
    wait_until(lambda: publish(topic, 1) == 0)


def test_what_is_published_reaches_the_client(served):
    with client(served) as one, client(served) as two, client(served, "/chat/6") as three:
        for message, opcode, sent in (
            ("text é", TEXT, "text é".encode()),
            (b"\x00\xff", BINARY, b"\x00\xff"),
            ({"a": [1, 2.5, None, True, "é"]}, TEXT, '{"a":[1,2.5,null,true,"é"]}'.encode()),
            ([1], TEXT, b"[1]"),
            (7, TEXT, b"7"),
            (None, TEXT, b"null"),
        ):
            assert publish("chat:5", message) == 2
            assert one.read_frame() == two.read_frame() == (opcode, sent)
        assert publish("everybody", "all") == 3
        assert [each.read_message() for each in (one, two, three)] == ["all"] * 3
        one.send(frame(TEXT, b"still echoed"))
        assert one.read_message() == "still echoed"
    left("chat:5")
    left("everybody")


def test_the_application_decides_first(served):
    with RawWebSocket(served.running.address, 5.0) as client:
        client.send(handshake("/chat/5?no"))
        assert client.read_response().status == 403
    assert publish("chat:5", 1) == 0


def test_it_leaves_when_the_application_closes(served):
    with client(served) as one:
        one.send(frame(TEXT, b"close"))
        assert one.read_close()[0] == 1000
        left("chat:5")


def test_it_leaves_when_the_client_does(served):
    with client(served) as one:
        one.send(close_frame(1000))
        assert one.read_close()[0] == 1000
        left("chat:5")
    with client(served):
        assert publish("chat:5", 1) == 1
    left("chat:5")


def test_what_cannot_be_sent_is_logged_and_does_not_harm(served):
    with client(served) as one:
        publish("chat:5", {1, 2})
        publish("chat:5", float("nan"))
        publish("chat:5", "\ud800")
        publish("chat:5", ["\ud800"])
        publish("chat:5", "fine")
        assert one.read_message() == "fine"
    assert len(served.logs.named("a message cannot be sent")) == 4


def test_a_slow_client_misses_messages_and_harms_nobody(served):
    current().queue_size = 5
    with client(served) as slow, client(served) as quick:
        (topic,) = (each for each in current().subscriptions.patterns() if each == "chat:5")
        held = list(current().subscriptions._topics.receivers(topic))
        text = "x" * 500_000
        for number in range(40):
            publish("chat:5", f"{number} {text}")
            assert quick.read_message() == f"{number} {text}"
        assert wait_until(lambda: max(each.missed for each in held)) > 0
        assert slow.read_message() == f"0 {text}"


@pytest.mark.parametrize(
    ("path", "topics"),
    [
        (b"/chat/5", ["chat:5"]),
        (b"/chat/caf%C3%A9", ["chat:café"]),
        (b"/ch%61t/a%2Fb", ["chat:a/b"]),
        (b"/chat/", []),
        (b"/chat/5/", []),
        (b"/chat", []),
        (b"//chat/5", []),
        (b"/chat/a:b", []),
        (b"/chat/a%3Ab", []),
        (b"/chat/*", []),
        (b"/chat/%2A", []),
        (b"/chat/%FF", []),
        (b"/Chat/5", []),
    ],
)
def test_only_paths_that_fit_join_and_no_value_leads_to_another_topic(path, topics):
    assert Joins(CHAT[:1]).topics(path) == topics


def test_several_names():
    joins = Joins([WebSocketTopic(path="/{a}/x/{b}", topic="{b}:{a}:{b}")])
    assert joins.topics(b"/1/x/2") == ["2:1:2"]


def test_without_the_option_nothing_is_joined():
    with asgi(application) as served, client(served):
        assert publish("chat:5", 1) == 0
