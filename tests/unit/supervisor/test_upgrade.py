from __future__ import annotations

from typing import Any

import anyio
import pytest

from hornbeamd.errors import ControlError
from hornbeamd.supervisor.reaper import Reaper
from hornbeamd.supervisor.successor import Command
from hornbeamd.supervisor.upgrade import Lineage, Upgrading

COMMAND = Command(["/no/such/interpreter"], "/", {})


class Host:
    """A daemon that must not be touched."""

    def __init__(self, unready: str = "") -> None:
        self.unready = unready

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(f"{name} was not to be touched")


def refusal(host: Host, lineage: Lineage) -> str:
    async def upgrade() -> None:
        await Upgrading(host, Reaper(), lineage).upgrade(1.0)

    with pytest.raises(ControlError) as caught:
        anyio.run(upgrade)
    return str(caught.value)


def test_the_daemon_of_a_program_is_not_upgraded() -> None:
    assert "belongs to the program that has started it" in refusal(Host(), Lineage())


def test_a_daemon_that_is_not_ready_for_it_says_why() -> None:
    assert refusal(Host("a reload is under way"), Lineage(COMMAND)) == "a reload is under way"


@pytest.mark.parametrize(
    ("environ", "is_main"),
    [
        ({}, False),
        ({"NOTIFY_SOCKET": "/run/notify"}, False),
        ({"NOTIFY_SOCKET": "/run/notify", "SYSTEMD_EXEC_PID": "1"}, False),
        ({"NOTIFY_SOCKET": "/run/notify", "SYSTEMD_EXEC_PID": "4711"}, True),
        ({"SYSTEMD_EXEC_PID": "4711"}, False),
    ],
)
def test_only_the_main_process_of_a_service_needs_no_keeper(
    environ: dict[str, str], is_main: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("NOTIFY_SOCKET", "SYSTEMD_EXEC_PID"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("os.getpid", lambda: 4711)
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    assert Lineage(COMMAND).is_main is is_main
