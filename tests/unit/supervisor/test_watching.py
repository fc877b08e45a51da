"""The watcher of the running daemon, which may fail, but not end the daemon."""

from __future__ import annotations

import anyio
import pytest

from hornbeamd.config.options import Options
from hornbeamd.config.reload import ReloadOptions
from hornbeamd.reload.watch import Watcher
from hornbeamd.supervisor.outcome import Outcome
from hornbeamd.supervisor.watching import Watching


class Reloads:
    async def reload(self, *, everything: bool = False) -> Outcome:
        raise AssertionError("nothing was saved")


def test_a_watcher_that_fails_is_told_of_and_harms_nobody(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def run(watcher: Watcher) -> None:
        raise OSError("a disk that fails")

    async def adopt() -> None:
        async with anyio.create_task_group() as group:
            Watching(group, Reloads(), None).adopt(Options(reload=ReloadOptions(watch=True)))

    monkeypatch.setattr(Watcher, "run", run)
    with caplog.at_level("ERROR", logger="hornbeamd.supervisor"):
        anyio.run(adopt)
    assert "files are not watched any more" in caplog.text
    assert "a disk that fails" in caplog.text
