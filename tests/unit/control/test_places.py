"""Where the control socket is when nobody says."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from hornbeamd.control import places


@pytest.fixture
def environ(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """An environment whose folders are all below tmp_path; the system's is there, and there is a user's."""
    for name in ("run", "user", "tmp"):
        (tmp_path / name).mkdir()
    monkeypatch.setattr(places, "SYSTEM", str(tmp_path / "run" / "hornbeam"))
    return {"XDG_RUNTIME_DIR": str(tmp_path / "user"), "TMPDIR": str(tmp_path / "tmp")}


def test_the_systems_folder_comes_before_the_users_and_that_before_temporary_files(environ, tmp_path):
    mine = f"{tmp_path}/tmp/hornbeam-{os.geteuid()}"
    assert places.folders(environ) == [f"{tmp_path}/run/hornbeam", f"{tmp_path}/user/hornbeam", mine]
    assert places.folders({"TMPDIR": environ["TMPDIR"]}) == [f"{tmp_path}/run/hornbeam", mine]
    assert places.folders({})[-1] == f"/tmp/hornbeam-{os.geteuid()}"


def test_the_first_that_can_be_made_is_taken_and_the_others_say_why_not(environ, tmp_path):
    assert places.prepare(environ) == (f"{tmp_path}/run/hornbeam", [])
    (tmp_path / "run" / "hornbeam").rmdir()
    (tmp_path / "run" / "hornbeam").touch()
    folder, problems = places.prepare(environ)
    assert folder == f"{tmp_path}/user/hornbeam"
    assert problems == [f"{tmp_path}/run/hornbeam: File exists"]
    assert os.stat(folder).st_mode & 0o777 == 0o700


def test_a_folder_that_others_can_write_to_is_neither_used_nor_looked_into(environ, tmp_path):
    for folder in places.folders(environ):
        os.makedirs(folder)
        Path(folder, "control.sock").touch()
        os.chmod(folder, 0o777)
    folder, problems = places.prepare(environ)
    assert folder == ""
    assert [problem.rpartition(": ")[2] for problem in problems] == ["others can write to it"] * 3
    assert places.sockets(environ) == []
    os.chmod(tmp_path / "user" / "hornbeam", 0o700)
    assert places.sockets(environ) == [f"{tmp_path}/user/hornbeam/control.sock"]


def test_only_sockets_of_daemons_are_found(environ, tmp_path):
    folder, _ = places.prepare(environ)
    for name in ("control.sock", "control-12.sock", "control-x.sock", "control-.sock", "control.sock.12", "app.sock"):
        Path(folder, name).touch()
    assert [os.path.basename(path) for path in places.sockets(environ)] == ["control-12.sock", "control.sock"]
    assert places.is_ours(places.numbered(os.getpid()))
