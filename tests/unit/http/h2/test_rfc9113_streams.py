"""RFC 9113, sections 5.1 and 5.4: the states of streams, their numbers, how many there may be, what an error costs.

Where the section asks for a stream error we may end the connection (section 5.4.1). What must hold: the frame is
refused, and nothing of it reaches the application.
"""

import pytest

from hornbeamd.errors import ProtocolError
from hornbeamd.http.h2.frames import (
    CONTINUATION,
    DATA,
    END_HEADERS,
    HEADERS,
    PRIORITY,
    PUSH_PROMISE,
    RST_STREAM,
    Code,
    Setting,
)
from tests.support.h2frames import (
    GET,
    POST,
    Client,
    EngineFactory,
    block,
    data,
    frame,
    headers,
    post,
    reset,
    window,
    word,
)

PRIORITY_FRAME = frame(PRIORITY, 0, 1, word(0) + b"\x10")


# --- 5.1 idle ---


@pytest.mark.parametrize("stream", [1, 2, 3, 101, 2**31 - 1])
@pytest.mark.parametrize("kind", [DATA, RST_STREAM, CONTINUATION, 8])
def test_5_1_idle_only_headers_and_priority_may_come(client: Client, stream: int, kind: int):
    client.send(frame(kind, 0, stream, word(1)))
    assert client.fault == Code.PROTOCOL_ERROR
    assert not client.calls


def test_5_1_idle_priority_is_ignored(client: Client):
    client.send(PRIORITY_FRAME, frame(PRIORITY, 0, 100, word(0) + b"\x10"))
    assert client.alive()


# --- 5.1 half-closed (remote): the client has sent END_STREAM ---


@pytest.mark.parametrize("more", [data(1, b"x"), data(1, b"", end=True), headers(1), headers(1, end=False)])
@pytest.mark.parametrize(
    "opened", [[headers(1)], [post(1), data(1, b"a", end=True)], [post(1), headers(1, (b"a", b"b"))]]
)
def test_5_1_half_closed_remote_nothing_follows_the_end(client: Client, opened: list[bytes], more: bytes):
    client.send(*opened)
    before = list(client.calls)
    client.send(more)
    assert client.refuses(1, Code.STREAM_CLOSED)
    assert [call for call in client.calls if call[0] != "reset"] == before


def test_5_1_half_closed_remote_windows_priorities_and_resets_still_come(client: Client):
    client.send(headers(1), window(1, 10), PRIORITY_FRAME, reset(1))
    assert client.kinds == ["request", "room", "reset"]
    assert client.alive()


# --- 5.1 half-closed (local): our answer has ended ---


def test_5_1_half_closed_local_what_is_under_way_is_taken_and_ignored(client: Client):
    """An answer that needed no more of the request: the stream is given up without an error (section 8.1)."""
    client.send(post(1))
    client.answer(1)
    assert client.reset_code(1) == Code.NO_ERROR
    client.send(data(1, b"x" * 100), window(1, 1), PRIORITY_FRAME, headers(1, (b"a", b"b")), reset(1))
    assert client.kinds == ["request"]
    assert client.alive()


# --- 5.1 closed ---


@pytest.mark.parametrize("more", [data(1, b"x"), data(1, b"", end=True), headers(1)])
def test_5_1_closed_by_both_ends_takes_no_more(client: Client, more: bytes):
    client.send(headers(1))
    client.answer(1, b"body")
    client.send(more)
    assert client.refuses(1, Code.STREAM_CLOSED)
    assert client.kinds == ["request"]


@pytest.mark.parametrize("more", [data(1, b"x"), data(1, b"", end=True), headers(1), post(1)])
def test_5_1_closed_by_the_clients_reset_takes_no_more(client: Client, more: bytes):
    client.send(post(1), reset(1), more)
    assert client.kinds == ["request", "reset"]


@pytest.mark.parametrize("more", [window(1, 1), PRIORITY_FRAME, reset(1)])
@pytest.mark.parametrize("how", ["both", "reset by us", "reset by the client"])
def test_5_1_closed_windows_priorities_and_resets_may_be_late(client: Client, how: str, more: bytes):
    client.send(post(1) if "reset" in how else headers(1))
    if how == "both":
        client.answer(1, b"body")
    elif how == "reset by us":
        client.engine.reset(client.streams[1], Code.CANCEL)
    else:
        client.send(reset(1))
    before = list(client.calls)
    client.send(more)
    assert client.calls == before
    assert client.alive()


def test_5_1_closed_by_our_reset_ignores_what_was_under_way(client: Client):
    client.send(post(1))
    client.engine.reset(client.streams[1], Code.CANCEL)
    client.send(data(1, b"x"), headers(1, (b"a", b"b")), window(1, 1), reset(1))
    assert client.kinds == ["request"]
    assert client.reset_code(1) == Code.CANCEL
    assert client.alive()


# --- 5.1.1 Stream identifiers ---


@pytest.mark.parametrize("stream", [0, 2, 4, 2**31 - 2])
def test_5_1_1_clients_use_odd_numbers(client: Client, stream: int):
    client.send(headers(stream))
    assert client.fault == Code.PROTOCOL_ERROR
    assert not client.calls


@pytest.mark.parametrize("stream", [1, 3])
def test_5_1_1_numbers_only_grow(client: Client, stream: int):
    """What was skipped is closed."""
    client.send(headers(5), headers(stream))
    assert client.fault in (Code.PROTOCOL_ERROR, Code.STREAM_CLOSED)
    assert client.kinds == ["request"]


@pytest.mark.parametrize("late", [data(3, b"x"), reset(3), window(3, 1)])
def test_5_1_1_a_skipped_stream_is_closed_rather_than_idle(client: Client, late: bytes):
    client.send(headers(5), late)
    assert client.fault in (None, Code.STREAM_CLOSED)
    assert client.kinds == ["request"]


def test_5_1_1_a_number_is_used_once(client: Client):
    client.send(headers(1))
    client.answer(1, b"body")
    client.send(headers(1))
    assert client.fault in (Code.PROTOCOL_ERROR, Code.STREAM_CLOSED)
    assert client.kinds == ["request"]


def test_5_1_1_the_last_number_may_be_used(client: Client):
    client.send(headers(2**31 - 1))
    assert client.kinds == ["request"]
    client.answer(2**31 - 1, b"body")
    client.send(headers(1))
    assert client.fault is not None
    assert client.kinds == ["request"]


# --- 5.1.2 Stream concurrency ---


def test_5_1_2_a_stream_too_many_is_refused(engine: EngineFactory):
    client = Client(engine, streams=3)
    client.send(headers(1), headers(3), headers(5), headers(7), headers(9))
    assert client.kinds == ["request"] * 3
    assert [client.reset_code(number) for number in (5, 7, 9)] == [None, Code.REFUSED_STREAM, Code.REFUSED_STREAM]


def test_5_1_2_streams_that_are_over_do_not_count(engine: EngineFactory):
    client = Client(engine, streams=2)
    client.send(headers(1), post(3))
    client.answer(1, b"body")
    client.send(headers(5), reset(3), headers(7), headers(9))
    assert list(client.requests) == [1, 3, 5, 7]
    assert client.reset_code(9) == Code.REFUSED_STREAM


def test_5_1_2_a_stream_counts_until_its_answer_has_ended(engine: EngineFactory):
    client = Client(engine, streams=1)
    client.send(headers(1))
    client.answer(1, b"some", end=False)
    client.send(headers(3))
    assert client.reset_code(3) == Code.REFUSED_STREAM


def test_5_1_2_what_is_sent_on_a_refused_stream_is_ignored(engine: EngineFactory):
    client = Client(engine, streams=1)
    client.send(post(1), post(3), data(3, b"x" * 100), headers(3, (b"a", b"b")), window(3, 1), reset(3))
    assert client.fault is None
    assert client.kinds == ["request"]


def test_5_1_2_the_limit_is_told(engine: EngineFactory):
    client = Client(engine, streams=7)
    (told,) = [each.payload for each in client.frames if each.kind == 4 and not each.flags]
    pairs = {told[at : at + 2]: told[at + 2 : at + 6] for at in range(0, len(told), 6)}
    assert pairs[Setting.MAX_CONCURRENT_STREAMS.to_bytes(2, "big")] == word(7)


# --- 5.4 Error handling ---


def test_5_4_2_a_malformed_request_costs_the_others_of_its_connection_nothing(client: Client):
    client.send(post(1), headers(3, (b":method", b"GET")), data(1, b"x", end=True), headers(5))
    assert client.fault is None
    assert client.reset_code(3) == Code.PROTOCOL_ERROR
    assert client.bodies == {1: b"x", 5: b""}


def test_5_4_a_refusal_with_a_status_is_no_error_of_http_2(client: Client):
    client.send(headers(1, *GET, *[(b"x-%d" % number, b"") for number in range(101)]), headers(3))
    assert client.calls[0] == ("refused", 1, 431)
    assert client.kinds == ["refused", "request"]
    assert client.reset_code(1) is None


def test_5_4_a_stream_that_was_refused_is_the_listeners_to_end(client: Client):
    client.send(post(1, *[(b"x-%d" % number, b"") for number in range(101)]), data(1, b"x"))
    assert client.kinds == ["refused", "data"]
    client.answer(1, b"431")
    assert client.reset_code(1) == Code.NO_ERROR
    client.send(data(1, b"x", end=True))
    assert client.kinds == ["refused", "data"]
    assert client.alive()


def test_5_4_2_a_reset_is_not_answered_with_a_reset(client: Client):
    client.send(post(1), reset(1), reset(1))
    assert client.reset_code(1) is None
    assert client.kinds == ["request", "reset"]


@pytest.mark.parametrize("promise", [frame(PUSH_PROMISE, END_HEADERS, 1, word(2) + block(GET))])
def test_5_1_clients_reserve_no_streams(client: Client, promise: bytes):
    """Section 8.4, too."""
    client.send(headers(1, *POST, end=False), promise)
    assert client.fault == Code.PROTOCOL_ERROR
    assert client.kinds == ["request"]


def test_5_1_reserved_local_takes_resets_and_windows_only(client: Client):
    """A stream that we have promised."""
    client.send(headers(1))
    pushed = client.engine.push(client.streams[1], b"\x82\x86\x84\x01\x01a")
    client.send(window(2, 5), frame(PRIORITY, 0, 2, word(0) + b"\x10"))
    assert client.calls[-1] == ("room", 2)
    assert pushed.id == 2
    client.send(reset(2))
    assert client.calls[-1] == ("reset", 2)
    assert client.alive()


@pytest.mark.parametrize("more", [headers(2), data(2, b"x")])
def test_5_1_reserved_local_takes_no_request(client: Client, more: bytes):
    client.send(headers(1))
    client.engine.push(client.streams[1], b"\x82\x86\x84\x01\x01a")
    client.send(more)
    assert client.refuses(2, Code.PROTOCOL_ERROR, Code.STREAM_CLOSED)
    assert client.calls[1:] in ([], [("reset", 2)])


def test_a_listener_may_refuse_in_the_middle_of_a_read(engine: EngineFactory):
    """What follows in the same bytes finds the stream gone."""

    class Refusing(Client):
        def request_came(self, stream, request, ended):
            super().request_came(stream, request, ended)
            self.engine.reset(stream, Code.CANCEL)

        def request_refused(self, stream, error: ProtocolError):
            raise AssertionError

    client = Refusing(engine)
    client.send(post(1) + data(1, b"x") + data(1, b"", end=True) + post(3))
    assert client.kinds == ["request", "request"]
    assert (client.reset_code(1), client.reset_code(3)) == (Code.CANCEL, Code.CANCEL)


def test_header_frames_of_refused_streams_may_be_headers_of_many_frames(engine: EngineFactory):
    client = Client(engine, streams=1)
    client.send(headers(1), frame(HEADERS, 0, 3, block(GET)[:9]), frame(CONTINUATION, END_HEADERS, 3, block(GET)[9:]))
    assert client.reset_code(3) == Code.REFUSED_STREAM
    assert client.kinds == ["request"]
