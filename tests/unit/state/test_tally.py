"""hornbeamd/state/tally.py"""

import os
import threading
from multiprocessing import get_context

import pytest

from hornbeamd.state import tally
from hornbeamd.state.tally import CELLS, Tally


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "tally")


def _count(path: str, number: int) -> None:
    counters = Tally(path)
    for _ in range(number):
        counters.add(1)


def test_nothing_is_lost_between_processes_and_those_that_are_gone_count(path):
    counters = Tally(path)
    counters.add(1, 5)
    processes = [get_context("fork").Process(target=_count, args=(path, 2000)) for _ in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
        assert process.exitcode == 0
    assert [counters.total(cell) for cell in range(CELLS)] == [0, 6005, 0, 0]
    assert Tally(path).total(1) == 6005


def test_nothing_is_lost_between_threads(path):
    counters = Tally(path)
    threads = [threading.Thread(target=lambda: [counters.add(0) for _ in range(2000)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert counters.total(0) == 8000


def test_a_forked_child_has_a_row_of_its_own(path):
    counters = Tally(path)
    counters.add(0)

    def child() -> None:
        for _ in range(1000):
            counters.add(0)

    process = get_context("fork").Process(target=child)
    process.start()
    for _ in range(1000):
        counters.add(0)
    process.join()
    assert counters.total(0) == 2001
    rows = [sum(counters._cells[at : at + CELLS]) for at in range(0, 4 * CELLS, CELLS)]
    assert rows == [0, 1001, 1000, 0]


def test_the_mark_is_seen_by_all(path):
    counters, others = Tally(path), Tally(path)
    marks = {others.mark}
    for _ in range(10):
        counters.change()
        marks.add(others.mark)
    assert len(marks) == 11
    assert others.total(0) == 0


def test_where_there_is_no_room_there_are_no_counters(path, monkeypatch):
    """And no memory that would kill the process when touched."""

    def full(fd, offset, size):
        raise OSError("no space")

    monkeypatch.setattr(tally.os, "posix_fallocate", full)
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(OSError, match="no space"):
        Tally(path)
    assert len(os.listdir("/proc/self/fd")) == before


def test_without_a_path_they_are_of_this_process():
    one, other = Tally(), Tally()
    one.add(0, 3)
    assert (one.total(0), other.total(0)) == (3, 0)
    one.close()
