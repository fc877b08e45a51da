"""The metrics as Prometheus reads them: by prometheus_client's own parsers."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import anyio
import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from hornbeamd.admin.exposition import FRESH, Exposition
from hornbeamd.admin.figures import Figures, Hub, Pool, Reloads, Usage, Worker
from hornbeamd.admin.metrics import METRICS, table
from hornbeamd.supervisor.endings import Ending
from hornbeamd.worker.scoreboard import BOUNDS, BUSY, BYTES, CELLS, COUNTS, IN_FLIGHT, REQUESTS, SECONDS, WIDTH

OPERATIONS = Path(__file__).parents[3] / "docs" / "operations.md"

ANSWER = {
    "hub": dict.fromkeys(
        ("clients", "topics", "subscribers", "published", "delivered", "missed", "calls", "in_hand", "waiting"), 5
    ),
    "pools": {'a "pool"\n': {"in_hand": 1, "waiting": 2}},
    "state": {"entries": 3, "bytes": 4096, "max_bytes": 8192},
    "cache": dict.fromkeys(("entries", "bytes", "max_bytes", "hits", "misses", "evictions"), 6),
}


def figures(answer: dict[str, Any] | None = ANSWER, at: float | None = 1e9) -> Figures:
    totals = [0] * CELLS
    totals[BUSY], totals[BYTES], totals[SECONDS] = 3, 1000, 2_500_000
    for number in (0, 0, 4, WIDTH - 1):
        totals[COUNTS + number] += 1
    totals[COUNTS + 3 * WIDTH] = 7  # 5xx
    row = [0] * CELLS
    row[REQUESTS], row[IN_FLIGHT] = 11, 2
    states = {"booting": 0, "serving": 2, "draining": 1}
    return Figures(
        version="1.2",
        started=1e9,
        generation=3,
        totals=totals,
        workers=[Worker(1, row), Worker(7, row)],
        pools=[Pool("", 2, states, {"crash": 1}), Pool("embeddings", 1, states, {"max_memory": 4})],
        reloads=Reloads({"swapped": 2, "refused": 1}, False, at, 0.5),
        hub=Hub(2, answer),
        usage={"worker 1": Usage(4096, 1.5, 12), "hub": Usage(8192, 0.5, None)},
    )


def scraped(accept: str, found: Figures) -> tuple[str, str]:
    async def take() -> Figures:
        return found

    async def scrape() -> Any:
        return await Exposition(take).answer(accept)

    answer = anyio.run(scrape)
    assert answer.status == 200
    return answer.body.decode(), answer.content_type


def samples(accept: str = "", found: Figures | None = None) -> dict[tuple[str, ...], float]:
    """The values, by name and labels."""
    text, _ = scraped(accept, found or figures())
    parse = parse_openmetrics if "openmetrics" in accept else parse_text
    return {
        (sample.name, *(f"{name}={value}" for name, value in sorted(sample.labels.items()))): sample.value
        for family in parse(text)
        for sample in family.samples
    }


FORMATS = ["", "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5"]


@pytest.mark.parametrize("accept", FORMATS)
def test_every_metric_is_told_with_its_kind_and_labels(accept: str) -> None:
    text, content_type = scraped(accept, figures())
    assert content_type.startswith("application/openmetrics-text" if accept else "text/plain")
    parse = parse_openmetrics if accept else parse_text
    families = {family.name: family for family in parse(text)}
    assert len(families) == len(METRICS)
    for metric in METRICS:
        family = families[metric.name.removesuffix("_total") if metric.kind == "counter" else metric.name]
        assert (family.type, family.documentation) == (metric.kind, metric.help)
        assert family.samples, metric.name
        for sample in family.samples:
            assert set(sample.labels) - {"le"} == set(metric.labels)


@pytest.mark.parametrize("accept", FORMATS)
def test_values(accept: str) -> None:
    found = samples(accept)
    assert found[("hornbeam_requests_total", "status=2xx")] == 4
    assert found[("hornbeam_requests_total", "status=5xx")] == 7
    assert found[("hornbeam_requests_refused_total", "reason=busy")] == 3
    assert found[("hornbeam_worker_requests_total", "worker=7")] == 11
    assert found[("hornbeam_workers", "state=draining")] == 1
    assert found[("hornbeam_pool_process_ends_total", "pool=embeddings", "reason=max_memory")] == 4
    assert found[("hornbeam_pool_calls_waiting", 'pool=a "pool"\n')] == 2
    assert found[("hornbeam_last_reload_successful",)] == 0
    assert found[("hornbeam_process_open_fds", "process=worker 1")] == 12
    assert ("hornbeam_process_open_fds", "process=hub") not in found
    assert found[("hornbeam_cache_hits_total",)] == 6


@pytest.mark.parametrize("accept", FORMATS)
def test_buckets_are_cumulative_and_agree_with_count_and_sum(accept: str) -> None:
    found = samples(accept)
    name = "hornbeam_request_duration_seconds"
    buckets = [found[(f"{name}_bucket", f"le={bound}", "status=2xx")] for bound in (*BOUNDS, "+Inf")]
    assert buckets == [2, 2, 2, 2] + [3] * (WIDTH - 5) + [4]
    assert found[(f"{name}_count", "status=2xx")] == found[("hornbeam_requests_total", "status=2xx")] == 4
    assert found[(f"{name}_sum", "status=2xx")] == 2.5


def test_without_the_hub_the_rest_is_told() -> None:
    found = samples(found=figures(answer=None))
    assert found[("hornbeam_hub_up",)] == 0
    assert found[("hornbeam_hub_starts_total",)] == 2
    assert not any(key[0].startswith(("hornbeam_state", "hornbeam_cache", "hornbeam_hub_clients")) for key in found)
    assert found[("hornbeam_requests_total", "status=2xx")] == 4


def test_a_hub_that_has_not_counted_the_state_yet_tells_its_own() -> None:
    found = samples(found=figures(answer={"hub": ANSWER["hub"], "pools": {}}))
    assert found[("hornbeam_hub_clients",)] == 5
    assert ("hornbeam_state_entries",) not in found


def test_before_the_first_reload_there_is_no_last_one() -> None:
    found = samples(found=figures(at=None))
    assert ("hornbeam_last_reload_timestamp_seconds",) not in found
    assert ("hornbeam_last_reload_duration_seconds",) not in found


def test_who_scrapes_too_often_gets_the_same_again() -> None:
    now, taken = [100.0], []

    async def take() -> Figures:
        await anyio.lowlevel.checkpoint()
        taken.append(now[0])
        return figures()

    async def scrape() -> None:
        exposition = Exposition(take, lambda: now[0])
        async with anyio.create_task_group() as group:
            for accept in FORMATS * 5:
                group.start_soon(exposition.answer, accept)
        assert taken == [100.0]
        now[0] += FRESH + 0.01
        await exposition.answer("")

    anyio.run(scrape)
    assert taken == [100.0, 100.0 + FRESH + 0.01]


def test_a_format_that_makes_no_sense_is_answered_in_the_plain_one() -> None:
    async def take() -> Figures:
        return figures()

    exposition = Exposition(take)
    answer = anyio.run(exposition.answer, "application/openmetrics-text; version=x")
    assert (answer.status, answer.content_type) == (200, "text/plain; version=0.0.4; charset=utf-8")


def test_names_are_as_prometheus_has_them() -> None:
    for metric in METRICS:
        assert re.fullmatch(r"hornbeam_[a-z_]+", metric.name)
        assert metric.name.endswith("_total") == (metric.kind == "counter"), metric.name
    assert len({metric.name for metric in METRICS}) == len(METRICS)


def test_the_documentation_has_the_table_and_all_reasons() -> None:
    text = OPERATIONS.read_text()
    assert table() in text, "put into docs/operations.md what hornbeamd.admin.metrics.table() gives"
    for ending in Ending:
        assert f"`{ending}`" in text
