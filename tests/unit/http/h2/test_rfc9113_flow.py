"""RFC 9113, sections 5.2, 6.5.2 and 6.9: flow control, both ways."""

import pytest

from hornbeamd.http.h2.frames import DATA, FRAME_SIZE, PADDED, WINDOW, WINDOW_LIMIT, WINDOW_UPDATE, Code, Setting
from tests.support.h2frames import Client, EngineFactory, data, frame, headers, padded, post, reset, setting, window

SIZE = Setting.INITIAL_WINDOW_SIZE
# A byte more than what holds anyway, and four frames.
SMALL = WINDOW + 1


def room(client: Client, stream: int = 1) -> int:
    found: int = client.engine.room(client.streams[stream])
    return found


# --- what the client lets us send ---


def test_6_9_1_no_more_is_sent_than_both_windows_hold(client: Client):
    client.send(headers(1), headers(3))
    assert room(client) == WINDOW
    client.answer(1, b"x" * 60_000, end=False)
    assert (room(client, 1), room(client, 3)) == (5535, 5535)
    client.send(window(1, 10_000))
    assert room(client, 1) == 5535
    client.send(window(0, 1_000_000))
    assert (room(client, 1), room(client, 3)) == (15_535, WINDOW)


@pytest.mark.parametrize("stream", [0, 1])
def test_6_9_who_waits_for_room_is_told(client: Client, stream: int):
    client.send(headers(1), window(stream, 1))
    assert client.calls[-1] == ("room", stream or None)


@pytest.mark.parametrize("stream", [0, 1, 3])
def test_6_9_an_increment_of_nothing_is_an_error(client: Client, stream: int):
    client.send(post(1), window(stream, 0))
    assert client.fault == Code.PROTOCOL_ERROR or client.reset_code(stream) == Code.PROTOCOL_ERROR
    assert [kind for kind in client.kinds if kind != "reset"] == ["request"]


def test_6_9_the_reserved_bit_of_an_increment_is_ignored(client: Client):
    client.send(headers(1), frame(WINDOW_UPDATE, 0, 1, b"\x80\0\0\x05"), window(0, 100))
    assert client.fault is not None or room(client) == WINDOW + 5, "the library is stricter"


@pytest.mark.parametrize("stream", [0, 1])
@pytest.mark.parametrize("steps", [(WINDOW_LIMIT,), (WINDOW_LIMIT - WINDOW, 1)])
def test_6_9_1_a_window_beyond_its_limit_is_an_error(client: Client, stream: int, steps: tuple[int, ...]):
    client.send(headers(1), *[window(stream, step) for step in steps])
    assert client.fault == Code.FLOW_CONTROL_ERROR or client.reset_code(stream) == Code.FLOW_CONTROL_ERROR


@pytest.mark.parametrize("stream", [0, 1])
def test_6_9_1_a_window_may_be_as_large_as_its_limit(client: Client, stream: int):
    client.send(headers(1), window(stream, WINDOW_LIMIT - WINDOW))
    assert client.fault is None
    assert client.alive()


def test_6_9_2_the_first_size_is_that_of_the_settings(client: Client):
    client.send(setting((SIZE, 5)), headers(1))
    assert room(client) == 5


def test_6_9_2_a_new_size_changes_streams_that_are_open(client: Client):
    client.send(headers(1))
    client.answer(1, b"x" * 100, end=False)
    client.send(setting((SIZE, 1000)))
    assert room(client) == 900
    client.send(setting((SIZE, 2000)))
    assert room(client) == 1900
    assert client.calls[-1] == ("room", None)


def test_6_9_2_a_window_may_become_negative(client: Client):
    client.send(headers(1))
    client.answer(1, b"x" * 1000, end=False)
    client.send(setting((SIZE, 300)))
    assert room(client) == -700
    client.send(window(1, 700))
    assert room(client) == 0
    client.send(window(1, 1))
    assert room(client) == 1


def test_6_9_2_settings_do_not_change_the_window_of_the_connection(client: Client):
    client.send(setting((SIZE, 1_000_000)), headers(1))
    assert room(client) == WINDOW


def test_6_9_2_a_size_that_puts_a_window_beyond_its_limit_ends_the_connection(client: Client):
    client.send(headers(1), window(1, 1000), setting((SIZE, WINDOW_LIMIT)))
    assert client.fault == Code.FLOW_CONTROL_ERROR


def test_6_9_2_sizes_that_go_and_come_back_change_nothing(client: Client):
    client.send(headers(1))
    client.answer(1, b"x" * 1000, end=False)
    client.send(setting((SIZE, 0), (SIZE, 100_000), (SIZE, WINDOW)))
    assert room(client) == WINDOW - 1000


def test_6_9_1_frames_without_data_need_no_window(client: Client):
    client.send(setting((SIZE, 0)), headers(1))
    client.answer(1, end=False)
    client.engine.data(client.streams[1], b"", True)
    client.send()
    assert [each.payload for each in client.of(DATA, 1)] == [b""]


# --- what we let the client send ---


def test_6_9_1_more_than_the_window_of_the_stream_is_refused(engine: EngineFactory):
    client = Client(engine, stream_window=1000)
    client.send(post(1), data(1, b"x" * 1000))
    assert client.bodies[1] == b"x" * 1000
    client.send(data(1, b"y"))
    assert client.fault == Code.FLOW_CONTROL_ERROR or client.reset_code(1) == Code.FLOW_CONTROL_ERROR
    assert client.bodies[1] == b"x" * 1000


def test_6_9_1_more_than_the_window_of_the_connection_is_refused(engine: EngineFactory):
    client = Client(engine, connection_window=SMALL)
    client.send(*[post(number) for number in range(1, 11, 2)])
    client.send(*[data(number, b"x" * FRAME_SIZE) for number in range(1, 9, 2)])
    assert client.fault is None
    client.send(data(9, b"y"))
    assert client.fault == Code.FLOW_CONTROL_ERROR
    assert client.bodies[9] == b""


def test_6_9_padding_counts(engine: EngineFactory):
    client = Client(engine, stream_window=256)
    client.send(post(1), data(1, padded(b"x", 255), flags=PADDED))
    assert client.fault == Code.FLOW_CONTROL_ERROR or client.reset_code(1) == Code.FLOW_CONTROL_ERROR
    assert client.bodies[1] == b""


def test_6_9_padding_is_given_back(engine: EngineFactory):
    client = Client(engine, stream_window=1000, connection_window=SMALL)
    client.send(post(1))
    for _ in range(300):
        client.send(data(1, padded(b"x", 254), flags=PADDED))
        client.engine.consumed(client.streams[1], 1)
    assert client.fault is None
    assert client.credit(1) > 76_000


def test_5_2_2_room_is_given_for_what_was_consumed_only(engine: EngineFactory):
    client = Client(engine, stream_window=1000, connection_window=SMALL)
    client.send(post(1), data(1, b"x" * 1000))
    assert client.credit(1) == 0
    client.engine.consumed(client.streams[1], 1000)
    client.send()
    assert client.credit(1) == 1000
    client.send(data(1, b"y" * 1000, end=True))
    assert len(client.bodies[1]) == 2000


def test_5_2_2_a_stream_that_is_over_still_gives_its_bytes_back_to_the_connection(engine: EngineFactory):
    client = Client(engine, connection_window=SMALL)
    already = client.credit(0)
    for number in range(1, 201, 2):
        client.send(post(number), data(number, b"x" * 10_000), reset(number))
        client.engine.consumed(client.streams[number], 10_000)
        client.send()
    assert client.fault is None
    assert client.credit(0) - already > 900_000


def test_6_9_data_on_streams_that_we_have_left_counts_and_is_given_back(engine: EngineFactory):
    client = Client(engine, connection_window=SMALL)
    already = client.credit(0)
    client.send(post(1))
    client.answer(1)
    for _ in range(100):
        client.send(data(1, b"x" * 10_000))
    assert client.fault is None
    assert client.credit(0) - already > 900_000
    assert client.kinds == ["request"]


def test_6_9_all_streams_that_we_have_left_at_once_are_remembered(engine: EngineFactory):
    client = Client(engine, streams=400)
    numbers = range(1, 801, 2)
    client.send(*(post(number) for number in numbers))
    for number in numbers:
        client.engine.reset(client.streams[number], Code.CANCEL)
    client.send(*(data(number, b"under way") for number in numbers))
    assert client.fault is None


def test_6_9_1_no_window_is_offered_beyond_its_limit(engine: EngineFactory):
    client = Client(engine, stream_window=WINDOW_LIMIT, connection_window=WINDOW_LIMIT)
    assert WINDOW + client.credit(0) == WINDOW_LIMIT
    client.send(post(1), data(1, b"x" * FRAME_SIZE))
    client.engine.consumed(client.streams[1], FRAME_SIZE)
    client.send()
    assert client.credit(1) <= FRAME_SIZE
