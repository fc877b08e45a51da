"""RFC 9113, sections 6 and 7: each type of frame, its size, where it may come, and what it may hold."""

import pytest

from hornbeamd.http.h2.frames import (
    ACK,
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    GOAWAY,
    HEADERS,
    PADDED,
    PING,
    PRIORITIZED,
    PRIORITY,
    PUSH_PROMISE,
    RST_STREAM,
    SETTINGS,
    WINDOW_UPDATE,
    Code,
    Setting,
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

BLOCK = block(GET)


@pytest.mark.parametrize(
    "wrong",
    [
        frame(DATA, 0, 0, b"x"),
        frame(HEADERS, END_HEADERS | END_STREAM, 0, BLOCK),
        frame(PRIORITY, 0, 0, word(1) + b"\0"),
        frame(RST_STREAM, 0, 0, word(8)),
        frame(CONTINUATION, END_HEADERS, 0, b""),
        frame(SETTINGS, 0, 1),
        frame(SETTINGS, ACK, 1),
        frame(PING, 0, 1, bytes(8)),
        frame(PING, ACK, 1, bytes(8)),
        frame(GOAWAY, 0, 1, bytes(8)),
    ],
)
def test_6_frames_of_streams_and_of_the_connection_are_not_mixed_up(client: Client, wrong: bytes):
    client.send(post(1), wrong)
    assert client.fault == Code.PROTOCOL_ERROR
    assert client.kinds == ["request"]


@pytest.mark.parametrize(
    "wrong",
    [
        frame(PRIORITY, 0, 1, bytes(4)),
        frame(PRIORITY, 0, 1, bytes(6)),
        frame(RST_STREAM, 0, 1, bytes(3)),
        frame(RST_STREAM, 0, 1, bytes(5)),
        frame(RST_STREAM, 0, 1),
        frame(SETTINGS, 0, 0, bytes(5)),
        frame(SETTINGS, 0, 0, bytes(7)),
        frame(SETTINGS, ACK, 0, bytes(6)),
        frame(PING, 0, 0, bytes(7)),
        frame(PING, 0, 0, bytes(9)),
        frame(PING, 0, 0),
        frame(GOAWAY, 0, 0, bytes(7)),
        frame(WINDOW_UPDATE, 0, 0, bytes(3)),
        frame(WINDOW_UPDATE, 0, 1, bytes(5)),
        frame(DATA, PADDED, 1, b""),
        frame(HEADERS, PADDED | END_HEADERS, 3, b""),
        frame(HEADERS, PRIORITIZED | END_HEADERS, 3, bytes(4)),
    ],
)
def test_6_frames_have_their_sizes(client: Client, wrong: bytes):
    """Section 4.2: FRAME_SIZE_ERROR."""
    client.send(post(1), wrong)
    assert client.refuses(1, Code.FRAME_SIZE_ERROR, Code.PROTOCOL_ERROR)
    assert [kind for kind in client.kinds if kind != "reset"] == ["request"]


# --- 6.1 DATA ---


def test_6_1_padding_is_taken_off(client: Client):
    client.send(
        post(1),
        data(1, padded(b"abc", 0), flags=PADDED),
        data(1, padded(b"def", 255), flags=PADDED),
        data(1, padded(b"", 9), flags=PADDED, end=True),
    )
    assert client.bodies == {1: b"abcdef"}
    assert client.calls[-1] == ("data", 1, b"", True)


@pytest.mark.parametrize("payload", [b"\x01", b"\x05abcd", b"\xffabcd"])
def test_6_1_more_padding_than_payload_ends_the_connection(client: Client, payload: bytes):
    client.send(post(1), data(1, payload, flags=PADDED))
    assert client.fault == Code.PROTOCOL_ERROR
    assert client.kinds == ["request"]


def test_6_1_an_empty_frame_may_end_a_body(client: Client):
    client.send(post(1), data(1, b"a"), data(1, b"", end=True))
    assert client.calls[1:] == [("data", 1, b"a", False), ("data", 1, b"", True)]


# --- 6.2 HEADERS ---


@pytest.mark.parametrize("payload", [b"\xff" + BLOCK, bytes((len(BLOCK) + 1,)) + BLOCK])
def test_6_2_more_padding_than_payload_ends_the_connection(client: Client, payload: bytes):
    client.send(frame(HEADERS, END_HEADERS | END_STREAM | PADDED, 1, payload))
    assert client.fault == Code.PROTOCOL_ERROR
    assert not client.calls


@pytest.mark.parametrize("flags", [0, PADDED, PRIORITIZED, PADDED | PRIORITIZED])
def test_6_2_padding_and_priority_in_any_combination(client: Client, flags: int):
    payload = (word(1 << 31 | 3) + b"\xff" if flags & PRIORITIZED else b"") + BLOCK
    if flags & PADDED:
        payload = padded(payload, 11)
    client.send(frame(HEADERS, END_HEADERS | END_STREAM | flags, 1, payload))
    assert client.calls == [("request", 1, "GET", b"/", ((b"host", b"a"),), True)]


# --- 5.3 and 6.3 PRIORITY ---


def test_6_3_priorities_are_ignored_on_streams_of_any_state(client: Client):
    client.send(headers(1))
    client.answer(1, b"x")
    client.send(post(3), *[frame(PRIORITY, 0, number, word(0) + b"\x10") for number in (1, 2, 3, 5, 999)])
    assert client.kinds == ["request", "request"]
    assert client.alive()


def test_6_3_a_priority_opens_no_stream(client: Client):
    client.send(frame(PRIORITY, 0, 9, word(0) + b"\x10"), headers(1))
    assert client.kinds == ["request"]


def test_6_3_a_stream_that_depends_on_itself_is_refused_or_ignored(client: Client):
    """RFC 7540, section 5.3.1; RFC 9113 has dropped the rule, and MadeYouReset has lived on it."""
    client.send(frame(PRIORITY, 0, 1, word(1) + b"\x10"))
    assert client.fault in (None, Code.PROTOCOL_ERROR)
    assert not client.of(RST_STREAM)


# --- 6.4 RST_STREAM ---


@pytest.mark.parametrize("code", [0, 8, 99, 2**32 - 1])
def test_6_4_a_reset_ends_a_stream_whatever_its_code(client: Client, code: int):
    """Section 7: unknown codes mean nothing special."""
    client.send(post(1), reset(1, code), headers(3))
    assert client.kinds == ["request", "reset", "request"]
    assert not client.of(RST_STREAM)


# --- 6.5 SETTINGS ---


def test_6_5_settings_are_acknowledged_in_order(client: Client):
    client.send(setting((Setting.INITIAL_WINDOW_SIZE, 1)), setting(), frame(PING, 0, 0, b"behind!!"))
    assert client.acks(SETTINGS) == 3
    assert client.frames[-1].kind == PING


def test_6_5_an_acknowledgement_is_not_acknowledged(client: Client):
    client.send(setting(flags=ACK))
    assert client.acks(SETTINGS) == 1
    assert client.alive()


@pytest.mark.parametrize(
    ("key", "value", "code"),
    [
        (Setting.ENABLE_PUSH, 2, Code.PROTOCOL_ERROR),
        (Setting.ENABLE_PUSH, 2**32 - 1, Code.PROTOCOL_ERROR),
        (Setting.INITIAL_WINDOW_SIZE, 2**31, Code.FLOW_CONTROL_ERROR),
        (Setting.INITIAL_WINDOW_SIZE, 2**32 - 1, Code.FLOW_CONTROL_ERROR),
        (Setting.MAX_FRAME_SIZE, 0, Code.PROTOCOL_ERROR),
        (Setting.MAX_FRAME_SIZE, 16383, Code.PROTOCOL_ERROR),
        (Setting.MAX_FRAME_SIZE, 2**24, Code.PROTOCOL_ERROR),
    ],
)
def test_6_5_2_values_out_of_range_end_the_connection(client: Client, key: int, value: int, code: Code):
    client.send(setting((key, value)))
    assert client.fault == code


@pytest.mark.parametrize(
    ("key", "value"),
    [
        (Setting.HEADER_TABLE_SIZE, 0),
        (Setting.HEADER_TABLE_SIZE, 2**32 - 1),
        (Setting.ENABLE_PUSH, 0),
        (Setting.ENABLE_PUSH, 1),
        (Setting.MAX_CONCURRENT_STREAMS, 0),
        (Setting.MAX_CONCURRENT_STREAMS, 2**32 - 1),
        (Setting.INITIAL_WINDOW_SIZE, 0),
        (Setting.INITIAL_WINDOW_SIZE, 2**31 - 1),
        (Setting.MAX_FRAME_SIZE, 16384),
        (Setting.MAX_FRAME_SIZE, 2**24 - 1),
        (Setting.MAX_HEADER_LIST_SIZE, 0),
        (Setting.MAX_HEADER_LIST_SIZE, 2**32 - 1),
        (Setting.ENABLE_CONNECT_PROTOCOL, 1),
        (0, 5),
        (7, 5),
        (0xFFFF, 2**32 - 1),
    ],
)
def test_6_5_2_values_in_range_and_unknown_settings_are_taken(client: Client, key: int, value: int):
    client.send(setting((key, value)), headers(1))
    assert client.acks(SETTINGS) == 2
    client.answer(1)
    assert client.of(HEADERS, 1)
    assert client.alive()


def test_6_5_3_of_a_setting_that_comes_twice_the_last_holds(client: Client):
    client.send(headers(1), setting((4, 5), (4, 2**31 - 1), (4, 7)))
    assert client.engine.room(client.streams[1]) == 7


def test_6_5_3_a_value_out_of_range_does_not_take_effect_although_another_follows(client: Client):
    """Ours ends the connection, the library looks at the last value only."""
    client.send(headers(1), setting((4, 2**31), (4, 7)))
    assert client.fault == Code.FLOW_CONTROL_ERROR or client.engine.room(client.streams[1]) == 7


def test_6_5_2_a_client_that_wants_no_promises_gets_none(client: Client):
    client.send(setting((Setting.ENABLE_PUSH, 0)), headers(1))
    assert client.engine.push(client.streams[1], b"\x82\x86\x84\x01\x01a") is None
    assert not client.of(PUSH_PROMISE)


def test_6_5_2_frames_that_we_send_are_of_the_smallest_limit_at_most(client: Client):
    client.send(setting((Setting.INITIAL_WINDOW_SIZE, 2**20)), window(0, 2**20), headers(1))
    client.answer(1, b"x" * 100_000)
    found = client.of(DATA, 1)
    assert max(len(each.payload) for each in found) <= 16384
    assert b"".join(each.payload for each in found) == b"x" * 100_000
    assert [each.flags & END_STREAM for each in found] == [0] * (len(found) - 1) + [END_STREAM]


def test_4_2_a_long_block_is_sent_in_several_frames(client: Client):
    client.send(headers(1))
    value = b"v" * 40_000
    client.engine.headers(client.streams[1], b"\x88\x00\x01x\x7f" + b"\xc1\xb7\x02" + value, True)
    client.send()
    parts = [each for each in client.frames if each.stream == 1]
    assert [each.kind for each in parts] == [HEADERS, CONTINUATION, CONTINUATION]
    assert [each.flags for each in parts] == [END_STREAM, 0, END_HEADERS]
    assert max(len(each.payload) for each in parts) <= 16384


# --- 6.6 PUSH_PROMISE ---


@pytest.mark.parametrize("stream", [0, 1, 2, 3])
def test_6_6_clients_do_not_promise(client: Client, stream: int):
    client.send(post(1), frame(PUSH_PROMISE, END_HEADERS, stream, word(2) + BLOCK))
    assert client.fault == Code.PROTOCOL_ERROR
    assert client.kinds == ["request"]


# --- 6.7 PING ---


def test_6_7_a_ping_is_answered_with_its_content(client: Client):
    client.send(frame(PING, 0, 0, b"\0\1\2\3\4\5\6\7"), frame(PING, 0, 0, b"another!"))
    assert [each.payload for each in client.of(PING)] == [b"\0\1\2\3\4\5\6\7", b"another!"]
    assert client.acks(PING) == 2


def test_6_7_an_answer_is_not_answered(client: Client):
    client.send(frame(PING, ACK, 0, bytes(8)))
    assert not client.of(PING)
    assert client.alive()


# --- 6.8 GOAWAY ---


@pytest.mark.parametrize("payload", [bytes(8), word(0) + word(2) + b"why", b"\xff" * 8])
def test_6_8_a_client_that_goes_away_still_gets_its_answers(client: Client, payload: bytes):
    client.send(headers(1), frame(GOAWAY, 0, 0, payload), frame(GOAWAY, 0, 0, payload))
    client.answer(1, b"body")
    assert client.of(DATA, 1)[0].payload == b"body"
    assert client.fault is None


def test_6_8_streams_above_the_last_of_our_goaway_are_ignored(client: Client):
    client.send(post(1))
    client.engine.goaway(Code.NO_ERROR)
    client.send(post(3), data(3, b"x"), window(3, 1), reset(3), headers(5), data(1, b"y", end=True))
    assert client.fault is None
    assert client.kinds == ["request", "data"]
    assert client.of(GOAWAY)[0].payload[:8] == word(1) + word(Code.NO_ERROR)


def test_6_8_a_first_goaway_still_takes_what_is_under_way(client: Client):
    client.engine.goaway(Code.NO_ERROR, final=False)
    client.send(headers(1))
    assert client.of(GOAWAY)[0].payload[:4] == word(2**31 - 1)
    assert client.kinds == ["request"]


def test_6_8_the_table_goes_on_over_streams_that_are_ignored(client: Client):
    client.send(post(1))
    client.engine.goaway(Code.NO_ERROR)
    client.send(frame(HEADERS, END_HEADERS | END_STREAM, 3, BLOCK + b"\x40\x03x-a\x01b"))
    client.send(frame(HEADERS, END_HEADERS | END_STREAM, 1, b"\xbe"))
    assert client.calls[1:] == [("data", 1, b"", True)]


# --- 6.10 CONTINUATION ---


@pytest.mark.parametrize("before", [[], [headers(1)], [post(1)], [post(1), data(1, b"x")], [setting()]])
def test_6_10_only_behind_a_header_block_that_goes_on(client: Client, before: list[bytes]):
    client.send(*before, frame(CONTINUATION, END_HEADERS, 1, BLOCK))
    assert client.fault == Code.PROTOCOL_ERROR


def test_6_10_a_block_has_an_end(engine: EngineFactory):
    """Section 10.5.1; the CONTINUATION flood."""
    client = Client(engine)
    client.send(frame(HEADERS, END_STREAM, 1, BLOCK))
    for number in range(200):
        client.send(frame(CONTINUATION, 0, 1, block([(b"x-%d" % number, b"y" * 16000)])))
    assert client.fault is not None
    assert not client.calls
