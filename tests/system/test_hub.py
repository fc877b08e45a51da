"""The hub under the installed command: its folder, its death, its silence."""

from __future__ import annotations

import os
import re
import signal
import urllib.request
from pathlib import Path

from hornbeamd.hub.wire import Kind
from tests.support.daemon import Daemon, alive
from tests.support.hubclient import HubClient


def directory(daemon: Daemon) -> str:
    return re.findall(r"runtime directory made directory=(\S+)", daemon.log)[0]


def hub(daemon: Daemon) -> int:
    return int(re.findall(r"hub ready.*?\bpid=(\d+)", daemon.log)[-1])


def serves(daemon: Daemon) -> bool:
    with urllib.request.urlopen(daemon.url, timeout=10) as answer:
        return answer.status == 200


def test_a_hub_that_dies_or_hangs_comes_back_while_workers_serve_on(wsgi_app: Path) -> None:
    arguments = ["app:application", "--workers", "1", "--heartbeat-timeout", "2s", "--restart-intensity", "100"]
    with Daemon(*arguments, folder=wsgi_app, ready=1) as daemon:
        place = directory(daemon)
        path = f"{place}/hub"
        workers = daemon.workers()
        with HubClient(path) as before:
            assert before.ask(Kind.PUBLISH, 1, "a", b"") == (Kind.COUNT, 1, 0)
            os.kill(hub(daemon), signal.SIGKILL)
            with HubClient(path) as after:  # not refused, whether it is back or not
                assert before.hear() is None
                assert after.ask(Kind.PUBLISH, 1, "a", b"") == (Kind.COUNT, 1, 0)
        daemon.wait_log("child restarted")
        silent = hub(daemon)
        os.kill(silent, signal.SIGSTOP)
        assert serves(daemon)
        daemon.wait_log("hub is silent and killed")
        daemon.wait_log("hub ready", count=3)
        with HubClient(path) as again:
            assert again.ask(Kind.PUBLISH, 1, "a", b"") == (Kind.COUNT, 1, 0)
        assert serves(daemon)
        assert daemon.workers() == workers
        daemon.signal(signal.SIGTERM)
        assert daemon.wait_ended() == 0
    assert not alive(silent)
    assert not os.path.exists(place)


def test_two_daemons_do_not_meet_and_what_one_leaves_the_next_removes(tmp_path: Path, wsgi_app: Path) -> None:
    others = {}
    for name in ("first", "second", "third"):
        others[name] = tmp_path / name
        others[name].mkdir()
        (others[name] / "app.py").write_text((wsgi_app / "app.py").read_text())

    def daemon(name: str) -> Daemon:
        return Daemon("app:application", "--workers", "1", folder=others[name], ready=1)

    with daemon("first") as first, daemon("second") as second:
        left, kept = directory(first), directory(second)
        with HubClient(f"{left}/hub") as one, HubClient(f"{kept}/hub") as two:
            one.ask(Kind.SUBSCRIBE, 1, "a", 1)
            assert two.ask(Kind.PUBLISH, 1, "a", b"") == (Kind.COUNT, 1, 0)
        first.signal(signal.SIGKILL)
        first.wait_ended()
        first.wait(lambda: not first.workers(), "its worker does not end")
        first.wait(lambda: not alive(hub(first)), "its hub does not end")
        assert os.path.exists(left)
        with daemon("third") as third:
            assert not os.path.exists(left)
            assert os.path.exists(kept)
            assert directory(third) != kept
    assert not os.path.exists(kept)


def test_a_start_that_fails_leaves_nothing(tmp_path: Path) -> None:
    with Daemon("missing:application", "--workers", "1", folder=tmp_path) as daemon:
        assert daemon.wait_ended() == 1
        made = directory(daemon)
    assert not os.path.exists(made)


def test_a_reload_and_a_rotation_of_logs_reach_the_hub(wsgi_app: Path) -> None:
    config = wsgi_app / "hornbeam.toml"
    config.write_text('[hornbeam]\napp = "app"\nworkers = 1\n')
    with Daemon("--config", str(config), folder=wsgi_app, ready=1) as daemon:
        path, same = f"{directory(daemon)}/hub", hub(daemon)

        def complains_in(log: Path) -> bool:
            with HubClient(path, who=None) as evil:
                assert evil.ask(Kind.STATUS, 1) is None
            return log.exists() and f"hub[{same}]" in log.read_text()

        new = wsgi_app / "events.log"
        config.write_text(f'{config.read_text()}[hornbeam.log]\nfile = "{new}"\n')
        daemon.signal(signal.SIGHUP)
        daemon.wait(lambda: complains_in(new), "the hub has not heard of the reload")
        new.rename(wsgi_app / "events.log.1")
        daemon.signal(signal.SIGUSR1)
        daemon.wait(lambda: complains_in(new), "the hub has not opened its log again")
