"""One sample: start a server, put a load on it, read what it spent."""

import socket
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from . import cores
from .clients import Load, check_answer, put_load
from .processes import ServerFailed, Tree, free_port, running
from .servers import CERTIFICATE, KEY, Launch, Server
from .workloads import Metric, Workload

WARM_SECONDS = 1
IDLE_CONNECTIONS = 2000

Sample = dict[str, float]


def sample(workload: Workload, server: Server, load: Load) -> Sample:
    """The figures of one round. Raises ServerFailed when the server fails or answers wrongly."""
    with certificate(workload) as folder:
        launch = Launch(
            app=f"benchmarks.apps:{workload.app}",
            interface=workload.interface,
            protocol=workload.protocol,
            port=free_port(),
            threads=workload.threads,
            certificate=folder,
        )
        return _METHODS[workload.metric](workload, server, launch, load)


@contextmanager
def certificate(workload: Workload) -> Iterator[Path | None]:
    """A folder with cert.pem and key.pem, made for this sample, where the workload needs them."""
    if workload.protocol != "https":
        yield None
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        kind = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj", "/CN=127.0.0.1"]
        files = ["-keyout", str(folder / KEY), "-out", str(folder / CERTIFICATE)]
        subprocess.run(["openssl", "req", "-x509", *kind, *files], check=True, capture_output=True)
        yield folder


def _pinned(workload: Workload, server: Server, launch: Launch, load: Load) -> Sample:
    core = None if load.server_core is None else {load.server_core}
    with running(server.name, server.command(launch), launch.port, core) as tree:
        return _loaded(workload, launch.port, tree, load)


def _loaded(workload: Workload, port: int, tree: Tree, load: Load) -> Sample:
    check_answer(workload, port)
    put_load(workload, port, load, WARM_SECONDS)
    before, core_before = tree.cpu_seconds(), cores.busy_seconds(load.server_core)
    result = put_load(workload, port, load, load.seconds)
    cpu = tree.cpu_seconds() - before
    others = cores.busy_seconds(load.server_core) - core_before - cpu
    if not result["requests"]:
        raise ServerFailed("no request was answered")
    return {
        "cpu_ms_per_1000": cpu * 1e6 / result["requests"],
        "requests_per_second": result["requests"] / result["seconds"],
        "cores_used": cpu / result["seconds"],
        "others": max(0.0, others / result["seconds"]),
        **{key: result[key] for key in ("p99_ms", "errors") if key in result},
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
        check_answer(workload, launch.port)
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
