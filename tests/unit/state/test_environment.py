"""hornbeamd/state/environment.py"""

import os
import threading
from multiprocessing import get_context

import lmdb
import pytest

from hornbeamd.state.environment import Environment, environment
from tests.support.waiting import wait_until


@pytest.fixture
def opened(tmp_path):
    opened = environment(str(tmp_path / "data"), 1024 * 1024)
    yield opened
    opened.release()


def put(opened, key: bytes) -> None:
    with opened.begin(write=True) as transaction:
        transaction.put(key, b"1")


def get(opened, key: bytes) -> bytes | None:
    with opened.begin() as transaction:
        return transaction.get(key)


def test_parent_and_child_of_a_fork_each_open_it_anew(opened):
    def child() -> None:
        assert get(opened, b"before")
        put(opened, b"child")

    put(opened, b"before")
    assert get(opened, b"before")
    process = get_context("fork").Process(target=child)
    process.start()
    put(opened, b"parent")
    process.join()
    assert process.exitcode == 0
    assert get(opened, b"child") == get(opened, b"parent") == b"1"
    assert opened.lmdb.reader_check() == 0


@pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")
def test_threads_read_on_while_another_forks(opened):
    """Closed under a transaction, the environment would fail it, or free what it reads."""
    put(opened, b"key")
    stop, wrong = threading.Event(), []

    def read() -> None:
        try:
            while not stop.is_set():
                assert get(opened, b"key") == b"1"
        except BaseException as error:
            wrong.append(error)

    readers = [threading.Thread(target=read) for _ in range(2)]
    for reader in readers:
        reader.start()
    for _ in range(20):
        child = os.fork()
        if not child:  # os._exit() would take its time to write down what has been covered
            program = "true" if get(opened, b"key") == b"1" else "false"
            os.execlp(program, program)
        assert os.waitpid(child, 0)[1] == 0
    stop.set()
    for reader in readers:
        reader.join()
    assert wrong == []


@pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")
def test_a_fork_waits_for_a_thread_that_waits_to_write(opened, monkeypatch):
    """Closed under it, the environment would take the process with it."""

    def hold(told) -> None:
        with opened.begin(write=True):
            told.send(None)
            told.poll(0.3)

    def close() -> None:
        used.append(opened._in_use())
        Environment.close(opened)

    used: list[bool] = []
    told, ours = get_context("fork").Pipe()
    holder = get_context("fork").Process(target=hold, args=(told,))
    holder.start()
    ours.recv()
    writer = threading.Thread(target=put, args=(opened, b"key"))
    writer.start()
    wait_until(opened._in_use)
    monkeypatch.setattr(opened, "close", close)
    child = os.fork()
    if not child:
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    writer.join()
    holder.join()
    assert used == [False]
    assert get(opened, b"key") == b"1"


def test_all_who_ask_for_a_path_get_the_same(opened, tmp_path):
    again = environment(str(tmp_path / "x" / ".." / "data"), 1024 * 1024)
    assert again is opened
    again.release()
    put(opened, b"key")


def test_it_is_not_opened_anew_under_a_transaction(opened):
    """Closed under a thread that waits to write, it would take the process with it."""
    with opened.begin(write=True) as transaction:
        opened.renew()
        assert get(opened, b"key") is None
        transaction.put(b"key", b"1")
    assert get(opened, b"key") == b"1"


def test_it_is_opened_anew_when_nobody_uses_it(opened):
    put(opened, b"key")
    opened.lmdb.close()
    with pytest.raises(lmdb.Error):
        get(opened, b"key")
    opened.renew()
    assert get(opened, b"key") == b"1"
