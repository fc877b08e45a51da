"""The set of listening sockets and its changes, on real sockets; the workers are played here."""

from __future__ import annotations

import os
import select
import socket
import stat
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import anyio
import pytest

from hornbeamd.config.address import Address
from hornbeamd.config.options import Options
from hornbeamd.errors import SupervisionError
from hornbeamd.supervisor.binds import Change, Listeners

ANY = "127.0.0.1:0"
Make = Callable[..., Listeners]


def options(*binds: str, **more: Any) -> Options:
    return Options(bind=tuple(map(Address.parse, binds)), **more)


@pytest.fixture
def make() -> Iterator[Make]:
    with ExitStack() as stack:

        def opened(*binds: str, **more: Any) -> Listeners:
            listeners = Listeners.open(options(*binds, **more), {})
            stack.callback(listeners.close)
            return listeners

        yield opened


def commit(change: Change) -> None:
    anyio.run(change.commit)


def accept(listener: socket.socket) -> socket.socket:
    assert select.select([listener], [], [], 5)[0]
    return listener.accept()[0]


def refused(where: Any) -> bool:
    with socket.socket(socket.AF_UNIX if isinstance(where, str) else socket.AF_INET) as client:
        client.settimeout(5)
        try:
            client.connect(where)
        except (ConnectionRefusedError, FileNotFoundError):
            return True
        return False


def test_an_address_is_added_and_the_others_keep_their_sockets(make: Make, tmp_path: Path) -> None:
    listeners = make(ANY)
    before = listeners.sockets
    path = tmp_path / "s"
    change = listeners.prepare(options(ANY, f"unix:{path}"))
    assert listeners.sockets[:1] == before
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))  # from this moment on: the new workers are told of no other
        accept(listeners.sockets[1]).close()
    commit(change)
    assert path.exists()
    assert not refused(before[0].getsockname())


def test_an_address_in_use_changes_nothing(make: Make, tmp_path: Path) -> None:
    listeners, other = make(ANY, backlog=5), make(ANY)
    before = listeners.sockets
    taken = f"127.0.0.1:{other.sockets[0].getsockname()[1]}"
    path = tmp_path / "s"
    with pytest.raises(SupervisionError, match=f"cannot listen on {taken}: Address already in use"):
        listeners.prepare(options(f"unix:{path}", taken, ANY, backlog=9))
    assert listeners.sockets == before
    assert not list(tmp_path.iterdir())
    assert listeners.options.backlog == 5


def test_an_address_that_may_not_be_taken_is_named(make: Make) -> None:
    listeners = make(ANY)
    with pytest.raises(SupervisionError, match=r"cannot listen on 192\.0\.2\.1:8000"):
        listeners.prepare(options(ANY, "192.0.2.1:8000"))
    with pytest.raises(SupervisionError, match="fd://9: it can only be inherited at a start"):
        listeners.prepare(options(ANY, "fd://9"))


@pytest.mark.parametrize("kind", ["tcp", "unix"])
def test_who_was_queued_at_a_removed_address_is_served_before_it_is_refused(
    kind: str, make: Make, tmp_path: Path
) -> None:
    path = tmp_path / "s"
    gone = ANY if kind == "tcp" else f"unix:{path}"
    listeners = make(gone, "unix:" + str(tmp_path / "stays"))
    where = str(path) if kind == "unix" else listeners.sockets[0].getsockname()
    clients = []
    for _ in range(5):
        client = socket.socket(socket.AF_UNIX if kind == "unix" else socket.AF_INET)
        client.connect(where)
        clients.append(client)
    change = listeners.prepare(options("unix:" + str(tmp_path / "stays")))
    worker = listeners.sockets[-1].dup()  # as a process that has inherited it; it stays open there
    answered = threading.Event()

    def work() -> None:
        for _ in clients:
            with accept(worker) as connection:
                connection.sendall(b"served")
        answered.set()

    thread = threading.Thread(target=work)
    thread.start()
    commit(change)
    thread.join()
    assert answered.is_set()
    for client in clients:
        assert client.recv(10) == b"served"
        client.close()
    assert refused(where)
    assert not path.exists()
    assert len(listeners.sockets) == 1
    worker.close()


def test_a_removed_address_whose_queue_nobody_empties_is_closed_in_the_end(make: Make, tmp_path: Path) -> None:
    listeners = make(ANY, "unix:" + str(tmp_path / "stays"))
    where = listeners.sockets[0].getsockname()
    with socket.create_connection(where):
        commit(listeners.prepare(options("unix:" + str(tmp_path / "stays"), graceful_timeout=0.1)))
        assert refused(where)


def test_a_change_that_is_reverted_leaves_no_trace(make: Make, tmp_path: Path) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    listeners = make(ANY, f"unix:{old}", unix_socket_mode=0o600)
    before = listeners.sockets
    change = listeners.prepare(options(f"unix:{old}", f"unix:{new}", unix_socket_mode=0o666))
    assert stat.S_IMODE(old.stat().st_mode) == 0o666
    change.revert()
    assert listeners.sockets == before
    assert stat.S_IMODE(old.stat().st_mode) == 0o600
    assert not new.exists()
    assert not refused(before[0].getsockname())


def test_mode_owner_and_backlog_follow_on_open_sockets(make: Make, tmp_path: Path) -> None:
    path = tmp_path / "s"
    listeners = make(f"unix:{path}", unix_socket_mode=0o600, backlog=50)
    ours = f"{os.getuid()}:{os.getgid()}"
    commit(listeners.prepare(options(f"unix:{path}", unix_socket_mode=0o660, unix_socket_owner=ours, backlog=1)))
    assert stat.S_IMODE(path.stat().st_mode) == 0o660
    with ExitStack() as stack:
        most = 2  # one more than the backlog, as the kernel counts
        for _ in range(most):
            client = stack.enter_context(socket.socket(socket.AF_UNIX))
            client.setblocking(False)
            client.connect(str(path))
        client = stack.enter_context(socket.socket(socket.AF_UNIX))
        client.setblocking(False)
        with pytest.raises(BlockingIOError):
            client.connect(str(path))


def test_an_owner_that_does_not_exist_is_an_error_and_the_mode_stays(make: Make, tmp_path: Path) -> None:
    path = tmp_path / "s"
    listeners = make(f"unix:{path}", unix_socket_mode=0o600)
    with pytest.raises(SupervisionError, match="there is no user 'nobody-of-that-name'"):
        listeners.prepare(options(f"unix:{path}", unix_socket_mode=0o666, unix_socket_owner="nobody-of-that-name"))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize(("before", "after"), [("127.0.0.1:0", ":{}"), (":0", "127.0.0.1:{}")])
def test_an_address_gives_way_to_another_on_the_same_port(before: str, after: str, make: Make) -> None:
    listeners = make(before)
    held = listeners.sockets
    port = held[0].getsockname()[1]
    commit(listeners.prepare(options(after.format(port))))
    assert all(sock.fileno() == -1 for sock in held)
    with socket.create_connection(("127.0.0.1", port)):
        accept(listeners.sockets[0]).close()


def test_an_address_that_is_named_twice_is_one(make: Make) -> None:
    assert len(make(ANY, ANY).sockets) == 1
