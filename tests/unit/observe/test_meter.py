from __future__ import annotations

import pytest

from hornbeamd.http.exchange import Exchange
from hornbeamd.observe.meter import Meter
from hornbeamd.worker.scoreboard import BOUNDS, BYTES, CELLS, CLASSES, COUNTS, SECONDS, WAITING, WIDTH


@pytest.fixture
def row() -> list[int]:
    return [0] * CELLS


@pytest.fixture
def meter(row: list[int]) -> Meter:
    return Meter(row, lambda: True)


def over(status: int, sent: int = 0, began: float = 100.0) -> Exchange:
    exchange = Exchange()
    exchange.status, exchange.bytes_sent, exchange.began = status, sent, began
    return exchange


def counts(row: list[int], kind: int) -> list[int]:
    first = COUNTS + CLASSES.index(kind) * WIDTH
    return row[first : first + WIDTH]


@pytest.mark.parametrize(
    ("seconds", "bucket"), [(0.0, 0), (0.0011, 1), (0.25, 7), (0.3, 8), (30.0, len(BOUNDS) - 1), (31.0, len(BOUNDS))]
)
def test_a_request_is_counted_where_its_time_belongs(meter: Meter, row: list[int], seconds: float, bucket: int) -> None:
    exchange = over(200, began=64.0)
    meter.record(exchange, 64.0 + seconds)
    meter.flush()
    assert [number for number, count in enumerate(counts(row, 2)) if count] == [bucket]
    assert sum(row[COUNTS:]) == 1


@pytest.mark.parametrize("status", [200, 304, 404, 499, 503])
def test_each_class_of_status_has_its_own(meter: Meter, row: list[int], status: int) -> None:
    meter.record(over(status, 7), 100.25)
    meter.record(over(status, 5), 100.5)
    meter.flush()
    kind = status // 100
    assert sum(counts(row, kind)) == sum(row[COUNTS:]) == 2
    assert row[SECONDS + CLASSES.index(kind)] == sum(row[SECONDS:COUNTS]) == 750_000
    assert row[BYTES] == 12


def test_a_websocket_is_no_long_request(meter: Meter, row: list[int]) -> None:
    exchange = over(200, 1000)
    exchange.upgraded = True
    meter.record(exchange, 5000.0)
    meter.flush()
    assert (row[BYTES], sum(row[SECONDS:])) == (1000, 0)


def test_what_began_unmeasured_is_of_unknown_length(meter: Meter, row: list[int]) -> None:
    meter.record(over(200, 10, began=0.0), 5000.0)
    meter.flush()
    assert (row[BYTES], sum(row[SECONDS:])) == (10, 0)


def test_other_cells_are_left_alone(row: list[int]) -> None:
    row[:] = range(CELLS)
    Meter(row, lambda: True, lambda: 1000).flush()
    assert row[:WAITING] == list(range(WAITING))
    assert row[WAITING] == 1000
    assert not any(row[BYTES:])
    assert len(row) == CELLS
