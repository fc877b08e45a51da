from __future__ import annotations

from types import SimpleNamespace

import pytest

from hornbeamd.config.address import Address
from hornbeamd.supervisor.fdstore import LONGEST_NAME, PREFIX, Store, bind_of, is_offered, name_of
from hornbeamd.supervisor.listeners import Listener


class Notifier:
    """Remembers what systemd is told."""

    def __init__(self) -> None:
        self.told: list[tuple[str, str, tuple[int, ...]]] = []

    def keep(self, name: str, descriptors: list[int]) -> None:
        self.told.append(("keep", name, tuple(descriptors)))

    def forget(self, name: str) -> None:
        self.told.append(("forget", name, ()))


def listener(fd: int, bind: str | None) -> Listener:
    sock = SimpleNamespace(fileno=lambda: fd)
    return Listener(sock, "", None if bind is None else Address.parse(bind))


@pytest.mark.parametrize(
    "bind", ["127.0.0.1:8000", ":0", "[::1]:8000", "unix:/run/a b:ü%.sock", "unix:/caf\udce9", "localhost:1"]
)
def test_names_are_such_as_systemd_takes_and_lead_back(bind: str) -> None:
    name = name_of(Address.parse(bind))
    assert name.isascii()
    assert name.isprintable()
    assert ":" not in name
    assert bind_of(name) == Address.parse(bind)


@pytest.mark.parametrize("name", ["web", "unknown", "hornbeam", "hornbeamd-tls.socket", PREFIX, f"{PREFIX}tls"])
def test_sockets_of_others_are_not_taken_for_kept_ones(name: str) -> None:
    assert bind_of(name) is None


@pytest.mark.parametrize(
    ("environ", "offered"),
    [({}, False), ({"FDSTORE": "0"}, False), ({"FDSTORE": "8"}, True), ({"FDSTORE": "x"}, False)],
)
def test_whether_there_is_a_store(environ: dict[str, str], offered: bool) -> None:
    assert is_offered(environ) is offered


def test_what_is_kept_follows_what_is_listened_at() -> None:
    notifier = Notifier()
    store = Store(notifier, {"FDSTORE": "8"}, [Address.parse("127.0.0.1:1"), Address.parse("127.0.0.1:2")])
    long = f"unix:/{'ü' * (LONGEST_NAME // 6)}"
    binds = [(5, "127.0.0.1:2"), (6, ":3"), (7, ":3"), (8, "fd://8"), (9, None), (10, long)]
    store.follow([listener(fd, bind) for fd, bind in binds])
    assert notifier.told == [
        ("forget", name_of(Address.parse("127.0.0.1:1")), ()),
        ("keep", name_of(Address.parse(":3")), (6, 7)),
    ]
    notifier.told.clear()
    store.follow([listener(6, ":3"), listener(7, ":3")])
    assert notifier.told == [("forget", name_of(Address.parse("127.0.0.1:2")), ())]


def test_without_a_store_nothing_is_said() -> None:
    notifier = Notifier()
    Store(notifier, {}, []).follow([listener(5, ":1")])
    assert not notifier.told
