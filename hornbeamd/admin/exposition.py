"""The figures in the formats of Prometheus, which prometheus_client writes: text, or OpenMetrics for who asks for it.

prometheus_client is imported with the first scrape: it takes 14 MB, and /livez and /readyz do without.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterator
from itertools import accumulate
from typing import TYPE_CHECKING, Any

import anyio

from hornbeamd.admin.conversation import Answer
from hornbeamd.admin.figures import Figures
from hornbeamd.admin.metrics import METRICS, Metric
from hornbeamd.admin.samples import Histogram
from hornbeamd.worker.scoreboard import BOUNDS

if TYPE_CHECKING:
    from prometheus_client.core import Metric as Family

FRESH = 0.5
"""How old figures may be, in seconds: whoever scrapes more often than that costs no more."""

_LIMITS = tuple(map(str, (*BOUNDS, "+Inf")))


class Exposition:
    """Answers /metrics with what *take* gives."""

    def __init__(self, take: Callable[[], Awaitable[Figures]], clock: Callable[[], float] = time.monotonic) -> None:
        self._take = take
        self._clock = clock
        self._turn = anyio.Lock()
        self._taken_at = float("-inf")
        self._figures: Figures
        self._written: dict[str, bytes] = {}
        """By format."""

    async def answer(self, accept: str) -> Answer:
        """The figures of this moment in the format that *accept*, the header, asks for."""
        write, content_type = _format(accept)
        async with self._turn:
            if self._clock() - self._taken_at > FRESH:
                self._figures = await self._take()
                self._taken_at = self._clock()
                self._written.clear()
            if content_type not in self._written:
                self._written[content_type] = write(_Collector(self._figures))
            return Answer(200, self._written[content_type], content_type)


class _Collector:
    """What prometheus_client asks for the metrics: to it this is a registry."""

    def __init__(self, figures: Figures) -> None:
        self._figures = figures

    def collect(self) -> Iterator[Family]:
        for metric in METRICS:
            family = _family(metric)
            for labels, value in metric.samples(self._figures):
                if isinstance(value, Histogram):
                    buckets = list(zip(_LIMITS, accumulate(value.counts), strict=True))
                    family.add_metric(labels, buckets=buckets, sum_value=value.total)
                else:
                    family.add_metric(labels, value)
            yield family


def _format(accept: str) -> tuple[Callable[[_Collector], bytes], str]:
    from prometheus_client.exposition import choose_encoder

    try:
        return choose_encoder(accept)
    except (TypeError, ValueError):  # a version that is no number
        return choose_encoder("")


def _family(metric: Metric) -> Any:
    from prometheus_client import core

    kinds = {
        "counter": core.CounterMetricFamily,
        "gauge": core.GaugeMetricFamily,
        "histogram": core.HistogramMetricFamily,
    }
    return kinds[metric.kind](metric.name, metric.help, labels=metric.labels)
