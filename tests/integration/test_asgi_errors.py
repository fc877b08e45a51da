"""What an ASGI application does wrong: the client gets 500 and no text of it, the log gets all, others get on."""

import asyncio
import socket
import struct
import threading

import pytest

from tests.support.applications import answer, asgi, begin, head, part
from tests.support.h2client import H2Client
from tests.support.raw import BadResponse
from tests.support.waiting import wait_until


def with_probe(app):
    """*app*, but /probe is answered well."""

    async def both(scope, receive, send):
        if scope["path"] == "/probe":
            await answer(send, b"probe")
        else:
            await app(scope, receive, send)

    return both


class OwnBase(BaseException):
    """Something that is no Exception."""


RAISED = [
    ValueError("secret"),
    OSError("secret"),
    ConnectionResetError("secret"),
    TimeoutError("secret"),
    StopIteration("secret"),
    StopAsyncIteration("secret"),
    SystemExit("secret"),
    KeyboardInterrupt("secret"),
    GeneratorExit("secret"),
    asyncio.CancelledError("secret"),
    OwnBase("secret"),
    ExceptionGroup("secret", [ValueError("secret")]),
    BaseExceptionGroup("secret", [SystemExit("secret")]),
    MemoryError("secret"),
    RecursionError("secret"),
]


@pytest.mark.parametrize("error", RAISED, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("awaits", [False, True])
def test_whatever_the_application_raises_is_500_without_its_text(error: BaseException, awaits: bool):
    """docs/applications.md: the text goes to the log with a request id; the connection and the worker live."""

    async def app(scope, receive, send):
        if awaits:
            await asyncio.sleep(0)
        raise error

    with asgi(with_probe(app)) as served, served.client() as client:
        response = client.request(head())
        assert response.status == 500
        everything = b"%r%r" % (response.headers, response.body)
        assert b"secret" not in everything
        assert type(error).__name__.encode() not in everything
        record = served.logs.wait_for("application")
        assert record.fields["request"].encode() == response.header(b"x-request-id")
        assert client.request(head("/probe")).body == b"probe"


def test_the_log_has_the_traceback():
    async def app(scope, receive, send):
        raise ValueError("what happened")

    with asgi(app) as served:
        served.get("/where?what")
        record = served.logs.wait_for("application raised")
        assert record.exc_info[0] is ValueError
        assert str(record.exc_info[1]) == "what happened"
        assert (record.fields["method"], record.fields["path"]) == ("GET", "/where")


@pytest.mark.parametrize("chunked", [False, True])
def test_an_exception_in_the_middle_cuts_the_answer(chunked: bool):
    """RFC 9112, section 8: the client must see that it is incomplete."""

    async def app(scope, receive, send):
        await begin(send, headers=[] if chunked else [(b"content-length", b"10")])
        await part(send, b"half")
        raise ValueError("secret")

    with asgi(with_probe(app)) as served, served.client() as client:
        client.send(head() + head("/probe"))
        with pytest.raises(BadResponse):
            client.read_response()
        assert b"probe" not in client.read_to_end()
        assert served.logs.wait_for("application raised ValueError")


def test_an_exception_after_the_answer_harms_nobody():
    """The answer was complete: it stays, and so does the connection."""

    async def app(scope, receive, send):
        await answer(send, b"done")
        raise ValueError("late")

    with asgi(with_probe(app)) as served, served.client() as client:
        assert client.request(head()).body == b"done"
        assert served.logs.wait_for("application raised ValueError")
        assert client.request(head("/probe")).body == b"probe"


@pytest.mark.parametrize("begun", [False, True])
def test_an_application_that_returns_without_an_answer(begun: bool):
    async def app(scope, receive, send):
        if begun:
            await begin(send)

    with asgi(with_probe(app)) as served, served.client() as client:
        assert client.request(head()).status == 500
        assert served.logs.wait_for("returned")
        assert client.request(head("/probe")).body == b"probe"


def test_an_application_that_returns_in_the_middle_of_its_answer():
    async def app(scope, receive, send):
        await begin(send)
        await part(send, b"half")

    with asgi(app) as served, served.client() as client:
        with pytest.raises(BadResponse):
            client.request(head())
        assert served.logs.wait_for("returned before the response was complete")


def test_an_application_that_raises_when_it_is_called():
    """A plain function that returns a coroutine is an application too, and may fail before there is one."""

    def app(scope, receive, send):
        raise ValueError("secret")

    with asgi(app) as served, served.client() as client:
        assert client.request(head()).status == 500
        assert client.request(head()).status == 500


INJECTIONS = {
    "CR LF in a value": (b"x-a", b"1\r\nx-b: 2"),
    "LF in a value": (b"x-a", b"1\nx-b: 2"),
    "CR in a value": (b"x-a", b"1\r2"),
    "NUL in a value": (b"x-a", b"1\x002"),
    "ESC in a value": (b"x-a", b"\x1b[2J"),
    "DEL in a value": (b"x-a", b"\x7f"),
    "CR LF in a name": (b"x-a: 1\r\nx-b", b"2"),
    "space in a name": (b"x a", b"1"),
    "space behind a name": (b"x-a ", b"1"),
    "colon in a name": (b"x-a:", b"1"),
    "NUL in a name": (b"x\0a", b"1"),
    "no name": (b"", b"1"),
    "a name outside of ASCII": ("é".encode(), b"1"),
    "CR LF in content-length": (b"content-length", b"1\r\nx-b: 2"),
    "CR LF in connection": (b"connection", b"close\r\nx-b: 2"),
    "CR LF in date": (b"date", b"x\r\nx-b: 2"),
    "CR LF in transfer-encoding": (b"transfer-encoding", b"chunked\r\nx-b: 2"),
}


@pytest.mark.parametrize("case", INJECTIONS)
def test_response_splitting_is_refused(case: str):
    """RFC 9110, section 5.5; ASGI applications pass on what users sent: 500 and a log line, nothing of it sent."""

    async def app(scope, receive, send):
        await answer(send, b"body", headers=[(b"x-good", b"1"), INJECTIONS[case]])

    with asgi(with_probe(app)) as served, served.client() as client:
        for _ in range(2):  # what was judged once is remembered: it must not be let through then
            response = client.request(head())
            assert response.status == 500
            assert {name for name, _ in response.headers} <= {
                b"content-type",
                b"content-length",
                b"date",
                b"server",
                b"x-request-id",
            }
        assert served.logs.wait_for("application raised ResponseError")
        assert client.request(head("/probe")).body == b"probe"


@pytest.mark.parametrize("name", [b"x-a", b"trailer", b"content-length", b"transfer-encoding", b"connection"])
def test_trailers_cannot_inject_nor_frame(name: bytes):
    """RFC 9110, section 6.5.1."""

    async def app(scope, receive, send):
        await begin(send, trailers=True)
        await part(send, b"body", more_body=False)
        value = b"1\r\nx-b: 2" if name == b"x-a" else b"5"
        await send({"type": "http.response.trailers", "headers": [(name, value)]})

    with asgi(app) as served, served.client() as client:
        client.send(head())
        with pytest.raises(BadResponse):
            client.read_response()
        assert b"x-b" not in client.read_to_end()


WRONG_STARTS = {
    "status as text": {"status": "200"},
    "status as None": {"status": None},
    "no status": {},
    "status 0": {"status": 0},
    "status 99": {"status": 99},
    "status 100": {"status": 100},
    "status 101": {"status": 101},
    "status 103": {"status": 103},
    "status 600": {"status": 600},
    "status True": {"status": True},
    "status 200.0": {"status": 200.0},
    "headers as dict": {"status": 200, "headers": {"x-a": "1"}},
    "headers as text": {"status": 200, "headers": [("x-a", "1")]},
    "headers as bytes": {"status": 200, "headers": b"x-a: 1"},
    "headers as numbers": {"status": 200, "headers": [(b"x-a", 1)]},
    "headers of three": {"status": 200, "headers": [(b"x-a", b"1", b"2")]},
    "headers None": {"status": 200, "headers": [None]},
    "headers as bytearray": {"status": 200, "headers": [(bytearray(b"x-a"), b"1")]},
}


@pytest.mark.parametrize("case", WRONG_STARTS)
def test_a_wrong_start_is_500(case: str):
    """ASGI spec "Response Start": the status is an int, the headers are pairs of byte strings."""

    async def app(scope, receive, send):
        await send({"type": "http.response.start", **WRONG_STARTS[case]})
        await part(send, b"x", more_body=False)

    with asgi(with_probe(app)) as served, served.client() as client:
        assert client.request(head()).status == 500
        assert served.logs.wait_for("application raised")
        assert client.request(head("/probe")).body == b"probe"


@pytest.mark.parametrize("body", ["text", None, 5, [b"x"]], ids=repr)
@pytest.mark.parametrize("length", [None, b"4"])
@pytest.mark.parametrize("more", [False, True])
def test_a_body_of_a_wrong_type_is_500(body, length: bytes | None, more: bool):
    """ASGI spec "Response Body": the body is a byte string. Nothing was sent yet, so there can be an answer."""

    async def app(scope, receive, send):
        await begin(send, headers=[(b"content-length", length)] if length else [])
        await send({"type": "http.response.body", "body": body, "more_body": more})
        await part(send, b"", more_body=False)

    with asgi(with_probe(app)) as served, served.client() as client:
        assert client.request(head()).status == 500
        assert served.logs.wait_for("application raised")
        assert client.request(head("/probe")).body == b"probe"


def test_a_later_part_of_a_wrong_type_cuts_the_answer():
    async def app(scope, receive, send):
        await begin(send)
        await part(send, b"one")
        await send({"type": "http.response.body", "body": "two", "more_body": True})

    with asgi(with_probe(app)) as served, served.client() as client:
        client.send(head() + head("/probe"))
        with pytest.raises(BadResponse):
            client.read_response()
        assert b"probe" not in client.read_to_end()


MISUSE = {
    "body before start": [{"type": "http.response.body", "body": b"x"}],
    "trailers before start": [{"type": "http.response.trailers", "headers": []}],
    "pathsend before start": [{"type": "http.response.pathsend", "path": __file__}],
    "start twice": [{"type": "http.response.start", "status": 200}] * 2,
    "unknown type": [{"type": "http.response.nonsense"}],
    "websocket type": [{"type": "websocket.accept"}],
    "lifespan type": [{"type": "lifespan.startup.complete"}],
    "no type": [{"status": 200}],
    "type None": [{"type": None}],
    "no dict": ["http.response.start"],
    "pathsend of nothing": [
        {"type": "http.response.start", "status": 200},
        {"type": "http.response.pathsend", "path": "/nonexistent/file"},
    ],
    "unannounced trailers": [
        {"type": "http.response.start", "status": 200},
        {"type": "http.response.trailers", "headers": [(b"x-a", b"1")]},
    ],
}


@pytest.mark.parametrize("case", MISUSE)
def test_a_wrong_message_is_raised_in_the_application(case: str):
    """ASGI spec "Applications": a server raises for messages that it does not know or that come out of order."""
    raised = []

    async def app(scope, receive, send):
        try:
            for message in MISUSE[case]:
                await send(message)
        except Exception as error:
            raised.append(error)
            raise

    with asgi(with_probe(app)) as served, served.client() as client:
        assert client.request(head()).status == 500
        assert client.request(head("/probe")).body == b"probe"
    assert len(raised) == 1


AFTERWARDS = [
    {"type": "http.response.start", "status": 200, "headers": []},
    {"type": "http.response.body", "body": b"after", "more_body": False},
    {"type": "http.response.body", "body": b"after", "more_body": True},
    {"type": "http.response.trailers", "headers": []},
    {"type": "http.response.early_hint", "links": [b"</a>"]},
    {"type": "http.response.pathsend", "path": __file__},
]


@pytest.mark.parametrize("message", AFTERWARDS, ids=lambda message: f"{message['type']}{len(message)}")
def test_a_message_after_the_end_reaches_no_client(message: dict):
    """The answer is complete: whatever comes then is refused, and the next answer is clean."""
    raised = []

    async def app(scope, receive, send):
        await answer(send, b"done")
        try:
            await send(message)
        except Exception as error:
            raised.append(error)

    with asgi(with_probe(app)) as served, served.client() as client:
        assert client.request(head()).body == b"done"
        wait_until(lambda: raised)
        response = client.request(head("/probe"))
        assert (response.body, response.interim) == (b"probe", [])


def test_a_late_task_cannot_write_into_another_answer():
    """What a request left running still holds its send(): it must not reach whoever is answered now."""
    go_on = asyncio.Event()
    errors = []

    async def app(scope, receive, send):
        async def late():
            await go_on.wait()
            for message in AFTERWARDS:
                try:
                    await send(message)
                except Exception as error:
                    errors.append(error)

        scope["state"]["task"] = tasks.append(asyncio.create_task(late()))
        await answer(send, b"done")

    tasks: list[asyncio.Task] = []

    async def second(scope, receive, send):
        await begin(send)
        await part(send, b"one")
        go_on.set()
        await tasks[0]
        await part(send, b"two", more_body=False)

    async def both(scope, receive, send):
        await (second if scope["path"] == "/second" else app)(scope, receive, send)

    with asgi(both) as served, served.client() as client:
        assert client.request(head()).body == b"done"
        response = client.request(head("/second"))
        assert (response.body, response.interim) == (b"onetwo", [])
        wait_until(lambda: len(errors) == len(AFTERWARDS))


@pytest.mark.parametrize("name", [b"keep-alive", b"te", b"proxy-connection"])
def test_fields_of_the_connection_are_not_the_applications(name: bytes):
    """RFC 9110, section 7.6.1: whatever becomes of the answer, the field is not in it."""

    async def app(scope, receive, send):
        await answer(send, b"x", headers=[(name, b"x")])

    with asgi(app) as served:
        assert served.get().values(name) == []


def test_an_application_that_gives_up_with_its_client_is_no_error():
    """docs/applications.md: Django's handler, for one, returns when it gets http.disconnect."""
    returned = threading.Event()

    async def app(scope, receive, send):
        while (await receive())["type"] != "http.disconnect":
            pass
        returned.set()

    with asgi(app) as served:
        with served.client() as client:
            client.send(head())
            wait_until(lambda: served.running.server.in_flight == 1)
        assert returned.wait(5)
        wait_until(lambda: served.running.server.in_flight == 0)
        served.running.call(lambda: asyncio.sleep(0))  # a turn of the loop: the application has returned
        assert not served.logs.named("application")


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_an_answer_that_a_client_does_not_take_any_more_is_no_error(loop: str):
    """It has gone without its body being complete, and the first bytes of the answer find that out."""
    arrived, left = threading.Event(), threading.Event()

    async def app(scope, receive, send):
        arrived.set()
        assert left.wait(10)  # without the event loop, which would else notice
        await answer(send, b"early")

    with asgi(app, loop) as served:
        with served.client() as client:
            client.send(head("/", "Content-Length: 1000000", method="POST"))
            assert arrived.wait(10)
        left.set()
        server = served.running.server
        wait_until(lambda: not server.connections and not server.in_flight)
        assert not served.logs.named("application")


@pytest.mark.parametrize("protocol", ["HTTP/1.1", "HTTP/2"])
@pytest.mark.parametrize(
    "message",
    [{"type": "http.response.start", "status": 200}, {"type": "http.response.early_hint", "links": [b"</a>"]}],
    ids=["start", "early hint"],
)
def test_an_application_that_answers_a_client_that_is_gone_is_no_error(protocol: str, message: dict):
    """ASGI spec 2.4, "Disconnected Client": send raises an OSError, for the start of the answer as for the rest."""
    through, caught = threading.Event(), []

    async def app(scope, receive, send):
        while (await receive())["type"] != "http.disconnect":
            pass
        try:
            await send(message)
        except Exception as error:
            caught.append(error)
            raise
        finally:
            through.set()

    with asgi(app) as served:
        if protocol == "HTTP/2":
            with H2Client(served.running.address) as client:
                client.start()
                wait_until(lambda: served.running.server.in_flight == 1)
        else:
            with served.client() as client:
                client.send(head())
                wait_until(lambda: served.running.server.in_flight == 1)
                client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        assert through.wait(5)
        served.running.call(lambda: asyncio.sleep(0))  # a turn of the loop: the application has ended
        assert [isinstance(error, OSError) for error in caught] == [True]
        assert not served.logs.named("application")
