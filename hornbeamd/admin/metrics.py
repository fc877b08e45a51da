"""The one table of metrics: name, kind, labels, help, and where each is found in the figures.

Names are as Prometheus has them: a counter ends in ``_total``, units are seconds and bytes. No label has values that
clients or applications choose, so that the number of series is bounded by the configuration.
"""

from __future__ import annotations

from dataclasses import dataclass
from operator import attrgetter
from typing import Literal

from hornbeamd.admin.samples import (
    Samples,
    answer,
    build,
    calls,
    classes,
    count,
    each_worker,
    ends,
    histogram,
    last_reload,
    one,
    pools,
    refused,
    reloads,
    states,
    total,
    usage,
    wanted,
    web,
)
from hornbeamd.worker.scoreboard import BYTES, CONNECTIONS, IN_FLIGHT, OPENED, REQUESTS, WAITING, WEBSOCKETS


@dataclass(frozen=True, slots=True)
class Metric:
    """One row."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    help: str
    samples: Samples
    labels: tuple[str, ...] = ()


METRICS = (
    # The daemon.
    Metric("hornbeam_build_info", "gauge", "1, for its labels.", build, ("version", "python")),
    Metric(
        "hornbeam_start_time_seconds",
        "gauge",
        "When the daemon was started, in seconds since 1970.",
        one(attrgetter("started")),
    ),
    # Requests.
    Metric(
        "hornbeam_requests_total",
        "counter",
        "Requests that are over, by the class of their status; 4xx where the client left before, too.",
        classes(count),
        ("status",),
    ),
    Metric(
        "hornbeam_request_duration_seconds",
        "histogram",
        "What they took, from the end of the head of the request to the end of the answer; no WebSockets.",
        classes(histogram),
        ("status",),
    ),
    Metric(
        "hornbeam_response_bytes_total",
        "counter",
        "Bytes of response bodies, and of what was sent over WebSockets that are over.",
        total(BYTES),
    ),
    Metric(
        "hornbeam_requests_refused_total",
        "counter",
        "Requests that came to no application: busy, because of max_concurrent; invalid, against HTTP or a limit.",
        refused,
        ("reason",),
    ),
    Metric("hornbeam_websockets_opened_total", "counter", "WebSockets that were accepted.", total(OPENED)),
    # Each worker.
    Metric(
        "hornbeam_worker_requests_total",
        "counter",
        "Requests and WebSockets that are over, since the worker of this number was started.",
        each_worker(REQUESTS),
        ("worker",),
    ),
    Metric(
        "hornbeam_requests_in_flight",
        "gauge",
        "Requests in hand, open WebSockets among them.",
        each_worker(IN_FLIGHT),
        ("worker",),
    ),
    Metric(
        "hornbeam_requests_waiting",
        "gauge",
        "Of these, requests for a WSGI application that wait for a thread.",
        each_worker(WAITING),
        ("worker",),
    ),
    Metric("hornbeam_connections", "gauge", "Open connections of clients.", each_worker(CONNECTIONS), ("worker",)),
    Metric("hornbeam_websockets", "gauge", "Open WebSockets.", each_worker(WEBSOCKETS), ("worker",)),
    # Processes.
    Metric("hornbeam_workers", "gauge", "Web workers: booting, serving or draining.", web(states), ("state",)),
    Metric("hornbeam_workers_wanted", "gauge", "How many web workers there should be.", web(wanted)),
    Metric(
        "hornbeam_worker_ends_total",
        "counter",
        "Web workers that have ended, by reason: those below the table.",
        web(ends),
        ("reason",),
    ),
    Metric(
        "hornbeam_pool_processes",
        "gauge",
        "Processes of a pool: booting, serving or draining.",
        pools(states),
        ("pool", "state"),
    ),
    Metric(
        "hornbeam_pool_processes_wanted",
        "gauge",
        "How many processes of the pool there should be.",
        pools(wanted),
        ("pool",),
    ),
    Metric(
        "hornbeam_pool_process_ends_total",
        "counter",
        "Processes of a pool that have ended, by reason.",
        pools(ends),
        ("pool", "reason"),
    ),
    Metric(
        "hornbeam_process_resident_memory_bytes",
        "gauge",
        "Memory of a process of the daemon, with what it shares with others.",
        usage("memory"),
        ("process",),
    ),
    Metric(
        "hornbeam_process_cpu_seconds_total",
        "counter",
        "CPU time that the process has used, of user and system.",
        usage("cpu"),
        ("process",),
    ),
    Metric(
        "hornbeam_process_open_fds",
        "gauge",
        "Open file descriptors of the process, where the system lets the supervisor see them.",
        usage("descriptors"),
        ("process",),
    ),
    # Reloads.
    Metric("hornbeam_generation", "gauge", "The number of the code that serves.", one(attrgetter("generation"))),
    Metric(
        "hornbeam_reloads_total",
        "counter",
        "Reloads by what they came to: swapped, replaced, unchanged or refused.",
        reloads,
        ("result",),
    ),
    Metric(
        "hornbeam_last_reload_successful",
        "gauge",
        "0 from a reload that was refused to the next that is not; else 1.",
        one(lambda figures: figures.reloads.successful),
    ),
    Metric(
        "hornbeam_last_reload_timestamp_seconds",
        "gauge",
        "When the last reload ended, in seconds since 1970.",
        last_reload(lambda figures: figures.reloads.at or 0.0),
    ),
    Metric(
        "hornbeam_last_reload_duration_seconds",
        "gauge",
        "How long it took.",
        last_reload(attrgetter("reloads.seconds")),
    ),
    # The hub.
    Metric(
        "hornbeam_hub_up",
        "gauge",
        "1 when the hub has answered; where it is 0, nothing of the hub, the state and the cache is told.",
        one(lambda figures: figures.hub.answer is not None),
    ),
    Metric("hornbeam_hub_starts_total", "counter", "How often the hub was started.", one(attrgetter("hub.starts"))),
    Metric("hornbeam_hub_clients", "gauge", "Connections of processes and threads to it.", answer("hub", "clients")),
    Metric("hornbeam_hub_topics", "gauge", "Topics and patterns with subscribers.", answer("hub", "topics")),
    Metric("hornbeam_hub_subscribers", "gauge", "Their subscribers.", answer("hub", "subscribers")),
    Metric("hornbeam_hub_published_total", "counter", "Messages published.", answer("hub", "published")),
    Metric("hornbeam_hub_delivered_total", "counter", "Messages sent to subscribers.", answer("hub", "delivered")),
    Metric("hornbeam_hub_missed_total", "counter", "Messages to who reads too slowly, lost.", answer("hub", "missed")),
    Metric(
        "hornbeam_hub_calls_total", "counter", "Calls, casts and streams between processes.", answer("hub", "calls")
    ),
    Metric("hornbeam_hub_calls_waiting", "gauge", "Calls that wait for a free process.", answer("hub", "waiting")),
    Metric("hornbeam_hub_calls_in_hand", "gauge", "Calls that processes work on.", answer("hub", "in_hand")),
    Metric("hornbeam_pool_calls_waiting", "gauge", "Of these, calls of a pool that wait.", calls("waiting"), ("pool",)),
    Metric("hornbeam_pool_calls_in_hand", "gauge", "Calls that the pool works on.", calls("in_hand"), ("pool",)),
    # The state, and the cache of hornbeam_ml.
    Metric("hornbeam_state_entries", "gauge", "Entries of the state.", answer("state", "entries")),
    Metric("hornbeam_state_bytes", "gauge", "What they take.", answer("state", "bytes")),
    Metric("hornbeam_state_max_bytes", "gauge", "What they may take.", answer("state", "max_bytes")),
    Metric("hornbeam_cache_entries", "gauge", "Entries of the cache of hornbeam_ml.", answer("cache", "entries")),
    Metric("hornbeam_cache_bytes", "gauge", "What they take.", answer("cache", "bytes")),
    Metric("hornbeam_cache_max_bytes", "gauge", "What they may take.", answer("cache", "max_bytes")),
    Metric("hornbeam_cache_hits_total", "counter", "Results found in the cache.", answer("cache", "hits")),
    Metric("hornbeam_cache_misses_total", "counter", "Results that had to be computed.", answer("cache", "misses")),
    Metric("hornbeam_cache_evictions_total", "counter", "Results that made room.", answer("cache", "evictions")),
)


def table() -> str:
    """The metrics as a table of Markdown, for docs/operations.md."""
    lines = ["| metric | kind | labels | what it tells |", "|---|---|---|---|"]
    for metric in METRICS:
        labels = ", ".join(f"`{label}`" for label in metric.labels)
        lines.append(f"| `{metric.name}` | {metric.kind} | {labels} | {metric.help} |")
    return "\n".join(lines) + "\n"
