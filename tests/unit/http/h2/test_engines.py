"""What the owner of an engine relies on, whichever engine it is."""

import pytest

from hornbeamd.http.h2.engines import engine_factory
from hornbeamd.http.h2.fields import STATUS_FIELDS, literal
from hornbeamd.http.h2.frames import (
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    FRAME_SIZE,
    GOAWAY,
    HEADERS,
    PING,
    PUSH_PROMISE,
    SETTINGS,
    WINDOW,
    WINDOW_UPDATE,
    Code,
    Setting,
)
from tests.support.h2frames import GET, Client, block, data, frame, headers, post, reset, setting, window, word


@pytest.fixture(params=["native", "h2"])
def client(request: pytest.FixtureRequest) -> Client:
    return Client(engine_factory(request.param))


def kinds(client: Client) -> list[int]:
    """The kinds of frames that came behind the server's preface."""
    return [each.kind for each in client.frames[2:] if each.kind != SETTINGS]


def test_what_is_sent_first(client: Client):
    first, update = client.frames[:2]
    pairs = {first.payload[at : at + 6] for at in range(0, len(first.payload), 6)}
    values = {(3, 100), (4, 65535), (6, 65536), (8, 1)}
    assert pairs == {key.to_bytes(2, "big") + word(value) for key, value in values}
    assert (update.kind, update.stream, update.payload) == (WINDOW_UPDATE, 0, word((1 << 20) - WINDOW))


def test_a_request_and_its_answer(client: Client):
    client.send(headers(1, *GET, (b"x", b"y")))
    client.answer(1, b"x" * 20000)
    assert client.calls == [("request", 1, "GET", b"/", ((b"host", b"a"), (b"x", b"y")), True)]
    assert [(len(each.payload), each.flags) for each in client.of(DATA)] == [(FRAME_SIZE, 0), (3616, END_STREAM)]
    assert not client.engine.streams


def test_a_body(client: Client):
    client.send(post(1), data(1, b"ab"), data(1, b"c", end=True))
    assert client.calls[1:] == [("data", 1, b"ab", False), ("data", 1, b"c", True)]
    assert client.streams[1].received == 3


def test_an_answer_that_needs_no_more_of_the_request(client: Client):
    """RFC 9113, section 8.1."""
    client.send(post(1))
    client.answer(1)
    assert client.reset_code(1) == Code.NO_ERROR
    client.send(data(1, b"under way"))
    assert client.kinds == ["request"]
    assert client.alive()


def test_the_client_gives_up(client: Client):
    client.send(headers(1), reset(1))
    assert client.kinds == ["request", "reset"]
    assert not client.engine.streams
    assert not kinds(client)


def test_we_give_up(client: Client):
    client.send(post(1))
    client.engine.reset(client.streams[1], Code.CANCEL)
    client.engine.reset(client.streams[1], Code.CANCEL)
    client.send()
    assert client.reset_code(1) == Code.CANCEL


def test_room_is_what_both_windows_leave(client: Client):
    client.send(setting((Setting.INITIAL_WINDOW_SIZE, 10)), headers(1), headers(3))
    stream = client.streams[1]
    assert client.engine.room(stream) == 10
    client.answer(1, b"x" * 10, end=False)
    assert client.engine.room(stream) == 0
    client.send(window(1, 5))
    assert (client.engine.room(stream), client.calls[-1]) == (5, ("room", 1))
    client.send(setting((Setting.INITIAL_WINDOW_SIZE, 0)))
    assert client.engine.room(stream) == -5
    client.send(setting((Setting.INITIAL_WINDOW_SIZE, 1 << 20)), window(0, 10))
    assert client.engine.room(stream) == WINDOW
    assert client.calls[-2:] == [("room", None), ("room", None)]


def test_goaway_of_the_client_ends_nothing(client: Client):
    """RFC 9113, section 6.8: what was begun is completed."""
    client.send(post(1), frame(GOAWAY, 0, 0, bytes(8)), data(1, b"abc", end=True), frame(PING, 0, 0, bytes(8)))
    client.answer(1)
    assert client.bodies == {1: b"abc"}
    assert kinds(client) == [PING, HEADERS]


def test_goaway_in_two_steps(client: Client):
    """RFC 9113, section 6.8."""
    client.send(headers(1))
    client.engine.goaway(Code.NO_ERROR, final=False)
    client.send(headers(3))
    client.engine.goaway(Code.NO_ERROR)
    client.send(post(5), data(5, b"x", end=True))
    client.answer(1)
    client.answer(3)
    assert client.fault is None
    assert client.kinds == ["request", "request"]
    assert [each.payload[:4] for each in client.of(GOAWAY)] == [word(2**31 - 1), word(3)]
    assert [each.stream for each in client.of(HEADERS)] == [1, 3]


def test_a_long_block_of_fields_goes_on_in_further_frames(client: Client):
    client.send(headers(1))
    client.engine.headers(client.streams[1], STATUS_FIELDS[200] + literal(b"x-long", b"%s" * 40000), True)
    client.send()
    sent = [each for each in client.frames if each.stream == 1]
    assert [each.kind for each in sent] == [HEADERS] + [CONTINUATION] * (len(sent) - 1)
    assert max(len(each.payload) for each in sent) <= FRAME_SIZE
    assert [each.flags & END_HEADERS for each in sent] == [0] * (len(sent) - 1) + [END_HEADERS]


def test_a_promise(client: Client):
    client.send(headers(1))
    pushed = client.engine.push(client.streams[1], block(GET))
    client.answer(1)
    client.engine.headers(pushed, STATUS_FIELDS[200], True)
    client.send()
    sent = [(each.kind, each.stream) for each in client.frames if each.stream]
    assert sent == [(PUSH_PROMISE, 1), (HEADERS, 1), (HEADERS, 2)]


def test_no_promise_to_who_wants_none(client: Client):
    client.send(setting((Setting.ENABLE_PUSH, 0)), headers(1))
    assert client.engine.push(client.streams[1], block(GET)) is None


def test_the_window_is_given_back_as_data_is_taken(client: Client):
    client.send(post(1), *[data(1, bytes(16000))] * 4)
    assert not client.credit(1)
    client.engine.consumed(client.streams[1], 64000)
    assert client.send(data(1, bytes(16000))).fault is None
    assert client.credit(1) == 64000


def test_streams_that_came_and_went_leave_nothing(client: Client):
    for number in range(1, 601, 2):
        client.now = number / 10
        client.send(post(number), data(number, b"abc"), reset(number))
    assert client.fault is None
    assert not client.engine.streams
