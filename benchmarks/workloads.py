"""The workloads and what is asked of hornbeamd in each."""

from dataclasses import dataclass
from typing import Literal

from . import apps

Interface = Literal["asgi", "wsgi"]
Protocol = Literal["http", "https", "h2c", "websocket"]
"""HTTP/1.1, the same over TLS, HTTP/2 by prior knowledge, WebSocket over HTTP/1.1."""
Metric = Literal["cpu", "rate", "memory", "scaling"]

# What a browser behind a proxy sends, beside Host.
BROWSER = (
    "User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
    "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
    "Accept-Language: en-GB,en;q=0.7,de;q=0.3",
    "Accept-Encoding: gzip, deflate, br, zstd",
    "Referer: https://shop.example.org/catalogue?page=3",
    "Cookie: sessionid=8f14e45fceea167a5a36dedd4bea2543; csrftoken=c9f0f895fb98ab9159f51fd0297e236d",
    "Cache-Control: no-cache",
    "Sec-Fetch-Dest: document",
    "Sec-Fetch-Mode: navigate",
    "Sec-Fetch-Site: same-origin",
    "X-Forwarded-For: 203.0.113.7",
    "X-Request-Id: 45c48cce-2e2d-4fbd-a1d4-0f2a1c6f7d52",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bound:
    """What hornbeamd's figure is held to.

    A factor of the better of the named peers, or an absolute figure where none is named; a ceiling, but for
    the metrics where more is better (report.py) a floor.
    """

    must: float | None = None
    aim: float | None = None
    against: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """One row of the table: an app, the load on it, and the metric that counts."""

    name: str
    title: str
    interface: Interface
    app: str
    answer: bytes
    bounds: tuple[Bound, ...]
    protocol: Protocol = "http"
    metric: Metric = "cpu"
    counts: str = "requests"
    connections: int | None = None  # None: as many as the run says
    streams: int = 1  # at once in each connection, HTTP/2
    path: str = "/"
    headers: tuple[str, ...] = ()
    body_bytes: int = 0
    vary: bool = False
    """No two requests are alike: each @ in path and headers becomes a number that does not come again."""
    paths: int = 1
    """HTTP/2: @ in path becomes each number below this in turn."""
    threads: int | None = None  # None: each server's default


_BETTER = ("uvicorn", "granian")

WORKLOADS = (
    Workload(
        name="asgi-hello",
        title="ASGI, 13-byte answer",
        interface="asgi",
        app="hello",
        answer=apps.HELLO,
        bounds=(Bound(must=0.80, aim=0.60, against=_BETTER),),
    ),
    Workload(
        name="asgi-headers",
        title="the same with 12 more request headers",
        interface="asgi",
        app="hello",
        answer=apps.HELLO,
        headers=BROWSER,
        bounds=(Bound(must=0.90, aim=0.75, against=_BETTER),),
    ),
    # hornbeamd knows heads that come again byte for byte: here is none.
    Workload(
        name="asgi-varied",
        title="the same, and no two requests alike",
        interface="asgi",
        app="hello",
        answer=apps.HELLO,
        path="/item/@",
        headers=(*BROWSER[:-1], "X-Request-Id: 45c48cce-2e2d-4fbd-a1d4-@"),
        vary=True,
        bounds=(Bound(must=0.90, aim=0.75, against=_BETTER),),
    ),
    Workload(
        name="asgi-post",
        title="ASGI, 10 KB POST",
        interface="asgi",
        app="post",
        answer=b"10240",
        body_bytes=10240,
        bounds=(Bound(must=0.80, aim=0.60, against=_BETTER),),
    ),
    Workload(
        name="asgi-chunks",
        title="ASGI, 1 MiB in 64 KiB chunks",
        interface="asgi",
        app="chunks",
        answer=apps.CHUNK * apps.CHUNKS,
        bounds=(Bound(must=1.0, against=("uvicorn",)), Bound(aim=1.0, against=("granian",))),
    ),
    Workload(
        name="asgi-starlette",
        title="Starlette, JSON route",
        interface="asgi",
        app="starlette",
        answer=apps.JSON_TEXT,
        path="/json",
        bounds=(Bound(must=0.95, aim=0.85, against=_BETTER),),
    ),
    Workload(
        name="tls-hello",
        title="ASGI over TLS, 13-byte answer",
        interface="asgi",
        protocol="https",
        app="hello",
        answer=apps.HELLO,
        bounds=(Bound(must=0.8, against=("uvicorn",)),),
    ),
    Workload(
        name="h2-hello",
        title="HTTP/2, 13-byte answer, 8 connections of 32 streams",
        interface="asgi",
        protocol="h2c",
        connections=8,
        streams=32,
        app="hello",
        answer=apps.HELLO,
        bounds=(
            Bound(must=2.0, aim=1.0, against=("granian",)),
            Bound(must=0.15, against=("gunicorn", "hypercorn")),
        ),
    ),
    Workload(
        name="h2-headers",
        title="the same with 10 more request headers and 2000 paths",
        interface="asgi",
        protocol="h2c",
        connections=8,
        streams=32,
        app="hello",
        answer=apps.HELLO,
        path="/item/@",
        paths=2000,
        headers=BROWSER[:10],
        bounds=(Bound(must=3.0, aim=1.2, against=("granian",)),),
    ),
    Workload(
        name="websocket-echo",
        title="WebSocket, echo of 64 bytes, 32 connections",
        interface="asgi",
        protocol="websocket",
        counts="messages",
        connections=32,
        app="echo",
        answer=b"x" * 64,
        bounds=(Bound(must=1.0, aim=0.8, against=("uvicorn",)),),
    ),
    Workload(
        name="wsgi-hello",
        title="WSGI, 13-byte answer, default threads",
        interface="wsgi",
        app="wsgi_hello",
        answer=apps.HELLO,
        bounds=(
            Bound(must=1.0, aim=0.75, against=("granian",)),
            Bound(must=0.12, against=("gunicorn",)),
        ),
    ),
    Workload(
        name="wsgi-flask",
        title="Flask, JSON route",
        interface="wsgi",
        app="flask",
        answer=apps.JSON_TEXT + b"\n",
        path="/json",
        bounds=(Bound(must=0.9, aim=0.7, against=("granian",)),),
    ),
    Workload(
        name="wsgi-blocking",
        title="WSGI, 5 ms blocking call, 16 threads",
        interface="wsgi",
        app="wsgi_blocking",
        answer=apps.HELLO,
        metric="rate",
        threads=16,
        bounds=(Bound(must=1.0, against=("granian",)),),
    ),
    Workload(
        name="asgi-idle",
        title="ASGI, idle keep-alive connection",
        interface="asgi",
        app="hello",
        answer=apps.HELLO,
        metric="memory",
        bounds=(Bound(must=8.0, aim=4.0),),
    ),
    Workload(
        name="wsgi-idle",
        title="WSGI, idle keep-alive connection",
        interface="wsgi",
        app="wsgi_hello",
        answer=apps.HELLO,
        metric="memory",
        bounds=(Bound(must=8.0, aim=4.0),),
    ),
    # Real frameworks, because the load generator then needs only a few percent of the cores it shares.
    Workload(
        name="asgi-two-workers",
        title="Starlette, two workers against one",
        interface="asgi",
        app="starlette",
        answer=apps.JSON_TEXT,
        path="/json",
        metric="scaling",
        bounds=(Bound(must=1.8),),
    ),
    Workload(
        name="wsgi-two-workers",
        title="Flask, two workers against one",
        interface="wsgi",
        app="flask",
        answer=apps.JSON_TEXT + b"\n",
        path="/json",
        metric="scaling",
        bounds=(Bound(must=1.8),),
    ),
)
