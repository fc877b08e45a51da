"""What clients do over HTTP/2 that want to hurt: it costs a bounded amount, and others are served meanwhile."""

import asyncio
import contextlib
import gc
import socket
import tracemalloc

import pytest

from hornbeamd.http.h2.frames import (
    CONTINUATION,
    DATA,
    FRAME_SIZE,
    GOAWAY,
    HEADERS,
    PING,
    PRIORITIZED,
    PRIORITY,
    SETTINGS,
    Code,
    Setting,
)
from tests.support.applications import answer, asgi, read_body
from tests.support.h2client import H2Client
from tests.support.h2frames import GET, OPENING, POST, block, data, frame, headers, post, reset, setting, window, word
from tests.support.raw import DEADLINE
from tests.support.waiting import wait_until

# What a client that hurts may make this process keep.
MOST = 24 << 20


class Attacker:
    """Sends bytes, whatever comes back; reads only where it is asked to."""

    def __init__(self, served, opening=OPENING):
        self.socket = socket.create_connection(served.running.address, DEADLINE)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        self.received = bytearray()
        self.send(opening)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def send(self, sent):
        """Send *sent*, and take what has come; False where the server wants no more of it."""
        view = memoryview(sent)
        try:
            while view:
                self.take()
                self.socket.settimeout(DEADLINE)
                view = view[self.socket.send(view[:65536]) :]
        except (BrokenPipeError, ConnectionResetError):
            return False
        return True

    def take(self):
        """Take what has come, without waiting."""
        self.socket.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            while part := self.socket.recv(1 << 18):
                self.received += part

    def end(self):
        """Read to the end; the code of the last GOAWAY, None where there was none."""
        self.socket.settimeout(DEADLINE)
        with contextlib.suppress(ConnectionResetError):
            while part := self.socket.recv(1 << 18):
                self.received += part
        rest, code = bytes(self.received), None
        while len(rest) >= 9:
            end = 9 + int.from_bytes(rest[:3], "big")
            if rest[3] == GOAWAY:
                code = Code(int.from_bytes(rest[13:17], "big"))
            rest = rest[end:]
        return code


@pytest.fixture(params=["native", "h2"])
def engine(request):
    return request.param


async def echo(scope, receive, send):
    await answer(send, await read_body(receive))


def flooded(served, *pieces, times):
    """Send *pieces* in turn, again and again, until the server ends the connection; return the code it gives."""
    with Attacker(served) as attacker:
        for number in range(times):
            if not attacker.send(b"".join(piece(number) if callable(piece) else piece for piece in pieces)):
                break
        code = attacker.end()
    with H2Client(served.running.address) as client:
        assert client.get()[0] == 200
    return code


def many(make, count=200):
    """A piece of many frames: *make* is called with numbers that grow over all pieces."""
    return lambda number: b"".join(make(number * count + index) for index in range(count))


def odd(number):
    return 2 * number + 1


FLOODS = {
    # Rapid Reset.
    "reset": many(lambda n: headers(odd(n)) + reset(odd(n))),
    "reset of uploads": many(lambda n: post(odd(n)) + data(odd(n), b"x") + reset(odd(n))),
    # Control frames.
    "ping": many(lambda n: frame(PING, 0, 0, bytes(8))),
    "ping behind a stream of a high number": many(lambda n: frame(PING, 0, 0, bytes(8)) if n else headers(2**31 - 1)),
    "acknowledged pings": many(lambda n: frame(PING, 1, 0, bytes(8))),
    "settings": many(lambda n: setting((Setting.INITIAL_WINDOW_SIZE, 1000 + n % 2))),
    "settings of tables": many(lambda n: setting((Setting.HEADER_TABLE_SIZE, 4096 * (n % 2)))),
    "empty settings": many(lambda n: setting()),
    "acknowledged settings": many(lambda n: frame(SETTINGS, 1)),
    "priority": many(lambda n: frame(PRIORITY, 0, odd(n), word(0) + b"\x10")),
    "unknown frames": many(lambda n: frame(0xEE, 0, 0, b"")),
    "goaway": many(lambda n: frame(GOAWAY, 0, 0, bytes(8))),
    # Frames without content.
    "empty data": many(lambda n: data(1) if n else post(1)),
    "empty data, padded": many(lambda n: frame(DATA, 8, 1, b"\x10" + bytes(16)) if n else post(1)),
    "empty continuation": many(lambda n: frame(CONTINUATION, 0, 1) if n else headers(1, whole=False)),
    # Window updates of a byte.
    "windows of the connection": many(lambda n: window(0, 1)),
    "windows of a stream": many(lambda n: window(1, 1) if n else post(1)),
    # MadeYouReset: streams that the server is to reset.
    "fields that are malformed": many(lambda n: headers(odd(n), *GET, (b"X", b"y"))),
    "a length that is not kept": many(lambda n: post(odd(n), (b"content-length", b"1")) + data(odd(n), b"ab")),
    "trailers that end nothing": many(lambda n: post(odd(n)) + headers(odd(n), (b"x", b"y"), end=False)),
    "trailers that are malformed": many(lambda n: post(odd(n)) + headers(odd(n), (b"X", b"y"))),
    "a body that is too large": many(lambda n: post(odd(n)) + data(odd(n), bytes(300))),
    "streams beyond the limit": many(lambda n: post(odd(n))),
}


@pytest.mark.parametrize("what", FLOODS)
def test_floods_end_the_connection(engine, what):
    with asgi(echo, http2_engine=engine, max_body_size=200) as served:
        code = flooded(served, FLOODS[what], times=100)
    # Behind 64 frames of a block, or a length that is not kept, the library ends the connection sooner.
    sooner = {"empty continuation", "a length that is not kept", "trailers that end nothing"}
    expected = {Code.ENHANCE_YOUR_CALM} | ({Code.PROTOCOL_ERROR} if engine == "h2" and what in sooner else set())
    assert code in expected


# MadeYouReset, where we end the connection at once: whatever a stream error may be, no client in earnest makes these.
PROVOKED = {
    "a window of nothing": window(1, 0),
    "a window beyond its limit": window(1, 2**31 - 1),
    "data behind the end": data(1, b"x"),
    "headers behind the end": headers(1),
    "a priority of a wrong size": frame(PRIORITY, 0, 1, b"x"),
    "a stream that depends on itself": frame(HEADERS, 0x5 | PRIORITIZED, 3, word(3) + b"\x10" + block(GET)),
}


@pytest.mark.parametrize("what", PROVOKED)
def test_resets_are_not_provoked(engine, what):
    def piece(number):
        return headers(odd(number)) + PROVOKED[what].replace(word(1), word(odd(number)))

    with asgi(echo, http2_engine=engine) as served:
        assert flooded(served, piece, times=5000) in (
            Code.PROTOCOL_ERROR,
            Code.FLOW_CONTROL_ERROR,
            Code.STREAM_CLOSED,
            Code.FRAME_SIZE_ERROR,
            Code.ENHANCE_YOUR_CALM,
        )


def test_a_header_block_without_end(engine):
    with asgi(echo, http2_engine=engine) as served, Attacker(served) as attacker:
        attacker.send(headers(1, whole=False))
        piece = frame(CONTINUATION, 0, 1, bytes(FRAME_SIZE))
        for _ in range(100):
            if not attacker.send(piece):
                break
        assert attacker.end() in (Code.ENHANCE_YOUR_CALM, Code.PROTOCOL_ERROR)


@contextlib.contextmanager
def little_is_kept(most=MOST):
    """Measure what this process keeps beyond what it kept before, in all that runs in Python."""
    gc.collect()
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < most, tracemalloc.take_snapshot().statistics("lineno")[:5]
    finally:
        tracemalloc.stop()


def bomb(stream, count):
    """A request that names a field of the table *count* times; the first stores it."""
    stored = b"\x40\x01x\x7f\xa1\x1e" + b"y" * 4000 if stream == 1 else b""
    return frame(HEADERS, 5, stream, block(GET) + stored + b"\xbe" * count)


def test_a_field_of_the_table_named_thousands_of_times(engine):
    """The memory of a list that is never answered: a window of nothing keeps the streams open."""
    with asgi(echo, http2_engine=engine) as served, little_is_kept():
        with Attacker(served, OPENING + setting((Setting.INITIAL_WINDOW_SIZE, 0))) as attacker:
            attacker.send(b"".join(bomb(odd(number), 14) for number in range(90)))
            attacker.send(bomb(odd(90), 16000))
            assert attacker.end() == Code.ENHANCE_YOUR_CALM
        assert served.get().status == 200


def test_crumbs_of_cookies_are_no_longer_together_than_one_cookie_may_be(engine):
    with asgi(echo, http2_engine=engine) as served, H2Client(served.running.address) as client:
        crumb = (b"cookie", b"a" * 800)
        assert client.get(b"/", *[crumb] * 10)[0] == 200
        assert client.get(b"/", *[crumb] * 11)[0] == 431


def test_settings_that_are_never_acknowledged(engine):
    with asgi(echo, http2_engine=engine) as served, Attacker(served) as attacker:
        attacker.send(b"".join(headers(odd(number)) for number in range(50)))
        wait_until(lambda: served.running.server.requests == 50)
        attacker.take()
        assert b"too many" not in attacker.received


# The h2 library works for a second on what these ask of it, and on a busy machine for much longer.
SLOW = 40.0


async def long_head(scope, receive, send):
    """An answer that waits for no window. In several fields, for the h2 library takes long over one that is long."""
    await answer(send, headers=[(b"x-long", b"y" * 1000)] * 8)


NO_TABLE = setting((Setting.HEADER_TABLE_SIZE, 0))
"""Fields that come again are as long as the first time."""


def small_socket():
    """A listening socket whose connections hold little for clients that take nothing."""
    listener = socket.create_server(("127.0.0.1", 0))
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 16384)
    return listener


def ask_and_never_take(served, attacker, until):
    """Ask for as many answers as may be under way, again and again, until *until*; return how many there were."""
    sent = 0

    def more():
        nonlocal sent
        if served.running.server.requests == sent:
            attacker.socket.sendall(b"".join(headers(odd(sent + index)) for index in range(50)))
            sent += 50
        return until()

    wait_until(more, deadline=SLOW)
    return sent


def test_from_a_client_that_takes_no_answers_no_more_requests_are_read(engine):
    with asgi(long_head, listener=small_socket(), http2_engine=engine) as served, Attacker(served) as attacker:
        attacker.send(NO_TABLE)
        (connection,) = wait_until(lambda: list(served.running.server.connections))
        sent = ask_and_never_take(served, attacker, lambda: not connection.transport.is_reading())
        assert connection.transport.get_write_buffer_size() < 4 << 20
        with H2Client(served.running.address) as client:
            assert client.get()[0] == 200
        attacker.send(headers(odd(sent)))
        wait_until(lambda: (attacker.take(), served.running.server.requests == sent + 2)[1])


def test_a_client_that_takes_no_answers_is_aborted(engine):
    with (
        asgi(long_head, listener=small_socket(), http2_engine=engine, send_timeout=0.2) as served,
        Attacker(served) as attacker,
    ):
        attacker.send(NO_TABLE)
        connections = served.running.server.connections
        with contextlib.suppress(ConnectionResetError, BrokenPipeError):
            ask_and_never_take(served, attacker, lambda: served.running.server.requests and not connections)
        assert served.logs.wait_for("client takes no data, connection aborted")


def test_a_body_in_bytes_that_nobody_reads(engine):
    """Frames of two bytes cost no more than what they hold, while the application does not ask for them."""

    async def app(scope, receive, send):
        await gate.wait()
        await answer(send)

    gate = asyncio.Event()

    def bodies(served):
        return [
            stream.exchange
            for connection in served.running.server.connections
            if hasattr(connection, "engine")
            for stream in connection.engine.streams.values()
        ]

    with asgi(app, http2_engine=engine) as served, little_is_kept(4 << 20), Attacker(served) as attacker:
        attacker.send(post(1) + data(1, b"xx") * 10000)
        wait_until(lambda: any(each and each.buffered == 20_000 for each in bodies(served)), deadline=SLOW)
        (exchange,) = bodies(served)
        assert len(exchange.chunks) < 20
        served.running.call(gate.set)


def test_a_byte_at_a_time(engine):
    with asgi(echo, http2_engine=engine) as served, Attacker(served, b"") as attacker:
        for byte in OPENING + headers(1) + post(3) + data(3, b"abc", end=True):
            attacker.send(bytes((byte,)))
        wait_until(lambda: served.running.server.requests == 2)


def test_a_window_of_a_byte(engine):
    async def app(scope, receive, send):
        await answer(send, b"x" * 300)

    with asgi(app, http2_engine=engine) as served, H2Client(served.running.address, initial_window_size=1) as client:
        stream = client.start()
        client.finish(stream)
        assert bytes(client.bodies[stream]) == b"x" * 300


def test_a_table_that_flips(engine):
    """Sizes of the table that change in every block: what was remembered is forgotten, and nothing grows."""
    with asgi(echo, http2_engine=engine) as served, little_is_kept(), Attacker(served) as attacker:
        for number in range(300):
            size = b"\x20" if number % 2 else b"\x3f\xe1\x1f"
            attacker.send(frame(HEADERS, 5, odd(number), size + block(GET) + b"\x40\x01x\x64" + b"y" * 100))
            if number % 50 == 49:
                wait_until(lambda done=number + 1: served.running.server.requests == done)


@pytest.mark.parametrize("junk", [b"\0" * 50000, b"\xff" * 50000, b"GET / HTTP/1.1\r\n\r\n" * 100])
def test_junk_behind_the_preface(engine, junk):
    with asgi(echo, http2_engine=engine) as served, Attacker(served) as attacker:
        attacker.send(junk)
        assert attacker.end() is not None
        assert served.get().status == 200


def test_what_cannot_be_decoded_is_not_told_back(engine):
    """The library's words for a number that is too long quote the block: a small frame would make a large GOAWAY."""
    with asgi(echo, http2_engine=engine) as served, Attacker(served) as attacker:
        attacker.send(frame(HEADERS, 5, 1, b"\x0f" + b"\xff" * 16000))
        assert attacker.end() == Code.COMPRESSION_ERROR
        assert len(attacker.received) < 500
        (record,) = served.logs.named("connection refused")
        assert len(record.fields["reason"]) < 200


def test_memory_goes_with_the_connection(engine):
    with asgi(echo, http2_engine=engine) as served:
        for _ in range(20):
            with Attacker(served) as attacker:
                attacker.send(b"".join(headers(odd(number), *POST, end=False) for number in range(90)))
        wait_until(lambda: not served.running.server.connections)
        wait_until(lambda: served.running.server.in_flight == 0)
