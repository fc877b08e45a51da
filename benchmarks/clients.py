"""Who asks: the load generators, each of which counts its answers, and one careful client before the load."""

import json
import re
import ssl
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import httpx
from websockets.exceptions import WebSocketException
from websockets.sync.client import connect

from .processes import ROOT, ServerFailed
from .workloads import Protocol, Workload

SCRIPT = Path(__file__).resolve().parent / "load.lua"
_H2LOAD_SAYS = re.compile(
    r"finished in (?P<seconds>[\d.]+)s, "
    r".*, (?P<failed>\d+) failed, (?P<errored>\d+) errored, (?P<timeout>\d+) timeout\n"
    r"status codes: (?P<good>\d+) 2xx, (?P<moved>\d+) 3xx, (?P<refused>\d+) 4xx, (?P<broken>\d+) 5xx\n",
    re.DOTALL,
)

Count = dict[str, float]
"""`requests`, `seconds`, `errors`, and `p99_ms` where the load generator tells it."""


@dataclass(frozen=True, slots=True)
class Load:
    """How long and with how many keep-alive connections; which core serves and which one asks."""

    seconds: int
    connections: int
    server_core: int | None
    client_core: int | None


def put_load(workload: Workload, port: int, load: Load, seconds: int) -> Count:
    """Run the workload's load generator against 127.0.0.1:*port*. Raises ServerFailed when it fails."""
    return _GENERATORS[workload.protocol](workload, port, load, seconds)


def _wrk(workload: Workload, port: int, load: Load, seconds: int) -> Count:
    script = [f"--script={SCRIPT}"]
    fixed = ["wrk", "-t1", f"-c{_connections(workload, load)}", f"-d{seconds}s", "--timeout=10s", *script]
    command = [*fixed, *_headers(workload), _url(workload, port), "--", str(workload.body_bytes)]
    if workload.vary:
        command.append("vary")
    return _last_line(_said_by(command, load, seconds))


def _h2load(workload: Workload, port: int, load: Load, seconds: int) -> Count:
    connections, streams = _connections(workload, load), workload.streams
    fixed = ["h2load", f"-c{connections}", f"-m{streams}", f"-D{seconds}"]
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as addresses:
        addresses.writelines(_url(workload, port, number) + "\n" for number in range(workload.paths))
        addresses.flush()
        said = _said_by([*fixed, *_headers(workload), f"--input-file={addresses.name}"], load, seconds)
    return counted_by_h2load(said)


def counted_by_h2load(said: str) -> Count:
    """h2load's summary as a Count. An answer that came after the time was up has cost the server as well: it counts."""
    found = _H2LOAD_SAYS.search(said)
    if found is None:
        raise ServerFailed(f"h2load: {said[-500:]}")
    number = {name: float(value) for name, value in found.groupdict().items()}
    seconds, good = number.pop("seconds"), number.pop("good")
    return {"requests": good, "seconds": seconds, "errors": sum(number.values())}


def _echo(workload: Workload, port: int, load: Load, seconds: int) -> Count:
    arguments = (port, _connections(workload, load), seconds)
    return _last_line(_said_by([sys.executable, "-m", "benchmarks.echo", *map(str, arguments)], load, seconds))


_GENERATORS: dict[Protocol, Callable[[Workload, int, Load, int], Count]] = {
    "http": _wrk,
    "https": _wrk,
    "h2c": _h2load,
    "websocket": _echo,
}


def _connections(workload: Workload, load: Load) -> int:
    return workload.connections or load.connections


def _headers(workload: Workload) -> list[str]:
    return [word for header in workload.headers for word in ("-H", header)]


def _url(workload: Workload, port: int, number: int | str = "@") -> str:
    scheme = {"https": "https", "websocket": "ws"}.get(workload.protocol, "http")
    return f"{scheme}://127.0.0.1:{port}{workload.path}".replace("@", str(number))


def _said_by(command: list[str], load: Load, seconds: int) -> str:
    pin = [] if load.client_core is None else ["taskset", "-c", str(load.client_core)]
    done = subprocess.run([*pin, *command], cwd=ROOT, capture_output=True, text=True, timeout=seconds + 30, check=False)
    if done.returncode != 0:
        raise ServerFailed(f"{command[0]}: {done.stdout[-500:]}{done.stderr[-500:]}")
    return done.stdout


def _last_line(said: str) -> Count:
    result: Count = json.loads(said.rstrip().splitlines()[-1])
    return result


def check_answer(workload: Workload, port: int) -> None:
    """One exchange with a client that looks at what it gets. Raises ServerFailed when that is not as it should be."""
    try:
        said = _echoed(workload, port) if workload.protocol == "websocket" else _answered(workload, port)
    except (OSError, httpx.HTTPError, WebSocketException) as error:
        raise ServerFailed(f"no answer: {error!r}") from error
    if said != workload.answer:
        raise ServerFailed(f"answers {said[:80]!r}")


def _answered(workload: Workload, port: int) -> bytes:
    http2 = workload.protocol == "h2c"
    body = b"x" * workload.body_bytes or None
    headers = dict(line.split(": ", 1) for line in workload.headers)
    with httpx.Client(http1=not http2, http2=http2, verify=_trusting(), trust_env=False, timeout=10) as client:
        response = client.request("POST" if body else "GET", _url(workload, port), content=body, headers=headers)
    expected = "HTTP/2" if http2 else "HTTP/1.1"
    if (response.status_code, response.http_version) != (200, expected):
        raise ServerFailed(f"answers {response.status_code} by {response.http_version}")
    return response.content


def _trusting() -> ssl.SSLContext:
    """For the certificate that was made for one sample."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


def _echoed(workload: Workload, port: int) -> bytes:
    with connect(_url(workload, port), compression=None, proxy=None, open_timeout=10) as connection:
        connection.send(workload.answer, text=True)
        return connection.recv(timeout=10, decode=False)
