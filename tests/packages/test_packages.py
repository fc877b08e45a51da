"""Install, upgrade, fail to upgrade, remove: what an operator does with a package, under a load that notices."""

from __future__ import annotations

import http.client
import json
import os
import re
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.packages.conftest import BROKEN, WHY
from tests.support.machine import Machine
from tests.support.traffic import Traffic
from tests.support.waiting import wait_until
from tests.support.websocket import TEXT, RawWebSocket, frame

pytestmark = [pytest.mark.packages, pytest.mark.timeout(900)]

FIRST, SECOND = "1.0", "1.1"
CONFIG = "/etc/hornbeam/sys.toml"
CTL = ("hornbeamctl", "-c", CONFIG)
APP = """
import asyncio, os
import hornbeamd

PIECE = b"x" * 1000


async def application(scope, receive, send):
    if scope["type"] == "lifespan":
        raise NotImplementedError
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        while (message := await receive())["type"] != "websocket.disconnect":
            await send({"type": "websocket.send", "text": message["text"]})
        return
    await send({"type": "http.response.start", "status": 200})
    if scope["path"] == "/download":
        while not os.path.exists("/tmp/enough"):
            await send({"type": "http.response.body", "body": PIECE, "more_body": True})
            await asyncio.sleep(0.1)
    await send({"type": "http.response.body", "body": hornbeamd.__version__.encode()})
"""
SETTINGS = """
worker_class = "asgi"
pythonpath = "/srv/myapp"
bind = "127.0.0.1:0"
workers = 2
"""


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    assert os.geteuid() == 0, "packages are installed by root"
    folder = tmp_path / "machine"
    folder.mkdir()
    with Machine(folder) as machine:
        yield machine


class Deb:
    """How an operator of Debian does it."""

    kind = "deb"
    install = ("dpkg", "--install")
    remove = ("dpkg", "--remove", "hornbeamd")
    purge = ("dpkg", "--purge", "hornbeamd")
    # The configuration as the operator has left it, after the package was removed.
    kept = CONFIG
    zsh = "/usr/share/zsh/vendor-completions"


class Rpm:
    """The same with rpm, which knows nothing here of what Debian's packages provide."""

    kind = "rpm"
    install = ("rpm", "--force-debian", "--upgrade", "--nodeps")
    remove = ("rpm", "--force-debian", "--erase", "hornbeamd")
    purge = None
    kept = f"{CONFIG}.rpmsave"
    zsh = "/usr/share/zsh/site-functions"


class Operator:
    """What is done with packages of a *system* on a *machine*."""

    def __init__(self, machine: Machine, system: type[Deb | Rpm], packages: Mapping[str, Path]) -> None:
        """``packages`` are given by their version."""
        self.machine = machine
        self.system = system
        self._packages = packages

    def path(self, name: str) -> Path:
        """A path on the machine, as it is seen from here."""
        return self.machine.root / name.lstrip("/")

    def install(self, version: str) -> str:
        """Install a version over what there is; gives what is said to that."""
        package = self._packages[version]
        self.path("/tmp/" + package.name).write_bytes(package.read_bytes())
        return self.machine.run(*self.system.install, f"/tmp/{package.name}")

    def status(self) -> dict[str, str]:
        """The lines of ``hornbeamctl status`` by their first words."""
        lines = self.machine.run(*CTL, "status").splitlines()
        return dict(re.split(r"\s{2,}", line, maxsplit=1) for line in lines if re.search(r"\S\s{2,}\S", line))

    def workers(self) -> set[int]:
        """The process ids of those that serve."""
        processes = json.loads(self.machine.run(*CTL, "--json", "workers"))["processes"]
        return {each["pid"] for each in processes if each["state"] == "serving"}


class Download:
    """An answer that takes as long as the file /tmp/enough is not there."""

    def __init__(self, port: int) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        self._connection.request("GET", "/download")
        self._response = self._connection.getresponse()
        assert self._response.read(2000) == b"x" * 2000

    def rest(self) -> bytes:
        """What came at its end; raises where that was cut."""
        body = self._response.read()
        self._connection.close()
        return body.lstrip(b"x")


@pytest.mark.parametrize("system", [Deb, Rpm], ids=lambda system: system.kind)
def test_the_life_of_a_package(machine, system, package, tmp_path) -> None:
    # All at first: building takes the processors for longer than clients wait.
    operator = Operator(machine, system, {each: package(system.kind, each) for each in (FIRST, SECOND, BROKEN)})
    operator.install(FIRST)
    everything_is_in_its_place(operator)
    configure(operator)

    log = tmp_path / "log"
    daemon = machine.start("runuser", "-u", "hornbeam", "--", "hornbeamd", "-c", CONFIG, log=log)
    try:
        machine.run(*CTL, "wait", "ready")
        port = int(operator.status()["listening"].rpartition(":")[2])
        with Traffic(port) as traffic:
            wait_until(lambda: traffic.total > 50, explain="no answers")
            upgraded_under_load(operator, port)
            served(traffic, {FIRST, SECOND})
            the_old_one_serves_on(operator)
            served(traffic, {FIRST, SECOND})
        assert (traffic.failures, traffic.statuses) == ([], {200})
        assert traffic.bodies == {FIRST.encode(), SECOND.encode()}
        removed(operator, daemon)
    except BaseException:
        print(log.read_text(errors="replace"))  # noqa: T201
        raise


def everything_is_in_its_place(operator: Operator) -> None:
    machine = operator.machine
    for name in (
        CONFIG,
        "/usr/lib/systemd/system/hornbeamd.service",
        "/usr/lib/systemd/system/hornbeamd.socket",
        "/usr/share/bash-completion/completions/hornbeamctl",
        "/usr/share/fish/vendor_completions.d/hornbeamctl.fish",
        f"{operator.system.zsh}/_hornbeamctl",
    ):
        assert operator.path(name).is_file(), name
    for page in ("hornbeamd(8)", "hornbeamctl(1)", "sys.toml(5)"):
        name, section = page[:-1].split("(")
        assert operator.path(f"/usr/share/man/man{section}/{name}.{section}.gz").is_file(), page
    assert machine.run("hornbeamd", "--version").split()[-1] == FIRST
    assert "hornbeam" in machine.run("id", "hornbeam")
    for folder in ("/run/hornbeam", "/var/log/hornbeam", "/var/lib/hornbeam"):
        assert machine.run("stat", "--format=%U", folder) == "hornbeam\n"
    environment = operator.path("/usr/lib/hornbeam")
    assert not list(environment.glob("lib/*/site-packages/pip*"))
    assert not list(environment.glob("lib/*/site-packages/pytest*"))
    sources = {each for each in environment.rglob("*.py") if "__pycache__" not in each.parts}
    compiled = {each.parent.parent / f"{each.name.split('.')[0]}.py" for each in environment.rglob("*.pyc")}
    assert {each for each in sources if each.is_relative_to(environment / "lib")} <= compiled
    # Nothing serves by itself, and there is nothing to be served.
    assert not [each for each in machine.processes() if "hornbeam" in each]
    assert "pythonpath" in operator.path(CONFIG).read_text()


def configure(operator: Operator) -> None:
    """Do what the file of the configuration says."""
    folder = operator.path("/srv/myapp")
    folder.mkdir(parents=True)
    (folder / "myapp.py").write_text(APP)
    told = operator.machine.run("hornbeamd", "check", "-c", CONFIG, code=78)
    assert "app" in told
    file = operator.path(CONFIG)
    file.write_text(file.read_text().replace("#app =", "app =") + SETTINGS)
    operator.machine.run("hornbeamd", "check", "-c", CONFIG)


def upgraded_under_load(operator: Operator, port: int) -> None:
    before = operator.status()["daemon"]
    assert f"hornbeamd {FIRST}, process" in before
    edited = operator.path(CONFIG).read_bytes()
    download = Download(port)
    with RawWebSocket(("127.0.0.1", port), 30.0) as client:
        client.open()
        told = operator.install(SECOND)
        assert f"hornbeamd {SECOND} serves" in told
        assert client.read_close() == (1012, "service restart")
    daemon = operator.status()["daemon"]
    assert f"hornbeamd {SECOND}, process" in daemon
    assert before.split(", ")[1] != daemon.split(", ")[1]
    assert operator.path(CONFIG).read_bytes() == edited
    assert not operator.path(f"{CONFIG}.rpmnew").exists()
    operator.path("/tmp/enough").touch()
    assert download.rest() == FIRST.encode()
    with RawWebSocket(("127.0.0.1", port), 30.0) as client:
        client.open()
        client.send(frame(TEXT, b"hello"))
        assert client.read_message() == "hello"


def the_old_one_serves_on(operator: Operator) -> None:
    told = operator.install(BROKEN)
    assert WHY in told
    assert "hornbeamctl -c /etc/hornbeam/sys.toml upgrade" in told
    assert SECOND in operator.status()["daemon"]
    assert BROKEN in operator.machine.run("hornbeamctl", "--version")
    before = operator.workers()
    operator.machine.run(*CTL, "recycle", "1")  # the process that makes workers has what they need
    wait_until(lambda: len(operator.workers() - before) == 1 and len(operator.workers()) == 2)


def served(traffic: Traffic, versions: set[str]) -> None:
    """Wait for more answers; all of them were what they had to be."""
    seen = traffic.total
    wait_until(lambda: traffic.total > seen + 100, explain=lambda: traffic.failures)
    assert traffic.failures == []
    assert {body.decode() for body in traffic.bodies} == versions


def removed(operator: Operator, daemon: subprocess.Popen[bytes]) -> None:
    operator.machine.run(*operator.system.remove)
    assert daemon.wait(30) == 0
    wait_until(lambda: not [each for each in operator.machine.processes() if "hornbeam" in each])
    assert SETTINGS in operator.path(operator.system.kept).read_text()
    if operator.system.purge is not None:
        operator.machine.run(*operator.system.purge)
        assert not operator.path("/etc/hornbeam").exists()
        for folder in ("/run/hornbeam", "/var/log/hornbeam", "/var/lib/hornbeam"):
            assert not operator.path(folder).exists()
    for name in ("/usr/lib/hornbeam", "/usr/bin/hornbeamd", "/usr/share/man/man8/hornbeamd.8.gz"):
        assert not operator.path(name).exists()
