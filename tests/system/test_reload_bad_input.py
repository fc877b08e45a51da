"""Reloads of what is broken, one after the other on one server: each is refused, says why, and the old code serves on.

A load runs through all of it, and not one of its requests may fail. What fails while it is imported is in test_swap.py.
"""

from __future__ import annotations

import os
import signal
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.daemon import Daemon
from tests.support.traffic import Traffic

APP = """\
import words

async def startup():
    pass

async def application(scope, receive, send):
    if scope["type"] == "lifespan":
        await receive()
        await startup()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})
    else:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": words.VERSION})
"""

WORDS = "VERSION = b'{version}'\n"

CONFIG = """\
[hornbeam]
app = "app:application"
worker_class = "asgi"
workers = 2
bind = "127.0.0.1:0"
lifespan = "on"
lifespan_timeout = "1s"
boot_timeout = "4s"
graceful_timeout = "2s"
"""


class Site:
    """The running server, whose files are good again after each test."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.config = folder / "sys.toml"
        self.version = 1
        self.restore()
        self.daemon = Daemon("-c", "sys.toml", folder=folder, bind=None, ready=2)
        self.traffic: Traffic

    def restore(self) -> None:
        """Write all files as they should be."""
        for path in self.folder.glob("*.py"):
            path.unlink()
        self.write("app.py", APP)
        self.write("words.py", WORDS.format(version=self.version))
        self.config.write_text(CONFIG)

    def write(self, name: str, text: str) -> None:
        (self.folder / name).write_text(text)

    def log_since(self, mark: int) -> str:
        return self.daemon.log[mark:]

    def reload(self, end: str) -> str:
        """Reload, until the log says *end*; gives what it has said."""
        mark = len(self.daemon.log)
        self.daemon.signal(signal.SIGHUP)
        self.daemon.wait(lambda: end in self.log_since(mark), f"not {end!r}", deadline=20)
        return self.log_since(mark)

    def refused(self) -> str:
        """Reload what is broken; gives what the log says."""
        before = self.daemon.workers()
        said = self.reload("reload failed")
        assert self.daemon.workers() == before
        self.assert_only(self.version)
        return said

    def assert_only(self, version: int) -> None:
        """All answers from now on are of *version*."""
        for _ in range(10):
            with urllib.request.urlopen(self.daemon.url, timeout=10) as answer:
                assert answer.read() == str(version).encode()


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    site = Site(tmp_path_factory.mktemp("site"))
    with site.daemon as daemon, Traffic(daemon.port, keep_alive=1, fresh=1) as site.traffic:
        yield site


@pytest.fixture
def site(served: Site) -> Iterator[Site]:
    """The server; after the test it must take the next good version, and nobody may have noticed anything."""
    yield served
    served.version += 1
    served.restore()
    served.reload("reload complete")
    served.assert_only(served.version)
    assert served.traffic.failures == []
    assert served.traffic.statuses == {200}


Break = Callable[[Site], object]

MODULES: dict[str, tuple[Break, str]] = {
    "null bytes": (lambda site: site.write("words.py", "VERSION = b'\0'"), "null bytes"),
    "import of each other": (
        lambda site: (
            site.write("words.py", "from other import VERSION"),
            site.write("other.py", "from words import X"),
        ),
        "circular import",
    ),
    "file that is gone": (lambda site: (site.folder / "words.py").unlink(), "No module named 'words'"),
    "application that is gone": (lambda site: (site.folder / "app.py").unlink(), "there is no module 'app'"),
    "callable that is gone": (
        lambda site: site.write("app.py", APP.replace("def application", "def app")),
        "application",
    ),
    "startup that fails": (
        lambda site: site.write("app.py", APP.replace("    pass", "    raise ValueError('no database')")),
        "no database",
    ),
    "startup that hangs": (
        lambda site: site.write("app.py", "import asyncio\n" + APP.replace("    pass", "    await asyncio.sleep(99)")),
        "startup",
    ),
    "startup that blocks": (
        lambda site: site.write("app.py", "import time\n" + APP.replace("    pass", "    time.sleep(99)")),
        "not ready within 4 s",
    ),
    "startup that exits": (
        lambda site: site.write("app.py", "import os\n" + APP.replace("    pass", "    os._exit(1)")),
        "exit 1",
    ),
}


@pytest.mark.parametrize("fault", MODULES)
def test_a_module_with(site: Site, fault: str) -> None:
    broken, said = MODULES[fault]
    broken(site)
    assert said in site.refused()


CONFIGS: dict[str, tuple[Break, str]] = {
    "no TOML": (lambda site: site.config.write_text("[hornbeam\n"), "sys.toml"),
    "an unknown key": (lambda site: site.config.write_text(CONFIG + "workerz = 3\n"), "workers"),
    "a value out of range": (lambda site: site.config.write_text(CONFIG + "threads = 0\n"), "threads"),
    "an application that is not there": (
        lambda site: site.config.write_text(CONFIG.replace("app:application", "nowhere:application")),
        "there is no module 'nowhere'",
    ),
    "no file": (lambda site: site.config.unlink(), "sys.toml"),
}


def test_code_that_takes_longer_than_the_time_to_boot_that_comes_with_it(site: Site) -> None:
    site.write("words.py", "import time; time.sleep(9)\n" + WORDS.format(version=site.version))
    site.config.write_text(CONFIG.replace("4s", "1s"))
    assert "not ready within 1 s" in site.refused()


@pytest.mark.parametrize("fault", CONFIGS)
def test_a_configuration_with(site: Site, fault: str) -> None:
    broken, said = CONFIGS[fault]
    broken(site)
    assert said in site.refused()


def test_modules_that_import_each_other_and_may(site: Site) -> None:
    site.version += 1
    site.write("other.py", "import words\n\ndef version():\n    return words.NUMBER\n")
    site.write("words.py", f"import other\nNUMBER = b'{site.version}'\nVERSION = other.version()\n")
    site.reload("reload complete")
    site.assert_only(site.version)
    site.version += 1
    site.write("words.py", f"import other\nNUMBER = b'{site.version}'\nVERSION = other.version()\n")
    site.reload("reload complete")
    site.assert_only(site.version)


def test_reloads_that_are_asked_for_while_one_runs_are_one(site: Site) -> None:
    site.version += 1
    site.write("words.py", "import time; time.sleep(0.5)\n" + WORDS.format(version=site.version))
    mark = len(site.daemon.log)
    site.daemon.signal(signal.SIGHUP)
    site.daemon.wait(lambda: "reload begins" in site.log_since(mark), "it does not begin")
    for _ in range(3):
        site.daemon.signal(signal.SIGHUP)
    site.daemon.wait(lambda: site.log_since(mark).count("reload complete") == 2, "not one more")
    site.assert_only(site.version)
    assert site.log_since(mark).count("reload begins") == 2


def test_a_reload_while_the_server_ends_changes_nothing(tmp_path: Path) -> None:
    site = Site(tmp_path)
    site.write("app.py", "import asyncio\n" + APP.replace("    else:", "    else:\n        await asyncio.sleep(0.5)"))
    with site.daemon as daemon, Traffic(daemon.port, keep_alive=2, fresh=0) as traffic:
        daemon.wait(lambda: traffic.total > 4, "no answers")
        daemon.signal(signal.SIGTERM)
        site.write("words.py", "VERSION = (")
        daemon.wait_log("worker drains")
        daemon.signal(signal.SIGHUP)
        assert daemon.wait_ended() == 0
    assert traffic.statuses == {200}
    assert 'nothing to reload why="the daemon is about to end"' in daemon.log
    assert "SyntaxError" not in daemon.log


BESIDE = "import builtins\nbeside = hasattr(builtins, __name__)\nsetattr(builtins, __name__, 1)\n"
"""Tells code that is loaded beside the old from the same in a process of its own."""

MARKED = "open('reached', 'a').close()"

PHASES: dict[str, tuple[str, str]] = {
    "tries it, which imports": ("words.py", f"{MARKED}\nimport time\ntime.sleep(99)\n"),
    "tries it, which starts up": ("app.py", f"    {MARKED}\n    await asyncio.sleep(99)"),
    "tries it, which blocks": ("app.py", f"    {MARKED}\n    time.sleep(99)"),
    "loads it, which imports": ("words.py", f"if beside:\n    {MARKED}\n    import time\n    time.sleep(99)\n"),
    "loads it, which starts up": ("app.py", f"    if beside:\n        {MARKED}\n        await asyncio.sleep(99)"),
    "loads it, which blocks": ("app.py", f"    if beside:\n        {MARKED}\n        time.sleep(99)"),
    "replaces processes": ("words.py", f"__hot_reload__ = False\n{MARKED}\nimport time\ntime.sleep(99)\n"),
}


@pytest.mark.parametrize("phase", PHASES)
def test_the_end_of_the_server_while_it(phase: str, tmp_path: Path) -> None:
    site = Site(tmp_path)
    texts = {"app.py": BESIDE + "import asyncio, time\n" + APP, "words.py": BESIDE + WORDS.format(version=1)}
    for name, text in texts.items():
        site.write(name, text)
    with site.daemon as daemon:
        name, more = PHASES[phase]
        text = texts[name]
        site.write(name, text.replace("    pass", more) if name == "app.py" else text + more)
        daemon.signal(signal.SIGHUP)
        daemon.wait((tmp_path / "reached").exists, "it does not come to that")
        os.kill(daemon.pid, signal.SIGTERM)
        assert daemon.wait_ended(deadline=20) == 0
        daemon.wait(lambda: not daemon.group(), daemon.group)
    assert "Traceback" not in daemon.log
