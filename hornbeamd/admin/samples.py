"""Where the samples of a metric are found in the figures: what the rows of ``metrics.py`` are made of."""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from hornbeamd.admin.figures import Figures, Pool
from hornbeamd.worker.scoreboard import BUSY, CLASSES, COUNTS, INVALID, SECONDS, WIDTH


@dataclass(frozen=True, slots=True)
class Histogram:
    """*counts* between the bounds of ``scoreboard.BOUNDS``, each by itself; *total* is the sum of seconds."""

    counts: tuple[int, ...]
    total: float


Sample = tuple[tuple[str, ...], float | Histogram]
"""The values of the labels, and the value; a Histogram where the metric is one."""


Samples = Callable[[Figures], Iterable[Sample]]
"""Gives what there is of a metric; nothing, where it is not known now."""


def build(figures: Figures) -> Iterator[Sample]:
    yield (figures.version, platform.python_version()), 1


def one(value: Callable[[Figures], float]) -> Samples:
    def samples(figures: Figures) -> Iterator[Sample]:
        yield (), value(figures)

    return samples


def total(cell: int) -> Samples:
    return one(lambda figures: figures.totals[cell])


def each_worker(cell: int) -> Samples:
    def samples(figures: Figures) -> Iterator[Sample]:
        for worker in figures.workers:
            yield (str(worker.number),), worker.row[cell]

    return samples


def classes(value: Callable[[Figures, int], float | Histogram]) -> Samples:
    def samples(figures: Figures) -> Iterator[Sample]:
        for number, kind in enumerate(CLASSES):
            yield (f"{kind}xx",), value(figures, number)

    return samples


def histogram(figures: Figures, number: int) -> Histogram:
    first = COUNTS + number * WIDTH
    return Histogram(tuple(figures.totals[first : first + WIDTH]), figures.totals[SECONDS + number] / 1e6)


def count(figures: Figures, number: int) -> float:
    return sum(histogram(figures, number).counts)


def refused(figures: Figures) -> Iterator[Sample]:
    yield ("busy",), figures.totals[BUSY]
    yield ("invalid",), figures.totals[INVALID]


def web(value: Callable[[Pool], Iterable[Sample]]) -> Samples:
    def samples(figures: Figures) -> Iterator[Sample]:
        for pool in figures.pools:
            if not pool.name:
                yield from value(pool)

    return samples


def pools(value: Callable[[Pool], Iterable[Sample]]) -> Samples:
    def samples(figures: Figures) -> Iterator[Sample]:
        for pool in figures.pools:
            if pool.name:
                for labels, number in value(pool):
                    yield (pool.name, *labels), number

    return samples


def states(pool: Pool) -> Iterator[Sample]:
    for state, number in pool.states.items():
        yield (state,), number


def wanted(pool: Pool) -> Iterator[Sample]:
    yield (), pool.wanted


def ends(pool: Pool) -> Iterator[Sample]:
    for reason, number in pool.ends.items():
        yield (reason,), number


def usage(name: str) -> Samples:
    def samples(figures: Figures) -> Iterator[Sample]:
        for process, usage in figures.usage.items():
            value = getattr(usage, name)
            if value is not None:
                yield (process,), value

    return samples


def last_reload(value: Callable[[Figures], float]) -> Samples:
    def samples(figures: Figures) -> Iterator[Sample]:
        if figures.reloads.at is not None:
            yield (), value(figures)

    return samples


def reloads(figures: Figures) -> Iterator[Sample]:
    for result, number in figures.reloads.results.items():
        yield (result,), number


def answer(part: str, name: str) -> Samples:
    """What the hub says of itself, of the state or of the cache."""

    def samples(figures: Figures) -> Iterator[Sample]:
        found = (figures.hub.answer or {}).get(part)
        if found is not None:
            yield (), found[name]

    return samples


def calls(name: str) -> Samples:
    def samples(figures: Figures) -> Iterator[Sample]:
        for pool, calls in (figures.hub.answer or {}).get("pools", {}).items():
            yield (pool,), calls[name]

    return samples
