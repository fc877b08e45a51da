"""The runtime directory: made private, held, and removed when nobody holds it."""

from __future__ import annotations

import os
import socket
import stat
import tempfile
from pathlib import Path

import pytest

from hornbeamd.config.options import Options
from hornbeamd.config.state import StateOptions
from hornbeamd.errors import SupervisionError
from hornbeamd.supervisor import runtime
from hornbeamd.supervisor.runtime import Runtime


@pytest.fixture(autouse=True)
def parents(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Folders of this test stand for /dev/shm and /tmp; gives the one that holds both."""
    for name in ("shm", "tmp"):
        (tmp_path / name).mkdir()
    monkeypatch.setattr(runtime, "SHARED_MEMORY", str(tmp_path / "shm"))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    return tmp_path


def made(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir())


def mode(path: str) -> int:
    return stat.S_IMODE(os.stat(path).st_mode)


def test_it_is_private_and_gone_at_the_end(parents: Path) -> None:
    ours = Runtime(Options(app="app"))
    place = ours.place
    assert os.path.dirname(place.directory) == str(parents / "shm")
    assert [mode(path) for path in (place.directory, place.state, place.cache)] == [0o700] * 3
    assert stat.S_ISSOCK(os.stat(place.hub).st_mode)
    assert mode(place.hub) == 0o600
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(place.hub)  # it listens before any hub runs
    ours.close()
    assert made(parents / "shm") == made(parents / "tmp") == []


def test_two_daemons_do_not_meet(parents: Path) -> None:
    first, second = Runtime(Options(app="app")), Runtime(Options(app="app"))
    assert first.place.directory != second.place.directory
    assert len(made(parents / "shm")) == 2
    second.close()
    assert os.path.exists(first.place.hub)
    first.close()


def test_what_a_killed_daemon_left_is_removed_when_its_last_process_is_gone(parents: Path) -> None:
    left = Runtime(Options(app="app"))
    inherited = os.dup(left.locks[0])
    os.close(left.locks[0])
    left.listener.close()
    (Path(left.place.state) / "data.mdb").write_bytes(b"x")
    second = Runtime(Options(app="app"))
    assert os.path.exists(left.place.directory), "a worker of it still serves"
    second.close()
    os.close(inherited)
    third = Runtime(Options(app="app"))
    assert made(parents / "shm") == [os.path.basename(third.place.directory)]
    third.close()


@pytest.mark.parametrize("kind", ["other content", "other mode", "file", "link"])
def test_what_no_daemon_made_is_left_alone(parents: Path, kind: str) -> None:
    path = parents / "shm" / "hornbeamd-notes"
    target = parents / "precious"
    target.mkdir(mode=0o700)
    if kind == "file":
        path.write_text("mine")
    elif kind == "link":
        path.symlink_to(target)
    else:
        path.mkdir(mode=0o755 if kind == "other mode" else 0o700)
        if kind == "other content":
            (path / "thesis.txt").write_text("years of work")
    Runtime(Options(app="app")).close()
    assert made(parents / "shm") == ["hornbeamd-notes"]
    assert target.exists()


def test_without_shared_memory_the_temporary_folder_takes_it(parents: Path) -> None:
    (parents / "shm").rmdir()
    ours = Runtime(Options(app="app"))
    assert os.path.dirname(ours.place.directory) == str(parents / "tmp")
    ours.close()


def test_nowhere_to_make_it(parents: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (parents / "shm").rmdir()
    long = parents / ("long" * 30)
    long.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(long))
    with pytest.raises(SupervisionError, match=r"no place for the runtime directory .*No such file.*too long"):
        Runtime(Options(app="app"))


def test_a_state_of_its_own_is_kept(parents: Path) -> None:
    path = parents / "state"
    ours = Runtime(Options(app="app", state=StateOptions(path=str(path))))
    assert ours.place.state == str(path)
    assert mode(str(path)) == 0o700
    with pytest.raises(SupervisionError, match="another daemon"):
        Runtime(Options(app="app", state=StateOptions(path=str(path))))
    ours.close()
    kept = made(path)
    Runtime(Options(app="app", state=StateOptions(path=str(path)))).close()  # it may be there already
    assert made(path) == kept


def test_a_state_that_cannot_be_made_is_named(parents: Path) -> None:
    path = str(parents / "missing" / "state")
    with pytest.raises(SupervisionError, match=path):
        Runtime(Options(app="app", state=StateOptions(path=path)))
    assert made(parents / "shm") == []
