"""What the owner of an engine relies on, whichever engine it is."""

import pytest

from hornbeamd.http.h2.fields import STATUS_FIELDS, literal
from hornbeamd.http.h2.frames import WINDOW, Code
from tests.support.h2wire import (
    DATA,
    ENGINES,
    GOAWAY,
    HEADERS,
    PUSH_PROMISE,
    RST_STREAM,
    SETTINGS,
    TERMS,
    WINDOW_UPDATE,
    Talk,
    block,
    data,
    goaway,
    ping,
    pseudo,
    request,
    reset,
    settings,
    window_update,
)

pytestmark = pytest.mark.parametrize("engine", ENGINES)


def test_what_is_sent_first(engine):
    first, window = Talk(engine).first
    values = {first.payload[at + 1]: int.from_bytes(first.payload[at + 2 : at + 6], "big") for at in range(0, 24, 6)}
    assert (first.kind, values) == (SETTINGS, {3: TERMS.streams, 4: TERMS.stream_window, 6: 65536, 8: 1})
    assert (window.kind, window.stream) == (WINDOW_UPDATE, 0)
    assert int.from_bytes(window.payload, "big") == TERMS.connection_window - WINDOW


def test_a_request_and_its_answer(engine):
    talk = Talk(engine).feed(request(1, (b"x", b"y"), path=b"/a?b"))
    seen = talk.seen[1].request
    assert (seen.method, seen.target, seen.headers) == ("GET", b"/a?b", ((b"host", b"a"), (b"x", b"y")))
    talk.answer(1, b"x" * 20000)
    sent = talk.sent()
    assert [(each.kind, len(each.payload), each.flags & 1) for each in sent[1:]] == [(DATA, 16384, 0), (DATA, 3616, 1)]
    assert sent[0].kind == HEADERS
    assert not talk.engine.streams


def test_a_body(engine):
    talk = Talk(engine).feed(request(1, end=False), data(1, b"ab"), data(1, b"c", end=True))
    assert (bytes(talk.seen[1].body), talk.seen[1].ended) == (b"abc", True)
    assert talk.seen[1].stream.received == 3


def test_an_answer_that_needs_no_more_of_the_request(engine):
    """RFC 9113, section 8.1."""
    talk = Talk(engine).feed(request(1, end=False))
    talk.answer()
    assert talk.resets() == {1: Code.NO_ERROR}
    assert talk.feed(data(1, b"under way"), request(3)).fault is None
    assert 3 in talk.seen


def test_the_client_gives_up(engine):
    talk = Talk(engine).feed(request(1), reset(1))
    assert talk.seen[1].reset
    assert not talk.engine.streams
    assert not talk.sent()


def test_we_give_up(engine):
    talk = Talk(engine).feed(request(1, end=False))
    talk.engine.reset(talk.seen[1].stream, Code.CANCEL)
    talk.engine.reset(talk.seen[1].stream, Code.CANCEL)
    assert [(each.kind, each.code) for each in talk.sent()] == [(RST_STREAM, Code.CANCEL)]


def test_room_is_what_both_windows_leave(engine):
    talk = Talk(engine).feed(settings((4, 10)), request(1), request(3))
    stream = talk.seen[1].stream
    assert talk.engine.room(stream) == 10
    talk.answer(1, b"x" * 10, end=False)
    assert talk.engine.room(stream) == 0
    talk.feed(window_update(1, 5))
    assert (talk.engine.room(stream), talk.rooms[-1]) == (5, 1)
    talk.feed(settings((4, 0)))
    assert talk.engine.room(stream) == -5
    talk.feed(settings((4, 1 << 20)), window_update(0, 10))
    assert talk.engine.room(stream) == WINDOW
    assert talk.rooms[-2:] == [0, 0]


def test_goaway_of_the_client_ends_nothing(engine):
    """RFC 9113, section 6.8: what was begun is completed."""
    talk = Talk(engine).feed(request(1, end=False), goaway(), data(1, b"abc", end=True), ping())
    assert talk.seen[1].ended
    talk.sent()
    talk.answer()
    assert [each.kind for each in talk.sent()] == [HEADERS]


def test_goaway_in_two_steps(engine):
    """RFC 9113, section 6.8."""
    talk = Talk(engine).feed(request(1))
    talk.engine.goaway(Code.NO_ERROR, final=False)
    talk.feed(request(3))
    talk.engine.goaway(Code.NO_ERROR)
    talk.feed(request(5, end=False), data(5, b"x", end=True))
    assert sorted(talk.seen) == [1, 3]
    assert talk.fault is None
    talk.answer(1)
    talk.answer(3)
    sent = talk.sent()
    lasts = [int.from_bytes(each.payload[:4], "big") for each in sent if each.kind == GOAWAY]
    assert lasts == [2**31 - 1, 3]
    assert [each.stream for each in sent if each.kind == HEADERS] == [1, 3]


def test_a_long_block_of_fields_goes_on_in_further_frames(engine):
    talk = Talk(engine).feed(request(1))
    value = bytes(range(33, 126)) * 400
    talk.engine.headers(talk.seen[1].stream, STATUS_FIELDS[200] + literal(b"x-long", value), True)
    sent = talk.sent()
    assert [each.kind for each in sent][:2] == [HEADERS, 9]
    assert all(len(each.payload) <= 16384 for each in sent)
    assert [each.flags & 4 for each in sent] == [0] * (len(sent) - 1) + [4]


def test_a_promise(engine):
    talk = Talk(engine).feed(request(1))
    pushed = talk.engine.push(talk.seen[1].stream, block(*pseudo(path=b"/style")))
    assert pushed.id == 2
    talk.answer()
    talk.engine.headers(pushed, STATUS_FIELDS[200], True)
    assert [(each.kind, each.stream) for each in talk.sent()] == [(PUSH_PROMISE, 1), (HEADERS, 1), (HEADERS, 2)]


def test_no_promise_to_who_wants_none(engine):
    talk = Talk(engine).feed(settings((2, 0)), request(1))
    assert talk.engine.push(talk.seen[1].stream, block(*pseudo(path=b"/style"))) is None


def test_the_window_is_given_back_as_data_is_taken(engine):
    talk = Talk(engine, takes=False).feed(request(1, end=False), *(data(1, bytes(16000)) for _ in range(4)))
    assert not talk.sent()
    talk.engine.consumed(talk.seen[1].stream, 64000)
    assert (WINDOW_UPDATE, 1) in {(each.kind, each.stream) for each in talk.sent()}
    assert talk.feed(data(1, bytes(16000))).fault is None
