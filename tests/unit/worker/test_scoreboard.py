from __future__ import annotations

import os
import random

import pytest

from hornbeamd.worker.scoreboard import (
    ACCEPTING,
    BUSY,
    CELLS,
    CONNECTIONS,
    COUNTERS,
    IN_FLIGHT,
    MOST_WORKERS,
    REQUESTS,
    Scoreboard,
)


@pytest.fixture
def board():
    board = Scoreboard.create()
    yield board
    board.close()


def test_requests_in_hand_are_summed_over_claimed_rows(board: Scoreboard) -> None:
    for worker in (1, 2, MOST_WORKERS):
        board.claim(worker)
        board.row(worker)[IN_FLIGHT] = worker
        board.row(worker)[REQUESTS] = 1000  # other cells do not count
    assert board.in_flight() == 3 + MOST_WORKERS


def test_the_row_of_a_dead_worker_counts_no_more(board: Scoreboard) -> None:
    board.claim(1)
    board.row(1)[IN_FLIGHT] = 7
    board.clear(1)
    assert board.in_flight() == 0
    assert not any(board.row(1))


def test_a_row_is_empty_when_it_is_claimed_again(board: Scoreboard) -> None:
    board.claim(1)
    board.row(1)[ACCEPTING] = 1
    board.claim(1)
    assert not any(board.row(1))


def test_another_mapping_sees_the_same(board: Scoreboard) -> None:
    other = Scoreboard(os.dup(board.fd))
    board.claim(3)
    other.row(3)[0] += 5
    assert board.in_flight() == other.in_flight() == 5
    other.close()


def test_the_crowd_is_those_who_accept(board: Scoreboard) -> None:
    for worker, (connections, accepting) in enumerate([(5, 1), (7, 0), (2, 1)], start=1):
        board.claim(worker)
        board.row(worker)[CONNECTIONS], board.row(worker)[ACCEPTING] = connections, accepting
    assert board.crowd() == (2, 7)


def test_totals_keep_what_the_dead_have_counted(board: Scoreboard) -> None:
    """The figures of workers that come, count and die under the same few numbers: no total ever goes back."""
    rng, expected, before = random.Random(5), dict.fromkeys(COUNTERS, 0), [0] * CELLS
    for _ in range(200):
        worker = rng.randint(1, 5)
        if rng.random() < 0.2:
            rng.choice((board.claim, board.clear))(worker)
        else:
            board.claim(worker) if not any(board.row(worker)) else None
            cell = rng.choice(COUNTERS)
            board.row(worker)[cell] += 3
            expected[cell] += 3
        totals = board.totals()
        assert {cell: totals[cell] for cell in COUNTERS} == expected
        assert all(totals[cell] >= before[cell] for cell in COUNTERS)
        before = totals


def test_what_is_now_is_of_the_living_alone(board: Scoreboard) -> None:
    for worker in (1, 2, 3):
        board.claim(worker)
        board.row(worker)[CONNECTIONS] = board.row(worker)[BUSY] = worker
    board.measured = True
    board.clear(2)
    assert (board.totals()[CONNECTIONS], board.totals()[BUSY]) == (4, 6)
    assert (board.totals()[IN_FLIGHT], board.in_flight()) == (0, 0)


def test_all_see_whether_it_is_measured(board: Scoreboard) -> None:
    other = Scoreboard(os.dup(board.fd))
    assert not other.measured
    board.measured = True
    assert other.measured
    board.measured = False
    assert not other.measured
    other.close()
