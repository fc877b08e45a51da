from __future__ import annotations

import os
import sys
import sysconfig
from pathlib import Path

import pytest

from hornbeamd.worker.environment import extend_path
from hornbeamd.worker.identity import drop_privileges, owner_ids


@pytest.fixture(autouse=True)
def _own_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", list(sys.path))


def make_venv(folder: Path, version: str = f"python{sys.version_info.major}.{sys.version_info.minor}") -> Path:
    packages = folder / "lib" / version / "site-packages"
    packages.mkdir(parents=True)
    return packages


def test_the_first_folder_in_the_list_is_searched_first() -> None:
    extend_path(["/a", "/b"], None)
    assert sys.path[:2] == ["/a", "/b"]


def test_a_folder_that_was_there_moves_to_the_front() -> None:
    sys.path.append("/a")
    extend_path(["/a"], None)
    assert sys.path.count("/a") == 1
    assert sys.path[0] == "/a"


def test_packages_of_the_venv_come_behind_the_standard_library_and_before_ours(tmp_path: Path) -> None:
    packages = make_venv(tmp_path)
    (tmp_path / "more").mkdir()
    (packages / "more.pth").write_text(f"{tmp_path / 'more'}\n")
    extend_path(["/a"], str(tmp_path))
    order = [
        sys.path.index(entry) for entry in ("/a", sysconfig.get_path("stdlib"), str(packages), str(tmp_path / "more"))
    ]
    assert order == sorted(order)
    ours = [index for index, entry in enumerate(sys.path) if entry.endswith("site-packages") and entry != str(packages)]
    assert all(sys.path.index(str(packages)) < index for index in ours)


def test_a_venv_of_another_python_is_refused(tmp_path: Path) -> None:
    make_venv(tmp_path, "python2.7")
    with pytest.raises(FileNotFoundError, match="is no virtual environment for python3"):
        extend_path([], str(tmp_path))


def test_owners() -> None:
    assert owner_ids(None, None) == (-1, -1)
    assert owner_ids("root", None) == (0, 0)
    assert owner_ids("0", "0") == (0, 0)
    assert owner_ids(None, "root") == (-1, 0)


@pytest.mark.parametrize(("user", "group"), [("no-such-user", None), (None, "no-such-group")])
def test_unknown_names(user: str | None, group: str | None) -> None:
    with pytest.raises(LookupError, match="no-such"):
        drop_privileges(user, group)
    assert os.getuid() == os.geteuid()


def test_nothing_asked_nothing_done() -> None:
    before = dict(os.environ)
    drop_privileges(None, None)
    assert dict(os.environ) == before
