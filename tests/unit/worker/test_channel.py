from __future__ import annotations

import socket

import pytest

from hornbeamd.config.certificates import Certificate
from hornbeamd.config.options import Options
from hornbeamd.jsonlines import Malformed
from hornbeamd.worker.channel import LONGEST_LINE, Inbox, Outbox, packed, unpacked


def test_a_message_without_end_is_refused() -> None:
    with pytest.raises(Malformed):
        Inbox().feed(b"x" * (LONGEST_LINE + 1))


@pytest.fixture
def pair():
    ours, theirs = socket.socketpair()
    yield ours, theirs
    ours.close()
    theirs.close()


def receive_all(sock: socket.socket) -> list[dict[str, object]]:
    sock.setblocking(False)
    inbox, received = Inbox(), []
    while True:
        try:
            received += inbox.feed(sock.recv(65536))
        except BlockingIOError:
            return received


def test_a_reader_that_sleeps_costs_offers_but_no_sends(pair) -> None:
    ours, theirs = pair
    outbox = Outbox(ours, limit=1 << 30)
    offered = sent = 0
    while True:  # until the socket takes no more
        outbox.offer({"event": "beat", "n": offered})
        offered += 1
        if outbox._pending:
            break
    for number in range(100):
        outbox.offer({"event": "beat", "n": -1})
        outbox.send({"event": "ready", "n": number})
        sent += 1
    received = []
    while len(received) < offered + sent:
        arrived = receive_all(theirs)
        assert arrived, "messages are missing"
        received += arrived
        outbox.flush()
    assert [m["n"] for m in received if m["event"] == "beat"] == list(range(offered))
    assert [m["n"] for m in received if m["event"] == "ready"] == list(range(sent))


def test_what_waits_is_bounded(pair) -> None:
    ours, _ = pair
    outbox = Outbox(ours, limit=1000)
    for _ in range(100_000):
        outbox.send({"event": "ready"})
    assert sum(map(len, outbox._pending)) < 1100


def test_a_reader_that_is_gone(pair) -> None:
    ours, theirs = pair
    theirs.close()
    with pytest.raises(ConnectionError):
        Outbox(ours).send({"event": "ready"})


def test_the_options_of_a_thousand_certificates_fit_into_a_socket() -> None:
    hosts = [f"tenant{number}.example.org" for number in range(1000)]
    certificates = tuple(
        Certificate(
            names=(host,), certfile=f"/etc/letsencrypt/{host}/cert.pem", keyfile=f"/etc/letsencrypt/{host}/key.pem"
        )
        for host in hosts
    )
    options = Options(certificates=certificates)
    assert len(packed(options)) < 64 * 1024
    assert unpacked(packed(options)) == options
