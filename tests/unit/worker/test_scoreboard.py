from __future__ import annotations

import os

import pytest

from hornbeamd.worker.scoreboard import MOST_WORKERS, Scoreboard


@pytest.fixture
def board():
    board = Scoreboard.create()
    yield board
    board.close()


def test_requests_in_hand_are_summed_over_claimed_rows(board: Scoreboard) -> None:
    for worker in (1, 2, MOST_WORKERS):
        board.claim(worker)
        board.row(worker)[:] = memoryview(bytes(32)).cast("q")
        board.row(worker)[0] = worker
        board.row(worker)[2] = 1000  # other cells do not count
    assert board.in_flight() == 3 + MOST_WORKERS


def test_the_row_of_a_dead_worker_counts_no_more(board: Scoreboard) -> None:
    board.claim(1)
    board.row(1)[0] = 7
    board.clear(1)
    assert board.in_flight() == 0
    assert list(board.row(1)) == [0, 0, 0, 0]


def test_a_row_is_empty_when_it_is_claimed_again(board: Scoreboard) -> None:
    board.claim(1)
    board.row(1)[3] = 7
    board.claim(1)
    assert list(board.row(1)) == [0, 0, 0, 0]


def test_another_mapping_sees_the_same(board: Scoreboard) -> None:
    other = Scoreboard(os.dup(board.fd))
    board.claim(3)
    other.row(3)[0] += 5
    assert board.in_flight() == other.in_flight() == 5
    other.close()


def test_the_crowd_is_those_who_accept(board: Scoreboard) -> None:
    for worker, (connections, accepting) in enumerate([(5, 1), (7, 0), (2, 1)], start=1):
        board.claim(worker)
        board.row(worker)[1], board.row(worker)[3] = connections, accepting
    assert board.crowd() == (2, 7)
