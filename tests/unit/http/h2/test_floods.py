"""Budgets: what a client may ask of an engine beyond requests, and how it ends (RFC 9113, section 10.5)."""

import itertools
from collections.abc import Callable

import pytest

from hornbeamd.http.h2.frames import (
    CONTINUATION,
    END_STREAM,
    HEADERS,
    PADDED,
    PING,
    PRIORITIZED,
    PRIORITY,
    Code,
    Setting,
    StreamFault,
)
from tests.support.h2frames import (
    GET,
    Client,
    EngineFactory,
    block,
    data,
    frame,
    headers,
    padded,
    post,
    reset,
    setting,
    window,
    word,
)

Attack = Callable[[int], bytes]
"""The frames of one turn, with the number of a stream that is new."""

BURST = 2100
# What clients in earnest do in a second, by far.
PATIENCE = 50

ATTACKS: dict[str, Attack] = {
    "rapid reset": lambda n: headers(n) + reset(n),
    "rapid reset of bodies": lambda n: post(n) + reset(n),
    "malformed requests": lambda n: headers(n, (b":method", b"GET")),
    "trailers that are malformed": lambda n: post(n) + headers(n, (b"X", b"y")),
    "pings": lambda n: frame(PING, 0, 0, bytes(8)),
    "settings": lambda n: setting((Setting.INITIAL_WINDOW_SIZE, n)),
    "empty settings": lambda n: setting(),
    "acknowledgements": lambda n: setting(flags=1),
    "sizes of the table": lambda n: setting((Setting.HEADER_TABLE_SIZE, 4096 * (n & 2))),
    "priorities": lambda n: frame(PRIORITY, 0, n, word(0) + b"\x10"),
    "unknown frames": lambda n: frame(0xFA, 0, 0, b""),
    "window updates": lambda n: window(0, 1),
}
ON_A_STREAM: dict[str, bytes] = {
    "window updates": window(1, 1),
    "empty data": data(1),
    "padding": data(1, padded(b"", 3), flags=PADDED),
}


@pytest.mark.parametrize("attack", ATTACKS.values(), ids=ATTACKS)
def test_a_flood_ends_the_connection(engine: EngineFactory, attack: Attack):
    client = Client(engine)
    for number in range(1, 2 * BURST, 2):
        client.send(attack(number))
    assert client.fault == Code.ENHANCE_YOUR_CALM


@pytest.mark.parametrize("attack", ON_A_STREAM.values(), ids=ON_A_STREAM)
def test_a_flood_on_one_stream_ends_the_connection(engine: EngineFactory, attack: bytes):
    client = Client(engine)
    client.send(post(1), *[attack] * BURST)
    assert client.fault == Code.ENHANCE_YOUR_CALM


def test_empty_data_on_a_stream_that_we_have_left(engine: EngineFactory):
    client = Client(engine)
    client.send(post(1))
    client.answer(1)
    client.send(*[data(1)] * BURST)
    assert client.fault == Code.ENHANCE_YOUR_CALM


@pytest.mark.parametrize("first", [b"", padded(b"", 3), word(0) + b"\x10"], ids=["nothing", "padding", "priority"])
def test_empty_frames_of_a_header_block(engine: EngineFactory, first: bytes):
    flags = {4: PADDED, 5: PRIORITIZED}.get(len(first), 0)
    client = Client(engine)
    client.send(frame(HEADERS, END_STREAM | flags, 1, first), *[frame(CONTINUATION, 0, 1)] * BURST)
    assert client.fault in (Code.ENHANCE_YOUR_CALM, Code.PROTOCOL_ERROR), "the library counts them"
    assert not client.calls


def test_a_large_number_of_a_stream_buys_nothing(engine: EngineFactory):
    client = Client(engine)
    client.send(headers(2**31 - 1), *[frame(PING, 0, 0, bytes(8))] * BURST)
    assert client.fault == Code.ENHANCE_YOUR_CALM


@pytest.mark.parametrize("attack", ATTACKS.values(), ids=ATTACKS)
def test_clients_in_earnest_do_not_come_near(engine: EngineFactory, attack: Attack):
    client = Client(engine)
    for number in range(1, 2 * PATIENCE, 2):
        client.send(attack(number))
    assert client.fault is None


def test_a_busy_client_may_send_as_many_pings_as_requests(engine: EngineFactory):
    client = Client(engine)
    for number in range(1, 2 * BURST, 2):
        client.send(headers(number), frame(PING, 0, 0, bytes(8)), window(0, 2))
        client.answer(number, b"x")
    assert client.fault is None


def test_budgets_refill(engine: EngineFactory):
    client = Client(engine)
    for number in range(1, 2 * BURST, 2):
        client.now += 0.1
        client.send(headers(number), reset(number))
    assert client.fault is None


def test_streams_refused_because_there_are_too_many(engine: EngineFactory):
    client = Client(engine, streams=1)
    client.send(headers(1), *[headers(number) for number in range(3, 2 * BURST, 2)])
    assert client.fault == Code.ENHANCE_YOUR_CALM


@pytest.mark.parametrize("last", [headers, lambda number, *_: data(number, b"too long")], ids=["trailers", "data"])
def test_the_listener_hears_of_every_stream_whatever_the_budget(engine: EngineFactory, last: Callable[..., bytes]):
    """The stream that takes the last of it, too: nobody else would tell its application."""

    class Strict(Client):
        def data_came(self, stream, data, ended):
            raise StreamFault(Code.PROTOCOL_ERROR, "not what the head said")

    client = Strict(engine)
    for number in itertools.takewhile(lambda _: client.fault is None, range(1, 2 * BURST, 2)):
        client.send(post(number), last(number, (b"X", b"y")))
    assert client.fault == Code.ENHANCE_YOUR_CALM
    heard = {call[1] for call in client.calls if call[0] == "reset"}
    assert set(client.requests) == heard | set(client.engine.streams)


def test_a_block_is_not_so_long_that_its_fields_would_fill_the_memory(engine: EngineFactory):
    """The bomb: one field that is added, and referred to by single bytes (section 10.5.1)."""
    client = Client(engine)
    client.send(
        frame(HEADERS, END_STREAM, 1, block(GET) + b"\x40\x01x\x01y"),
        *[frame(CONTINUATION, 0, 1, b"\xbe" * 16000)] * 6,
        frame(CONTINUATION, 4, 1, b"\xbe"),
    )
    assert client.fault is not None
    assert not client.calls
