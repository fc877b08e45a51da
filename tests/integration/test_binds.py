"""The set of listening sockets and its changes, on real sockets; the workers are played here."""

from __future__ import annotations

import os
import select
import socket
import stat
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from itertools import count
from pathlib import Path
from typing import Any

import anyio
import pytest

from hornbeamd.config.address import Address
from hornbeamd.config.options import Options
from hornbeamd.errors import SupervisionError
from hornbeamd.supervisor import fdstore
from hornbeamd.supervisor.binds import Change, Listeners

ANY = "127.0.0.1:0"
FIRST = 700
"""Of the descriptors from systemd: in a test the lowest are taken."""
Make = Callable[..., Listeners]
Restart = Callable[[dict[str, socket.socket], Options], Listeners]


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


@pytest.fixture
def restart(monkeypatch: pytest.MonkeyPatch) -> Iterator[Restart]:
    """Opens listeners with sockets that systemd hands over: those that it has kept, by their addresses, and others, by
    their names."""
    opened: list[Listeners] = []

    def restart(given: dict[str, socket.socket], wanted: Options) -> Listeners:
        monkeypatch.setattr("hornbeamd.supervisor.listeners.SYSTEMD_FIRST_FD", FIRST)
        for fd, sock in enumerate(given.values(), FIRST):
            os.dup2(sock.fileno(), fd)
        names = [fdstore.name_of(Address.parse(name)) if ":" in name else name for name in given]
        environ = {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": str(len(given)), "LISTEN_FDNAMES": ":".join(names)}
        opened.append(Listeners.open(wanted, environ | {"FDSTORE": "8"}))
        return opened[-1]

    yield restart
    for listeners in opened:
        listeners.close()


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
    assert room(path) == 2  # one more than the backlog, as the kernel counts


def room(path: Path) -> int:
    """How many connections fit into the queue of a Unix socket at which nobody accepts."""
    with ExitStack() as stack:
        for number in count():
            client = stack.enter_context(socket.socket(socket.AF_UNIX))
            client.setblocking(False)
            try:
                client.connect(str(path))
            except BlockingIOError:
                return number
    raise AssertionError


def test_mode_owner_and_backlog_follow_on_sockets_that_systemd_has_kept(restart: Restart, tmp_path: Path) -> None:
    path = tmp_path / "s"
    with socket.socket(socket.AF_UNIX) as kept:
        kept.bind(str(path))
        kept.listen(50)
        path.chmod(0o666)
        bind = f"unix:{path}"
        listeners = restart({bind: kept}, options(bind, unix_socket_mode=0o600, backlog=1))
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert room(path) == 2
        listeners.close()
        with pytest.raises(SupervisionError, match=r"cannot change .*: there is no user 'nobody-of-that-name'"):
            restart({bind: kept}, options(bind, unix_socket_owner="nobody-of-that-name"))


def test_what_is_no_socket_any_more_is_not_touched(restart: Restart, tmp_path: Path) -> None:
    path, other = tmp_path / "s", tmp_path / "other"
    other.touch(0o644)
    with socket.socket(socket.AF_UNIX) as kept:
        kept.bind(str(path))
        kept.listen()
        path.unlink()
        path.symlink_to(other)
        with pytest.raises(SupervisionError, match="no socket is there"):
            restart({f"unix:{path}": kept}, options(f"unix:{path}", unix_socket_mode=0o666))
    assert stat.S_IMODE(other.stat().st_mode) == 0o644


def test_sockets_that_systemd_has_kept_are_closed_where_it_hands_over_others(
    restart: Restart,
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as kept, socket.create_server(("127.0.0.1", 0)) as given:
        where = kept.getsockname()
        bind = f"127.0.0.1:{where[1]}"
        listeners = restart({bind: kept, "hornbeamd-http.socket": given}, options(bind))
        assert [each.socket.getsockname() for each in listeners.current] == [given.getsockname()]
        assert listeners.found == {Address.parse(bind)}
    assert refused(where)


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
