"""The watcher of the running daemon, which may fail, but neither end the daemon nor keep it from its end."""

from __future__ import annotations

from pathlib import Path

import anyio
import pytest

from hornbeamd.config.options import Options
from hornbeamd.config.reload import ReloadOptions
from hornbeamd.reload.watch import Watcher
from hornbeamd.supervisor.outcome import Outcome
from hornbeamd.supervisor.watching import Watching, note_saved


class Reloads:
    """Reloads that never end."""

    def __init__(self) -> None:
        self.begun = anyio.Event()

    async def reload(self, *, everything: bool = False) -> Outcome:
        self.begun.set()
        await anyio.sleep_forever()


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


def test_a_reload_that_goes_on_does_not_keep_the_daemon_from_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    async def run(watcher: Watcher) -> None:
        await watcher._changed({"app.py"})

    async def end() -> None:
        reloads = Reloads()
        async with anyio.create_task_group() as group:
            watching = Watching(group, reloads, None)
            watching.serving.set()
            watching.adopt(Options(reload=ReloadOptions(watch=True)))
            await reloads.begun.wait()
            group.cancel_scope.cancel()

    monkeypatch.setattr(Watcher, "run", run)
    anyio.run(end)


def test_saved_files_are_named_where_the_working_folder_was_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    release = tmp_path / "41"
    release.mkdir()
    monkeypatch.chdir(release)
    release.rmdir()
    with caplog.at_level("INFO", logger="hornbeamd.supervisor"):
        note_saved({"/srv/42/app.py"})
    assert [record.fields for record in caplog.records] == [{"files": ["/srv/42/app.py"]}]
