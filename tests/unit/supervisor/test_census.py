"""The figures are under names that come again, so that each reload does not begin new series."""

from __future__ import annotations

import os
from types import SimpleNamespace
from typing import Any

import anyio

from hornbeamd.errors import ControlError
from hornbeamd.supervisor.census import Census
from hornbeamd.worker.scoreboard import Scoreboard


class NoHub:
    pid = None
    starts = 0

    async def ask(self, what: str) -> dict[str, Any]:
        raise ControlError("the hub is not up")


def test_a_spawner_has_the_same_name_in_every_generation() -> None:
    pool = SimpleNamespace(wanted=1, members={}, endings={})
    web = SimpleNamespace(name="", processes={}, pool=pool)
    fleet: Any = SimpleNamespace(whole=[web], generation=7, spawners=[(7, os.getpid())])
    host: Any = SimpleNamespace(ending=False, failure=None)
    hub: Any = NoHub()
    board = Scoreboard.create()
    census = Census(host, fleet, hub, board)
    assert list(anyio.run(census.take).usage) == ["supervisor", "spawner"]
    fleet.spawners.append((8, os.getpid()))
    assert list(anyio.run(census.take).usage) == ["supervisor", "spawner", "spawner other"]
    fleet.generation = 8
    assert set(anyio.run(census.take).usage) == {"supervisor", "spawner", "spawner other"}
    board.close()
