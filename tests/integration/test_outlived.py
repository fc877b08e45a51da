"""A handler is exchanged while it serves, and outlived by what it has in hand (docs/reload.md)."""

import asyncio
import gc
import threading
import weakref

import pytest

from hornbeamd.apps.asgi import AsgiHandler
from hornbeamd.apps.hooks import Hooked, Hooks
from hornbeamd.apps.mounts import Mounted, Mounts, NotFound
from hornbeamd.apps.static import StaticFiles
from hornbeamd.config.options import Options
from hornbeamd.config.websockets import WebSocketTopic
from tests.support.applications import head, post
from tests.support.h2client import H2Client
from tests.support.raw import RawClient
from tests.support.swapping import Code, swapping, version
from tests.support.waiting import wait_until
from tests.support.websocket import TEXT, RawWebSocket, frame

both_loops = pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
both_kinds = pytest.mark.parametrize("kind", ["asgi", "wsgi"])


@pytest.fixture
def code():
    code = Code()
    yield code
    code.gate.set()


# --- clients that never stop ---


class Client(threading.Thread):
    """Asks again and again on one connection, and notes which generation answered."""

    def __init__(self, address, over):
        super().__init__(name=type(self).__name__)
        self.address = address
        self.over = over
        self.seen = [0]
        self.error = None

    def run(self):
        try:
            with self.connection() as client:
                while not self.over.is_set():
                    for number in self.ask(client):
                        assert number >= self.seen[-1], "the old application answers again"
                        self.seen.append(number)
        except BaseException as error:
            self.error = error

    def connection(self):
        return RawClient(self.address)

    def has_seen(self, number):
        assert self.error is None, self.error
        return self.seen[-1] >= number


class KeepsAlive(Client):
    def ask(self, client):
        answer = client.request(head())
        yield version(answer.headers, answer.body)


class Pipelines(Client):
    def ask(self, client):
        client.send(b"".join(head(f"/{number}") for number in range(7)))
        for _ in range(7):
            answer = client.read_response()
            yield version(answer.headers, answer.body)


class Uploads(Client):
    """In pieces, so that swaps come in the midst of it."""

    def ask(self, client):
        body = b"x" * 100_000
        client.send(post(body, target="/upload"), pieces=30_000)
        answer = client.read_response()
        number, size = answer.body.split()
        assert int(size) == len(body)
        yield version(answer.headers, number)


class SpeaksHttp2(Client):
    def connection(self):
        return H2Client(self.address)

    def ask(self, client):
        streams = [client.start(b"/%d" % number) for number in range(5)]
        client.finish(*streams)
        yield min(version(client.heads[stream], bytes(client.bodies[stream])) for stream in streams)


class Chats(Client):
    """A WebSocket stays with the application that has accepted it."""

    def connection(self):
        socket = RawWebSocket(self.address)
        socket.open()
        return socket

    def ask(self, client):
        client.send(frame(TEXT, b"1"))
        number, acting, _ = client.read_message().split()
        assert (number, acting) == ("1", "1")
        yield 1

    def has_seen(self, number):
        return super().has_seen(1)


@both_loops
@both_kinds
def test_every_answer_is_wholly_of_one_generation_and_no_connection_ends(code, kind, loop):
    over = threading.Event()
    kinds = [KeepsAlive, Pipelines, Uploads, SpeaksHttp2] + [Chats] * (kind == "asgi")
    with swapping(getattr(code, kind), loop) as swaps:
        clients = [kind(swaps.served.running.address, over) for kind in kinds]
        for client in clients:
            client.start()
        retired = 0
        try:
            for number in range(1, 13):
                wait_until(lambda number=number: all(client.has_seen(number) for client in clients))
                old = swaps.swap()
                if number > 1:  # the first has the WebSocket
                    assert swaps.retire(old)
                    retired += 1
        finally:
            over.set()
            for client in clients:
                client.join(10)
        assert [client.error for client in clients] == [None] * len(clients)
        if kind == "asgi":
            assert code.events[-1] == ("shutdown", 12)
            assert ("shutdown", 1) not in code.events
        assert retired == 11


# --- what is in hand ---


@both_loops
@both_kinds
@pytest.mark.parametrize("size", [1000, 300_000])
def test_an_upload_that_has_begun_goes_to_the_old_one(code, kind, loop, size):
    """Also where a thread waits for none of it yet, because little of it has come."""
    with swapping(getattr(code, kind), loop) as swaps, swaps.served.client() as client:
        data = post(b"x" * size, target="/upload")
        client.send(data[: size // 2])
        wait_until(lambda: swaps.served.running.server.in_flight)
        old = swaps.swap()
        assert not swaps.finished(old)
        with swaps.served.client() as other:
            assert other.request(head()).header(b"x-version") == b"2"
        client.send(data[size // 2 :])
        assert client.read_response().body == b"1 %d" % size
        assert client.request(data).body == b"2 %d" % size
        assert swaps.retire(old)


@both_loops
@both_kinds
def test_a_download_that_has_begun_comes_from_the_old_one(code, kind, loop):
    with swapping(getattr(code, kind), loop) as swaps, swaps.served.client() as client:
        client.send(head("/slow") + head("/behind"))
        wait_until(lambda: code.inside)
        old = swaps.swap()
        assert not swaps.finished(old)
        code.gate.set()
        first, second = client.read_response(), client.read_response()
        assert version(first.headers, first.body) == 1
        assert version(second.headers, second.body) == 2  # pipelined behind it, and not begun
        assert swaps.retire(old)


@both_kinds
def test_streams_of_one_http2_connection_are_of_two_generations(code, kind, engine):
    with swapping(getattr(code, kind), http2_engine=engine) as swaps, H2Client(swaps.served.running.address) as client:
        slow = client.start(b"/slow")
        wait_until(lambda: code.inside)
        old = swaps.swap()
        fast = client.start(b"/")
        client.finish(fast)
        assert version(client.heads[fast], bytes(client.bodies[fast])) == 2
        assert not swaps.finished(old)
        code.gate.set()
        client.finish(slow)
        assert version(client.heads[slow], bytes(client.bodies[slow])) == 1
        assert swaps.retire(old)


@both_loops
def test_websockets_stay_and_are_told_to_come_back_when_their_application_ends(code, loop):
    with swapping(code.asgi, loop, keepalive=0.1) as swaps:
        old_socket, new_socket = (RawWebSocket(swaps.served.running.address) for _ in range(2))
        old_socket.open()
        old = swaps.swap()
        new_socket.open()
        for socket, number in ((old_socket, 1), (new_socket, 2)):
            socket.send(frame(TEXT, b"?"))
            assert socket.read_message() == f"{number} {number} ?"
        assert not swaps.finished(old)
        swaps.served.running.call(lambda: old.drain(0.1))
        assert old_socket.read_close()[0] == 1012
        assert swaps.retire(old)
        assert code.events == [("startup", 1), ("startup", 2), ("shutdown", 1)]
        new_socket.send(frame(TEXT, b"?"))
        assert new_socket.read_message() == "2 2 ?"
        for socket in (old_socket, new_socket):
            socket.close()


def test_topics_go_on_for_websockets_of_either():
    code = Code(websocket_topics=(WebSocketTopic(path="/rooms/{room}", topic="room:{room}"),))
    with swapping(code.asgi) as swaps:
        sockets = [RawWebSocket(swaps.served.running.address) for _ in range(2)]
        sockets[0].open("/rooms/1")
        swaps.swap()
        sockets[1].open("/rooms/1")
        assert swaps.node.publish("room:1", "news") == 2
        for socket in sockets:
            assert socket.read_message() == "news"
            socket.close()


def test_a_websocket_that_is_accepted_late_leaves_as_well(code):
    opened = asyncio.Event()

    async def app(scope, receive, send):
        await receive()
        await opened.wait()
        await send({"type": "websocket.accept"})
        assert (await receive())["code"] == 1012

    with swapping(lambda number: AsgiHandler(app, Options(lifespan="off"))) as swaps:
        with RawWebSocket(swaps.served.running.address) as socket:
            opening = threading.Thread(target=socket.open)
            opening.start()
            wait_until(lambda: swaps.served.running.server.in_flight)
            old = swaps.swap()
            swaps.served.running.call(lambda: (old.drain(0.05), opened.set()))
            opening.join()
            assert socket.read_close()[0] == 1012
        assert swaps.retire(old)
    assert not swaps.served.logs.named("raised")


@both_kinds
def test_what_is_not_done_in_time_is_cut(code, kind):
    """Nothing sent: 503. Something sent: broken off, so that it cannot pass for the whole."""

    def unanswered(environ, start_response):
        code._wait()
        start_response("200 OK", [])
        return [b""]

    with swapping(getattr(code, kind)) as swaps:
        handler = swaps.handler._handler
        with swaps.served.client() as begun, swaps.served.client() as arriving, swaps.served.client() as silent:
            begun.send(head("/slow"))
            arriving.send(post(b"x" * 1000, target="/upload")[:-1])
            wait_until(lambda: code.inside == 1)
            if kind == "wsgi":
                handler.app = unanswered
                silent.send(head())
                wait_until(lambda: code.inside == 2)
            old = swaps.swap()
            assert not swaps.retire(old, timeout=0.05)
            assert arriving.read_response().status == 503
            assert b"0\r\n\r\n" not in begun.read_to_end()
            if kind == "wsgi":
                assert silent.read_response().status == 503
            code.gate.set()
            with swaps.served.client() as other:
                assert other.request(head()).header(b"x-version") == b"2"


def test_websockets_that_do_not_leave_are_closed_with_1012(code):
    with swapping(code.asgi) as swaps, RawWebSocket(swaps.served.running.address) as socket:
        socket.open()
        old = swaps.swap()
        assert not swaps.retire(old, timeout=0.05)
        assert socket.read_close()[0] == 1012


def test_who_waits_for_a_hook_is_told_to_come_again(code):
    async def hold(request):
        await asyncio.Event().wait()

    def make(number):
        return Hooked(code.asgi(number), Hooks(on_request=hold), "/")

    with swapping(make) as swaps, swaps.served.client() as client:
        client.send(head())
        wait_until(lambda: swaps.served.running.server.in_flight)
        assert not swaps.retire(swaps.swap(), timeout=0.05)
        assert client.read_response().status == 503


# --- handlers of handlers ---


def test_files_hooks_and_mounts_are_waited_for(code, tmp_path):
    file = tmp_path / "large"
    file.write_bytes(b"x" * 16_000_000)
    asked = asyncio.Event()

    async def hold(request):
        if request.path == "/app/held":
            await asked.wait()

    def make(number):
        hooked = Hooked(code.asgi(number), Hooks(on_request=hold), "/app")
        return Mounts([Mounted("/app", hooked), Mounted("/", StaticFiles(str(tmp_path)))], NotFound(), 0)

    with swapping(make) as swaps, swaps.served.client() as files, swaps.served.client() as held:
        files.send(head("/large"))
        wait_until(lambda: swaps.served.running.server.in_flight)
        old = swaps.swap()
        assert not swaps.finished(old)
        assert files.read_response().body == file.read_bytes()
        wait_until(lambda: swaps.finished(old))
        held.send(head("/app/held"))
        wait_until(lambda: swaps.served.running.server.in_flight)
        newer = swaps.swap()
        assert swaps.retire(old)
        assert not swaps.finished(newer)
        swaps.served.running.call(asked.set)
        answer = held.read_response()
        assert version(answer.headers, answer.body) == 2  # whose hook has let it pass
        assert swaps.retire(newer)


# --- what is left ---


@both_loops
@both_kinds
def test_nothing_of_an_application_is_left_but_its_open_connections(code, kind, loop):
    """Remembered heads, contexts of connections and threads do not keep its objects."""
    others = set(threading.enumerate())

    def threads():
        return sum(thread.name.startswith("wsgi-") for thread in threading.enumerate() if thread not in others)

    with swapping(getattr(code, kind), loop) as swaps:
        clients = [swaps.served.client() for _ in range(3)]
        swaps.retire(swaps.swap())  # what the test itself holds on to is the first
        h2 = H2Client(swaps.served.running.address)
        for _ in range(3):
            for client in clients:
                assert client.request(head()).header(b"x-version") == b"2"
            h2.get()
        app = weakref.ref(swaps.handler._handler.app)
        for number in range(3, 6):
            assert swaps.retire(swaps.swap())
            for client in clients:
                assert client.request(head()).header(b"x-version") == b"%d" % number
            assert h2.get()[0] == 200
        wait_until(lambda: threads() == (4 if kind == "wsgi" else 0))
        gc.collect()
        assert app() is None
        for client in (*clients, h2.sock):
            client.close()
    wait_until(lambda: not threads())
