"""A WebSocket without a socket (http/websocket/session.py): the rules of RFC 6455, sections 5 to 8."""

from __future__ import annotations

import pytest

from hornbeamd.errors import ClientGone, ResponseError
from hornbeamd.http.websocket import session as session_module
from hornbeamd.http.websocket.session import Session
from tests.support.websocket import (
    BINARY,
    CLOSE,
    CONTINUATION,
    PING,
    PONG,
    TEXT,
    close_frame,
    closing,
    frame,
    server_frames,
)

LIMIT = 100_000


class NotedWire:
    """A wire that goes nowhere."""

    def __init__(self) -> None:
        self.blocked = False
        self.sent = b""
        self.ended = self.aborted = self.paused = False
        self.callbacks = []

    def write(self, data: bytes) -> None:
        assert not self.ended
        assert not self.aborted
        assert type(data) is bytes
        self.sent += data

    def end(self, *, linger: bool) -> None:
        assert not self.ended
        self.ended = True

    def abort(self) -> None:
        self.aborted = True

    def pause(self) -> None:
        assert not self.paused
        self.paused = True

    def resume(self) -> None:
        assert self.paused
        self.paused = False

    def soon(self, callback) -> None:
        self.callbacks.append(callback)

    def turn(self) -> None:
        """One turn of the loop."""
        callbacks, self.callbacks = self.callbacks, []
        for callback in callbacks:
            callback()


class Clock:
    now = 1000.0


class Made:
    """A session with its wire and its clock."""

    def __init__(self, limit: int = LIMIT, timeout: float = 60.0, deflate=None) -> None:
        self.wire = NotedWire()
        self.clock = Clock()
        self.notices = 0
        self.session = Session(self.wire, self.clock, timeout=timeout, limit=limit, deflate=deflate)
        self.session.notify = self.notified

    def notified(self) -> None:
        self.notices += 1

    def feed(self, *frames: bytes) -> Made:
        self.session.feed(b"".join(frames))
        return self

    @property
    def received(self) -> list[str | bytes]:
        """What the application gets, turn by turn."""
        found = []
        while True:
            message = self.session.receive()
            if message is not None:
                found.append(message)
            elif self.wire.callbacks:
                self.wire.turn()
            else:
                return found

    @property
    def sent(self) -> list[tuple[int, bytes]]:
        """The frames sent so far."""
        return list(server_frames(self.wire.sent))

    @property
    def closed(self) -> tuple[int, str] | None:
        """What the close frame said that was sent last."""
        return closing(self.sent[-1][1]) if self.sent and self.sent[-1][0] == CLOSE else None

    def at(self, seconds: float) -> Made:
        """Let the clock stand so long after the beginning, and let deadlines pass."""
        self.clock.now = Clock.now + seconds
        while self.session.deadline <= self.clock.now:
            self.session.expire(self.clock.now)
        return self


def fed(*frames: bytes, limit: int = LIMIT) -> Made:
    return Made(limit).feed(*frames)


# --- 5.2 to 5.4 and 5.6: messages ---


@pytest.mark.parametrize("size", [0, 1, 3, 4, 5, 64, 125, 126, 127, 65535, 65536, LIMIT])
def test_a_message_of_any_length(size: int):
    """Section 5.2: all three forms of the length."""
    data = bytes(number % 251 for number in range(size))
    assert fed(frame(BINARY, data)).received == [data]
    assert fed(frame(TEXT, b"x" * size)).received == ["x" * size]


def test_messages_that_arrive_together():
    frames = [frame(TEXT, b"one"), frame(BINARY, b"two"), frame(TEXT, "dréi".encode()), frame(TEXT, b"4" * 70000)]
    assert fed(*frames).received == ["one", b"two", "dréi", "4" * 70000]


def test_messages_that_arrive_byte_by_byte():
    made = Made()
    for byte in frame(TEXT, b"one") + frame(BINARY, b"t" * 300) + frame(PING, b"p") + frame(TEXT, b"last"):
        made.feed(bytes((byte,)))
    assert made.received == ["one", b"t" * 300, "last"]
    assert made.sent == [(PONG, b"p")]


def test_a_fragmented_message_with_control_frames_between():
    """Section 5.4."""
    made = fed(
        frame(TEXT, b"a", fin=False),
        frame(PING, b"1"),
        frame(CONTINUATION, b"", fin=False),
        frame(CONTINUATION, b"b", fin=False),
        frame(PING, b"2"),
        frame(CONTINUATION, b"c"),
        frame(BINARY, b"x", fin=False),
        frame(CONTINUATION, b"y"),
        frame(TEXT, b"whole"),
    )
    assert made.received == ["abc", b"xy", "whole"]
    assert made.sent == [(PONG, b"1"), (PONG, b"2")]


@pytest.mark.parametrize(
    "frames",
    [
        [frame(CONTINUATION, b"a")],
        [frame(TEXT, b"a", fin=False), frame(TEXT, b"b")],
        [frame(TEXT, b"a", fin=False), frame(BINARY, b"b")],
        [frame(TEXT, b"a"), frame(CONTINUATION, b"b")],
    ],
)
def test_fragments_out_of_order(frames: list[bytes]):
    """Section 5.4."""
    assert fed(*frames).closed == (1002, "protocol error")


# --- 5.1, 5.2, 5.5: what may not be ---


@pytest.mark.parametrize(
    "bad",
    [
        pytest.param(frame(TEXT, b"a", mask=None), id="not masked"),
        pytest.param(frame(PING, b"a", mask=None), id="ping not masked"),
        *(pytest.param(frame(TEXT, b"a", rsv=rsv), id=f"reserved bit {rsv}") for rsv in (1, 2, 4, 7)),
        *(pytest.param(frame(opcode, b"a"), id=f"opcode {opcode}") for opcode in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15)),
        *(pytest.param(frame(opcode, b"a", fin=False), id=f"fragment {opcode}") for opcode in (CLOSE, PING, PONG)),
        *(pytest.param(frame(opcode, b"a" * 126), id=f"126 bytes {opcode}") for opcode in (CLOSE, PING, PONG)),
        pytest.param(b"\x81\xfe\x00\x05" + b"mask" + b"hello", id="length longer than need be"),
        pytest.param(b"\x81\xff" + bytes(6) + b"\x01\x00" + b"mask", id="eight bytes where two would do"),
        pytest.param(b"\x81\xff\x80" + bytes(7) + b"mask", id="length with the top bit"),
    ],
)
def test_frames_that_break_the_protocol(bad: bytes):
    """Sections 5.1, 5.2 and 5.5: closed with 1002, and what arrived before is delivered first."""
    made = fed(frame(TEXT, b"good"), bad, frame(TEXT, b"not read"))
    assert made.received == ["good"]
    assert made.closed == (1002, "protocol error")
    assert made.session.closed == (1002, "protocol error")
    assert made.wire.ended
    made.feed(frame(TEXT, b"still not"), frame(PING))
    assert made.received == []
    assert len(made.sent) == 1


# --- 5.5.2, 5.5.3: pings ---


def test_a_ping_is_answered_with_its_payload():
    assert fed(frame(PING), frame(PING, b"x" * 125)).sent == [(PONG, b""), (PONG, b"x" * 125)]


def test_a_pong_nobody_asked_for_is_ignored():
    made = fed(frame(PONG, b"x"), frame(TEXT, b"a"))
    assert made.sent == []
    assert made.received == ["a"]


def test_pings_of_a_client_that_does_not_read_are_answered_once():
    """Section 5.5.3: the most recent will do. Nothing grows."""
    made = Made()
    made.wire.blocked = True
    made.feed(*(frame(PING, b"%d" % number) for number in range(100)))
    assert made.sent == []
    made.wire.blocked = False
    made.session.writable()
    assert made.sent == [(PONG, b"99")]


# --- 8.1: UTF-8 ---


@pytest.mark.parametrize(
    "bad",
    [b"\xff", b"a\xc3", b"\xc0\xaf", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"ok \xce\xba\xe1\xbd\xb9\xcf\x83\xed"],
)
def test_text_that_is_no_utf_8(bad: bytes):
    made = fed(frame(TEXT, b"good"), frame(TEXT, bad))
    assert made.received == ["good"]
    assert made.closed == (1007, "invalid data")


def test_a_character_split_over_fragments():
    made = fed(frame(TEXT, b"\xe2", fin=False), frame(CONTINUATION, b"\x82", fin=False), frame(CONTINUATION, b"\xac"))
    assert made.received == ["€"]


def test_what_is_invalid_in_a_later_fragment_is_found_before_the_message_ends():
    made = fed(frame(TEXT, b"fine", fin=False), frame(CONTINUATION, b"a\xff", fin=False))
    assert made.closed == (1007, "invalid data")


def test_binary_may_hold_anything():
    assert fed(frame(BINARY, b"\xff\xfe")).received == [b"\xff\xfe"]


# --- limits ---


@pytest.mark.parametrize("opcode", [TEXT, BINARY])
@pytest.mark.parametrize("limit", [125, 200, 20000])
def test_a_frame_above_the_limit(opcode: int, limit: int):
    assert len(fed(frame(opcode, b"x" * limit), limit=limit).received) == 1
    made = fed(frame(opcode, b"x" * (limit + 1)), limit=limit)
    assert made.closed == (1009, "message too big")
    assert made.received == []


def test_the_announced_length_counts():
    """Nothing of the gibibyte has arrived."""
    assert fed(b"\x82\xff" + (1 << 30).to_bytes(8, "big") + b"mask").closed == (1009, "message too big")


def test_a_message_above_the_limit_in_fragments():
    made = Made(limit=200)
    made.feed(frame(TEXT, b"x" * 100, fin=False), frame(CONTINUATION, b"x" * 100, fin=False))
    assert made.closed is None
    made.feed(frame(CONTINUATION, b"", fin=False), frame(PING))
    assert made.sent == [(PONG, b"")]
    made.feed(frame(CONTINUATION, b"x", fin=False)[:6])  # its head alone
    assert made.closed == (1009, "message too big")


def test_the_limit_is_for_each_message():
    made = Made(limit=200)
    for _ in range(5):
        made.feed(frame(TEXT, b"x" * 150, fin=False), frame(CONTINUATION, b"x" * 50), frame(BINARY, b"y" * 200))
    assert len(made.received) == 10


# --- 5.5.1, 7: closing ---


@pytest.mark.parametrize(("code", "reason"), [(1000, ""), (1001, "bye"), (3000, "é"), (4999, "x" * 123)])
def test_the_clients_close_is_answered_with_its_code(code: int, reason: str):
    """Section 5.5.1."""
    made = fed(frame(TEXT, b"last"), close_frame(code, reason))
    assert made.session.closed == (code, reason)
    assert made.received == ["last"]
    assert made.sent == [(CLOSE, code.to_bytes(2, "big"))]
    assert made.wire.ended


def test_a_close_without_a_code_is_1005():
    """Section 7.1.5."""
    made = fed(close_frame())
    assert made.session.closed == (1005, "")
    assert made.sent == [(CLOSE, b"")]


@pytest.mark.parametrize("code", [0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535])
def test_close_codes_that_may_not_be_sent(code: int):
    """Section 7.4."""
    made = fed(close_frame(code))
    assert made.closed == (1002, "protocol error")


def test_a_close_with_half_a_code():
    """Section 5.5.1."""
    assert fed(frame(CLOSE, b"\x03")).closed == (1002, "protocol error")


def test_a_close_reason_that_is_no_utf_8():
    assert fed(frame(CLOSE, b"\x03\xe8\xff")).closed == (1007, "invalid data")


def test_what_follows_a_close_frame_is_not_read():
    """Section 5.5.1."""
    made = fed(close_frame(1000), frame(TEXT, b"late"), frame(PING))
    assert made.received == []
    assert len(made.sent) == 1


def test_our_close_waits_for_the_clients():
    """Section 7.1.1."""
    made = Made()
    made.session.close(4000, "why")
    assert made.closed == (4000, "why")
    assert made.session.closed == (4000, "why")
    made.feed(frame(TEXT, b"on its way"), frame(PING))
    assert not made.wire.ended
    made.feed(close_frame(4000))
    assert made.received == []
    assert made.wire.ended
    assert len(made.sent) == 1


def test_a_client_that_does_not_answer_our_close_is_cut():
    made = Made()
    made.session.close()
    made.at(session_module.CLOSE_SECONDS - 0.1)
    assert not made.wire.aborted
    made.at(session_module.CLOSE_SECONDS)
    assert made.wire.aborted


def test_a_client_that_has_much_to_read_before_our_close_is_given_the_time():
    made = Made()
    made.wire.blocked = True
    made.session.close()
    made.at(session_module.CLOSE_SECONDS)
    assert not made.wire.aborted
    made.wire.blocked = False
    made.at(2 * session_module.CLOSE_SECONDS)
    assert made.wire.aborted


def test_a_bad_frame_behind_our_close_ends_it():
    made = Made()
    made.session.close()
    made.feed(frame(3, b""))
    assert made.wire.ended
    assert len(made.sent) == 1


@pytest.mark.parametrize(
    ("reason", "cut"), [("x" * 124, "x" * 123), ("é" * 62, "é" * 61), ("x" * 120 + "€€", "x" * 120 + "€")]
)
def test_a_close_reason_is_cut_between_characters(reason: str, cut: str):
    """Section 5.5: 125 bytes, of which two are the code."""
    made = Made()
    made.session.close(1000, reason)
    assert made.closed == (1000, cut)


@pytest.mark.parametrize("code", [0, 999, 1004, 1005, 1006, 1015, 2999, 5000, "1000", None])
def test_an_application_may_not_close_with(code):
    made = Made()
    with pytest.raises(ResponseError, match="close code"):
        made.session.close(code)
    assert made.sent == []


def test_failing_says_nothing_of_the_reason():
    made = Made()
    made.session.fail()
    assert made.closed == (1011, "")
    made.session.fail()
    assert len(made.sent) == 1


def test_a_lost_connection_is_1006():
    """Section 7.1.5."""
    made = fed(frame(TEXT, b"last"))
    made.session.lost()
    assert made.received == ["last"]
    assert made.session.closed == (1006, "")


def test_a_session_that_is_over_takes_nothing():
    made = fed(close_frame(1000))
    with pytest.raises(ClientGone, match="1000"):
        made.session.send("x")
    with pytest.raises(ClientGone):
        made.session.close()
    assert len(made.sent) == 1


# --- sending ---


@pytest.mark.parametrize("size", [0, 125, 126, 65535, 65536])
def test_what_is_sent(size: int):
    """Sections 5.1 and 5.2: not masked, the shortest form of the length."""
    made = Made()
    made.session.send("x" * size)
    made.session.send(b"y" * size)
    assert made.sent == [(TEXT, b"x" * size), (BINARY, b"y" * size)]


# --- flow control ---


def test_an_application_that_does_not_receive_stops_the_wire():
    made = Made()
    made.feed(*(frame(TEXT, b"%d" % number) for number in range(1000)))
    assert made.wire.paused
    waiting = len(made.session._queue)
    assert waiting < 100
    assert made.received == [str(number) for number in range(1000)]
    assert not made.wire.paused


def test_large_messages_stop_the_wire_sooner():
    made = Made()
    for _ in range(3):
        made.feed(frame(BINARY, b"x" * 50000))
    assert made.wire.paused
    assert made.session._queued == 100000
    assert len(made.received) == 3


@pytest.mark.parametrize("flood", [frame(PONG), frame(CONTINUATION, fin=False)], ids=["pongs", "empty fragments"])
def test_a_flood_of_frames_is_read_turn_by_turn(flood: bytes):
    """Other connections are served in between; nothing is lost."""
    made = Made()
    made.feed(frame(TEXT, b"a", fin=False), flood * 5000, frame(CONTINUATION, b"b"))
    assert made.wire.paused
    turns = 0
    while made.wire.callbacks:
        made.wire.turn()
        turns += 1
    assert turns > 10
    assert not made.wire.paused
    assert made.received == ["ab"]


def test_the_close_of_the_client_is_found_behind_what_nobody_received():
    """The application closes without having read: the client's answer is behind all the rest."""
    made = Made()
    made.feed(*(frame(TEXT, b"x") for _ in range(1000)), close_frame(1000))
    made.session.close()
    while made.wire.callbacks:
        made.wire.turn()
    assert made.wire.ended


def test_the_answer_to_our_own_close_is_found_behind_what_the_application_did_not_take():
    made = Made()
    made.feed(*(frame(TEXT, b"x") for _ in range(1000)), close_frame(1012))
    made.session.drain(made.clock.now)
    made.session.expire(made.clock.now)
    while made.wire.callbacks:
        made.wire.turn()
    assert made.wire.ended
    assert 0 < len(made.received) < 1000
    assert made.session.closed == (1012, "service restart")


# --- time ---


def test_a_silent_client_is_pinged_at_half_the_time_and_closed_at_the_whole():
    made = Made(timeout=60.0)
    assert made.at(29.9).sent == []
    assert made.at(30.0).sent == [(PING, b"")]
    assert made.at(59.9).closed is None
    assert made.at(60.0).closed == (1011, "no answer to a ping")
    assert made.session.closed == (1011, "no answer to a ping")


def test_a_client_that_answers_stays():
    made = Made(timeout=60.0)
    for minute in range(1, 20):
        made.at(minute * 30.5)
        made.feed(frame(PONG))
    assert made.closed is None
    assert all(opcode == PING for opcode, _ in made.sent)
    assert len(made.sent) == 19


def test_a_client_that_talks_is_not_pinged():
    made = Made(timeout=60.0)
    for second in range(1, 300):
        made.at(second).feed(frame(TEXT, b"x"))
        assert made.received == ["x"]
    assert made.sent == []


def test_a_client_that_we_do_not_read_is_not_held_to_be_silent():
    made = Made(timeout=60.0)
    made.feed(*(frame(TEXT, b"x") for _ in range(1000)))
    assert made.wire.paused
    made.at(30.0)
    made.at(600.0)
    assert made.closed is None
    assert made.sent
    assert all(opcode == PING for opcode, _ in made.sent)


def test_a_draining_server_closes_at_some_moment_up_to_the_end():
    moments = set()
    for _ in range(20):
        made = Made()
        made.session.drain(made.clock.now + 10.0)
        moments.add(made.session.deadline)
        assert made.closed is None
        made.at(10.0)
        assert made.closed == (1012, "service restart")
        assert made.session.closed == (1012, "service restart")
    assert len(moments) > 10
    assert all(Clock.now <= moment <= Clock.now + 10.0 for moment in moments)
