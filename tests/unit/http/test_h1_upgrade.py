"""The wire of a WebSocket over HTTP/1.1 (http/h1/upgrade.py), on a transport that only notes."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from hornbeamd.config.options import Options
from hornbeamd.http.h1.upgrade import H1WebSocket
from tests.support.websocket import TEXT, close_frame, frame

START = 1000.0


class NotedTransport:
    """What is in the buffer of the transport is up to the test."""

    def __init__(self, eof: bool) -> None:
        self.unsent = 0
        self.written = b""
        self.calls: list[str] = []
        self.can_write_eof = lambda: eof

    def get_extra_info(self, name: str) -> None:
        return None

    def get_write_buffer_size(self) -> int:
        return self.unsent

    def is_closing(self) -> bool:
        return "close" in self.calls or "abort" in self.calls

    def write(self, data: bytes) -> None:
        assert not self.calls, "written behind the end"
        self.written += data

    def write_eof(self) -> None:
        self.calls.append("write_eof")

    def close(self) -> None:
        self.calls.append("close")

    def abort(self) -> None:
        self.calls.append("abort")


class FakeServer:
    options = Options(send_timeout=10.0)
    now = START

    @property
    def send_deadline(self) -> float:
        return self.now + self.options.send_timeout


def made(eof: bool = True) -> H1WebSocket:
    connection = SimpleNamespace(server=FakeServer(), transport=NotedTransport(eof))
    peer = SimpleNamespace(client=("192.0.2.1", 1))
    return H1WebSocket(SimpleNamespace(connection=connection, peer=peer, bytes_sent=0), None)


def pass_time(wire: H1WebSocket, seconds: float) -> None:
    """Let deadlines pass, up to so long after now."""
    end = wire.server.now + seconds
    while wire.deadline <= end and "abort" not in wire.transport.calls:
        wire.server.now = max(wire.deadline, wire.server.now)
        wire.expire(wire.server.now)
    wire.server.now = end


@pytest.mark.parametrize("eof", [True, False], ids=["plain", "TLS"])
def test_behind_a_bad_frame_the_client_may_go_on_sending_for_a_while(eof: bool):
    wire = made(eof)
    wire.data_received(frame(3))
    assert wire.transport.calls == ["write_eof"] * eof
    for _ in range(1000):
        wire.data_received(bytes(1000))
    pass_time(wire, 10)
    assert wire.transport.calls == [*["write_eof"] * eof, "close", "abort"]


def test_but_not_without_end():
    wire = made()
    wire.data_received(frame(3))
    for _ in range(33):
        wire.data_received(bytes(1 << 20))
    assert "abort" in wire.transport.calls


def test_behind_a_close_of_both_sides_nothing_is_waited_for():
    wire = made()
    wire.data_received(close_frame(1000))
    assert wire.transport.calls == ["close"]


@pytest.mark.parametrize("end", [close_frame(1000), frame(3), None], ids=["close", "bad frame", "end of file"])
def test_a_client_that_does_not_take_the_end_is_cut(end: bytes | None):
    """The transport closes when all is written, and this client never lets it."""
    wire = made()
    wire.data_received(frame(TEXT, b"x"))
    wire.transport.unsent = 100
    if end is None:
        assert wire.eof_received() is False
    else:
        wire.data_received(end)
    pass_time(wire, 30)
    assert wire.transport.calls[-1] == "abort"


def test_a_client_that_takes_the_end_slowly_is_not():
    wire = made()
    wire.transport.unsent = 100
    wire.data_received(close_frame(1000))
    for _ in range(9):
        wire.transport.unsent -= 10
        pass_time(wire, 9)
    assert "abort" not in wire.transport.calls


def test_a_client_that_takes_nothing_is_cut_after_send_timeout():
    wire = made()
    wire.transport.unsent = 100_000
    wire.pause_writing()
    assert wire.blocked
    pass_time(wire, 9.9)
    assert wire.transport.calls == []
    pass_time(wire, 0.2)
    assert wire.transport.calls == ["abort"]
