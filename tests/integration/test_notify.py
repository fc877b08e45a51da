"""What systemd would read, over a notify socket of our own in its place."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from hornbeamd.supervisor.notify import LONGEST_STATUS, Notifier

MOST = 4096
"""NOTIFY_BUFFER_MAX of systemd: what is longer it drops."""


@pytest.fixture
def hear(tmp_path: Path) -> Iterator[Callable[[], bytes]]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(5)
        yield lambda: manager.recv(65536)


@pytest.fixture
def notifier(hear: Callable[[], bytes], tmp_path: Path) -> Iterator[Notifier]:
    runtime = str(tmp_path) + "/caf\udce9"
    with closing(Notifier({"NOTIFY_SOCKET": str(tmp_path / "notify")}, runtime)) as notifier:
        yield notifier


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("cannot read caf\udce9, nor \ud800", rb"cannot read caf\udce9, nor \ud800"),
        ("two\nlines\r\n\0and\x1b", rb"two\nlines\r\n\x00and\x1b"),
        ("Zürich", "Zürich".encode()),
        ("x" * 6000, b"x" * LONGEST_STATUS),
        ("x" + "ü" * 6000, b"x" + "ü".encode() * ((LONGEST_STATUS - 1) // 2)),
    ],
    ids=["surrogates", "control characters", "Unicode", "long", "cut in a character"],
)
def test_a_status_is_one_line_that_systemd_takes_whatever_was_raised(
    text: str, seen: bytes, notifier: Notifier, hear: Callable[[], bytes], tmp_path: Path
) -> None:
    notifier.ready(text)
    message = hear()
    assert len(message) < MOST
    ready, status, _, runtime = message.split(b"\n")
    assert (ready, status) == (b"READY=1", b"STATUS=" + seen)
    assert runtime == b"X_HORNBEAM_RUNTIME=" + bytes(tmp_path) + b"/caf\xe9"
    notifier.status(text + "!")
    assert hear().count(b"\n") == 0
