"""One sample: start a server, put a load on it, read what it spent."""

import http.client
import json
import socket
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from . import cores
from .processes import ServerFailed, Tree, free_port, running
from .servers import Launch, Server
from .workloads import Metric, Workload

WARM_SECONDS = 1
IDLE_CONNECTIONS = 2000
SCRIPT = Path(__file__).resolve().parent / "load.lua"

Sample = dict[str, float]


@dataclass(frozen=True, slots=True)
class Load:
    """How long and with how many keep-alive connections; which core serves and which one asks."""

    seconds: int
    connections: int
    server_core: int | None
    client_core: int | None


def sample(workload: Workload, server: Server, load: Load) -> Sample:
    """The figures of one round. Raises ServerFailed when the server fails or answers wrongly."""
    launch = Launch(
        app=f"benchmarks.apps:{workload.app}",
        interface=workload.interface,
        port=free_port(),
        threads=workload.threads,
    )
    return _METHODS[workload.metric](workload, server, launch, load)


def _pinned(workload: Workload, server: Server, launch: Launch, load: Load) -> Sample:
    core = None if load.server_core is None else {load.server_core}
    with running(server.name, server.command(launch), launch.port, core) as tree:
        return _loaded(workload, launch.port, tree, load)


def _loaded(workload: Workload, port: int, tree: Tree, load: Load) -> Sample:
    _check_answer(workload, port)
    _wrk(workload, port, load, WARM_SECONDS)
    before, core_before = tree.cpu_seconds(), cores.busy_seconds(load.server_core)
    result = _wrk(workload, port, load, load.seconds)
    cpu = tree.cpu_seconds() - before
    others = cores.busy_seconds(load.server_core) - core_before - cpu
    if not result["requests"]:
        raise ServerFailed("no request was answered")
    return {
        "cpu_ms_per_1000": cpu * 1e6 / result["requests"],
        "requests_per_second": result["requests"] / result["seconds"],
        "cores_used": cpu / result["seconds"],
        "others": max(0.0, others / result["seconds"]),
        "p99_ms": result["p99_ms"],
        "errors": result["errors"],
    }


def _two_workers(workload: Workload, server: Server, launch: Launch, load: Load) -> Sample:
    """One worker, then two, not pinned. `others` is what the load generator took beside them."""
    shared = replace(load, server_core=None, client_core=None)
    got = []
    for workers in (1, 2):
        launch = replace(launch, workers=workers, port=free_port())
        with running(server.name, server.command(launch), launch.port, None) as tree:
            got.append(_loaded(workload, launch.port, tree, shared))
    one, two = got
    rate = two["requests_per_second"]
    return {
        **two,
        "scaling": rate / one["requests_per_second"],
        "one_worker_requests_per_second": one["requests_per_second"],
        "one_worker_cpu_ms_per_1000": one["cpu_ms_per_1000"],
        "one_worker_cores_used": one["cores_used"],
        "errors": one["errors"] + two["errors"],
    }


def _idle(workload: Workload, server: Server, launch: Launch, load: Load) -> Sample:
    """Memory that the tree gains by connections that each did one request and stay open."""
    core = None if load.server_core is None else {load.server_core}
    held: list[socket.socket] = []
    with running(server.name, server.command(launch), launch.port, core) as tree:
        _check_answer(workload, launch.port)
        try:
            for _ in range(100):  # what the first requests leave behind belongs to no connection
                _request_and_keep(launch.port, workload.answer).close()
            before = tree.memory()
            held += (_request_and_keep(launch.port, workload.answer) for _ in range(IDLE_CONNECTIONS))
            grown = tree.memory() - before
            closed = sum(not _is_open(connection) for connection in held)
        except OSError as error:
            raise ServerFailed(f"{len(held)} connections, then: {error}") from error
        finally:
            for connection in held:
                connection.close()
    return {"kb_per_connection": grown / IDLE_CONNECTIONS / 1024, "errors": closed}


_METHODS: dict[Metric, Callable[[Workload, Server, Launch, Load], Sample]] = {
    "cpu": _pinned,
    "rate": _pinned,
    "memory": _idle,
    "scaling": _two_workers,
}


def _check_answer(workload: Workload, port: int) -> None:
    """One request by another client than wrk, which does not look at bodies."""
    headers = dict(line.split(": ", 1) for line in workload.headers)
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        body = b"x" * workload.body_bytes if workload.body_bytes else None
        connection.request("POST" if body else "GET", workload.path, body, headers)
        response = connection.getresponse()
        answer = response.read()
    except (OSError, http.client.HTTPException) as error:
        raise ServerFailed(f"no answer: {error!r}") from error
    finally:
        connection.close()
    if response.status != 200 or answer != workload.answer:
        raise ServerFailed(f"answers {response.status} {answer[:80]!r}")


def _wrk(workload: Workload, port: int, load: Load, seconds: int) -> Sample:
    pin = [] if load.client_core is None else ["taskset", "-c", str(load.client_core)]
    command = [
        *pin,
        "wrk",
        "-t1",
        f"-c{load.connections}",
        f"-d{seconds}s",
        "--timeout=10s",
        f"--script={SCRIPT}",
    ]
    for header in workload.headers:
        command += ["-H", header]
    command += [f"http://127.0.0.1:{port}{workload.path}", "--", str(workload.body_bytes)]
    if workload.vary:
        command.append("vary")
    done = subprocess.run(command, capture_output=True, text=True, timeout=seconds + 30, check=False)
    if done.returncode != 0:
        raise ServerFailed(f"wrk: {done.stdout[-500:]}{done.stderr[-500:]}")
    result: Sample = json.loads(done.stdout.rstrip().splitlines()[-1])
    return result


def _request_and_keep(port: int, answer: bytes) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", port), timeout=10)
    connection.sendall(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
    received = b""
    while answer not in received:
        data = connection.recv(4096)
        if not data:
            connection.close()
            raise ConnectionError(f"closed after {received[:80]!r}")
        received += data
    return connection


def _is_open(connection: socket.socket) -> bool:
    connection.setblocking(False)
    try:
        connection.recv(1)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False
