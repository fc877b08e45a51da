"""Flow control in both directions: neither side's memory pays for the other's slowness (docs/applications.md)."""

import asyncio
import socket
import threading

import pytest

from tests.support.applications import PARSERS, answer, asgi, begin, head, part, read_body, wsgi
from tests.support.raw import BadResponse, RawClient
from tests.support.waiting import wait_until

TOTAL = 100 * 2**20
BLOCK = 2**16
SOCKETS = 16 * 2**20
"""More than the kernel buffers between two sockets of this machine."""

both_loops = pytest.mark.parametrize("loop", ["asyncio", "uvloop"])


def settled(value) -> int:
    """What *value* returns when it no longer changes."""
    seen = [value()]
    wait_until(lambda: (seen.append(value()), len(seen) > 30 and len(set(seen[-30:])) == 1)[1])
    return seen[-1]


@both_loops
def test_an_asgi_application_waits_for_a_client_that_does_not_read(loop: str):
    """ASGI spec, "send": awaiting it is how the application feels the client's pace."""
    sent = 0

    async def app(scope, receive, send):
        nonlocal sent
        await begin(send)
        for _ in range(TOTAL // BLOCK):
            await part(send, b"x" * BLOCK)
            sent += BLOCK
        await part(send, b"", more_body=False)

    with asgi(app, loop) as served:
        with served.client() as client:
            client.send(head())
            wait_until(lambda: sent > BLOCK)
            assert settled(lambda: sent) < SOCKETS
        wait_until(lambda: not served.running.server.connections)


@both_loops
@pytest.mark.parametrize("more", [False, True], ids=["at once", "in two parts"])
def test_an_asgi_application_is_through_when_it_has_given_all(loop: str, more: bool):
    """Nobody takes anything of the answer, and there is nothing left to wait for."""
    through = threading.Event()

    async def app(scope, receive, send):
        await begin(send)
        if more:
            await part(send, b"first")
        await part(send, b"x" * SOCKETS, more_body=False)
        through.set()

    with asgi(app, loop) as served, served.client() as client:
        client.send(head())
        assert through.wait(10)


@both_loops
def test_a_wsgi_application_waits_for_a_client_that_does_not_read(loop: str):
    """PEP 3333, "Buffering and Streaming": a thread may be a little ahead of the client and no more."""
    sent = 0
    closed = threading.Event()

    def app(environ, start_response):
        start_response("200 OK", [("Content-Type", "text/plain")])
        return Blocks()

    class Blocks:
        def __iter__(self):
            nonlocal sent
            for _ in range(TOTAL // BLOCK):
                sent += BLOCK
                yield b"x" * BLOCK

        def close(self):
            closed.set()

    with wsgi(app, loop) as served:
        with served.client() as client:
            client.send(head())
            wait_until(lambda: sent > BLOCK)
            assert settled(lambda: sent) < SOCKETS
            assert not closed.is_set()
        assert closed.wait(5)


@both_loops
@pytest.mark.parametrize("parser", PARSERS)
def test_a_client_waits_for_an_application_that_does_not_receive(loop: str, parser: str):
    """What is not asked for stays in the kernel, and so with the client."""
    go_on = threading.Event()

    async def app(scope, receive, send):
        await asyncio.to_thread(go_on.wait, 10)
        await answer(send, b"%d" % len(await read_body(receive)))

    taken = 0

    def push(client: RawClient) -> None:
        nonlocal taken
        client.send(head("/", f"Content-Length: {TOTAL // 4}", method="POST"))
        client.socket.settimeout(10)
        while taken < TOTAL // 4:
            taken += client.socket.send(b"x" * min(BLOCK, TOTAL // 4 - taken))

    with asgi(app, loop, http_parser=parser) as served, served.client() as client:
        sender = threading.Thread(target=push, args=(client,))
        sender.start()
        wait_until(lambda: taken > BLOCK)
        assert settled(lambda: taken) < SOCKETS
        go_on.set()
        sender.join(10)
        assert client.read_response().body == b"%d" % (TOTAL // 4)


@both_loops
@pytest.mark.parametrize("parser", PARSERS)
def test_a_wsgi_body_larger_than_memory_allows_is_streamed(loop: str, parser: str):
    """PEP 3333, "Input and Error Streams": the application reads what comes, and never is all of it held."""
    most = 0

    def app(environ, start_response):
        nonlocal most
        read = 0
        while data := environ["wsgi.input"].read(50_000):
            read += len(data)
            most = max(most, max(each.exchange.buffered for each in connections))
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b"%d" % read]

    size = 30_000_000
    with wsgi(app, loop, http_parser=parser) as served, served.client() as client:
        connections = served.running.server.connections
        client.send(head("/", f"Content-Length: {size}", method="POST"))
        block = b"x" * 1_000_000
        for _ in range(size // len(block)):
            client.send(block)
        assert client.read_response().body == b"%d" % size
    assert 0 < most < 1_000_000


@both_loops
@pytest.mark.parametrize("size", [65_535, 65_536, 65_537, 200_000, 1_000_000, 5_000_000])
@pytest.mark.parametrize("chunked", [False, True])
def test_a_wsgi_upload_in_one_go_arrives(loop: str, size: int, chunked: bool):
    """Whatever the first read brings of it."""

    def app(environ, start_response):
        body = environ["wsgi.input"].read(-1)
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b"%d" % len(body)]

    field = "Transfer-Encoding: chunked" if chunked else f"Content-Length: {size}"
    body = b"x" * size
    if chunked:
        body = b"%x\r\n%b\r\n0\r\n\r\n" % (size, body)
    with wsgi(app, loop, timeout=2.0) as served, served.client() as client:
        client.send(head("/", field, method="POST") + body)
        response = client.read_response()
        assert (response.status, response.body) == (200, b"%d" % size)


def test_an_unread_pipeline_of_answers_does_not_grow():
    """10^5 pipelined requests of a client that reads nothing are not served into memory."""
    served_requests = 0

    async def app(scope, receive, send):
        nonlocal served_requests
        served_requests += 1
        await answer(send, b"x" * 10_000)

    with asgi(app) as served, served.client() as client:
        requests = head() * 10_000

        def push() -> None:
            try:
                client.socket.settimeout(10)
                client.socket.sendall(requests)
            except OSError:
                pass

        sender = threading.Thread(target=push, daemon=True)
        sender.start()
        wait_until(lambda: served_requests > 10)
        assert settled(lambda: served_requests) * 10_000 < SOCKETS
        client.socket.shutdown(socket.SHUT_RDWR)
        sender.join(10)


@both_loops
def test_disconnect_is_told_when_the_client_goes(loop: str):
    """ASGI spec, "Disconnect - receive event": not before, and while the application waits for it."""
    events = []

    async def app(scope, receive, send):
        events.append(await receive())
        events.append(await receive())

    with asgi(app, loop) as served:
        with served.client() as client:
            client.send(head())
            wait_until(lambda: len(events) == 1)
            assert settled(lambda: len(events)) == 1
        wait_until(lambda: len(events) == 2)
    assert [event["type"] for event in events] == ["http.request", "http.disconnect"]
    assert events[0] == {"type": "http.request", "body": b"", "more_body": False}


@both_loops
def test_disconnect_is_told_when_the_client_goes_in_the_middle_of_its_body(loop: str):
    """ASGI spec: the body was not complete, and no event says that it was."""
    events = []

    async def app(scope, receive, send):
        while not events or events[-1]["type"] != "http.disconnect":
            events.append(await receive())

    with asgi(app, loop) as served:
        with served.client() as client:
            client.send(head("/", "Content-Length: 10", method="POST") + b"hello")
            wait_until(lambda: events)
        wait_until(lambda: len(events) == 2)
    assert events[0] == {"type": "http.request", "body": b"hello", "more_body": True}


def test_after_the_answer_receive_tells_disconnect():
    """ASGI spec, "Disconnect": also sent when receive() is called after the response has been completed."""
    events = []

    async def app(scope, receive, send):
        await receive()
        await answer(send, b"x")
        events.append(await receive())
        events.append(await receive())

    with asgi(app) as served, served.client() as client:
        assert client.request(head()).body == b"x"
        wait_until(lambda: len(events) == 2)
        assert client.request(head()).body == b"x"
    assert {event["type"] for event in events} == {"http.disconnect"}


def test_a_receive_that_waits_when_the_answer_ends_tells_disconnect():
    """A task that listens beside the one that answers (as SSE libraries have it) comes to its end."""
    events = []

    async def app(scope, receive, send):
        await receive()

        async def listen() -> None:
            events.append(await receive())

        listener = asyncio.create_task(listen())
        await asyncio.sleep(0)
        await answer(send, b"x")
        await listener

    with asgi(app) as served, served.client() as client:
        assert client.request(head()).body == b"x"
        wait_until(lambda: events)
    assert events[0]["type"] == "http.disconnect"


@both_loops
def test_a_send_that_waits_for_room_ends_when_the_client_goes(loop: str):
    """ASGI spec 2.4: the waiting send() returns or raises, and the next raises; nothing waits for ever."""
    sent = 0

    async def app(scope, receive, send):
        nonlocal sent
        await begin(send)
        while True:
            await part(send, b"x" * BLOCK)
            sent += BLOCK

    with asgi(app, loop) as served:
        with served.client() as client:
            client.send(head())
            wait_until(lambda: sent > BLOCK)
            settled(lambda: sent)
        wait_until(lambda: not served.running.server.handler.calls)
        assert not served.logs.named("application")


@both_loops
def test_send_raises_oserror_once_the_client_is_gone(loop: str):
    """ASGI spec 2.4: send() raises a subclass of OSError, which ends the application without noise."""
    errors = []

    async def app(scope, receive, send):
        await begin(send)
        await part(send, b"x")
        while (await receive())["type"] != "http.disconnect":
            pass
        try:
            for _ in range(100):
                await part(send, b"x" * 1000)
                await asyncio.sleep(0.01)
        except OSError as error:
            errors.append(error)
            raise

    with asgi(app, loop) as served:
        with served.client() as client:
            client.send(head())
            wait_until(lambda: served.running.server.in_flight)
        wait_until(lambda: errors)
        assert not served.logs.named("application")


def test_a_client_that_goes_frees_what_it_held():
    """No exchange, connection or count is left behind."""

    async def app(scope, receive, send):
        while (await receive())["type"] != "http.disconnect":
            pass

    with asgi(app) as served:
        for _ in range(50):
            with served.client() as client:
                client.send(head())
        server = served.running.server
        wait_until(lambda: not server.connections and not server.in_flight)
        assert server.row[:2] == [0, 0]
        assert not server.handler.calls


def test_the_part_of_an_answer_that_was_sent_is_read_though_the_server_closes():
    """A whole large answer to a client that asked to close arrives whole."""

    async def app(scope, receive, send):
        await answer(send, b"x" * 10_000_000)

    with asgi(app) as served, served.client() as client:
        response = client.request(head("/", "Connection: close"))
        assert len(response.body) == 10_000_000
        client.expect_end()


def test_wsgi_close_is_called_when_the_client_goes():
    """PEP 3333, "Specification Details": close() is called however the request ends."""
    closed = threading.Event()

    class Body:
        def __iter__(self):
            while True:
                yield b"x" * 10_000

        def close(self):
            closed.set()

    def app(environ, start_response):
        start_response("200 OK", [("Content-Type", "text/plain")])
        return Body()

    with wsgi(app) as served:
        with served.client() as client:
            client.send(head())
            client.socket.recv(1000)
        assert closed.wait(5)
        assert not served.logs.named("application")


def test_wsgi_reads_raise_oserror_when_the_client_goes():
    """A body that broke off must not look as if it had ended."""
    outcome = []

    def app(environ, start_response):
        start_response("200 OK", [("Content-Type", "text/plain")])
        try:
            outcome.append(environ["wsgi.input"].read(1_000_000))
        except OSError as error:
            outcome.append(error)
            raise
        return [b""]

    with wsgi(app) as served:
        with served.client() as client:
            client.send(head("/", "Content-Length: 1000000", method="POST") + b"x" * 200_000)
            wait_until(lambda: served.running.server.in_flight)
        wait_until(lambda: outcome)
        assert isinstance(outcome[0], OSError)
        assert not served.logs.named("application")


def test_an_answer_begun_before_the_body_is_read_goes_on():
    """Echo while it comes: both directions at once."""

    async def app(scope, receive, send):
        await begin(send)
        while True:
            message = await receive()
            await part(send, message["body"], more_body=message["more_body"])
            if not message["more_body"]:
                break

    size = 5_000_000
    with asgi(app) as served, served.client() as client:

        def push() -> None:
            client.socket.sendall(head("/", f"Content-Length: {size}", method="POST") + b"x" * size)

        sender = threading.Thread(target=push)
        sender.start()
        assert len(client.read_response().body) == size
        sender.join(5)


@pytest.mark.parametrize("kind", ["asgi", "wsgi"])
def test_a_stream_reaches_the_client_part_by_part(kind: str):
    """PEP 3333, "Buffering and Streaming"; ASGI: nothing waits for the end of the response."""
    received = threading.Event()

    async def app(scope, receive, send):
        await begin(send)
        await part(send, b"first")
        assert await asyncio.to_thread(received.wait, 5)
        await part(send, b"second", more_body=False)

    def wsgi_app(environ, start_response):
        start_response("200 OK", [("Content-Type", "text/plain")])
        yield b"first"
        assert received.wait(5)
        yield b"second"

    serve = asgi(app) if kind == "asgi" else wsgi(wsgi_app)
    with serve as served, served.client() as client:
        client.send(head())
        seen = b""
        while b"first" not in seen:
            seen += client.socket.recv(1000)
        client.buffer = seen
        received.set()
        assert client.read_response().body == b"firstsecond"


def test_bad_response_is_what_a_cut_answer_is():
    """The strict client tells a short answer from a whole one: what other tests stand on."""
    with pytest.raises(BadResponse):
        reader = RawClient.__new__(RawClient)
        reader.buffer, reader.closed = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nfour", True
        reader.parse_response("GET")
