"""What there is to watch, on a real file system."""

import os

import pytest

from hornbeamd.reload.patterns import Patterns
from hornbeamd.reload.snapshot import MOST_PLACES, Snapshot, look
from hornbeamd.reload.watch import git_locks


@pytest.fixture
def project(tmp_path):
    folder = tmp_path / "project"
    for name in ("app.py", "shop/views.py", "shop/deep/model.py", "shop/__pycache__/views.pyc"):
        write(folder / name)
    return folder


def write(path, text=""):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def seen(*folders, files=(), include=("*.py",), exclude=()) -> Snapshot:
    return look([str(folder) for folder in folders], [str(file) for file in files], Patterns(include, exclude))


def names(snapshot, folder):
    return {os.path.relpath(path, folder) for path in snapshot.files}


def places(snapshot, folder):
    return {os.path.relpath(place.path, folder): place.recursive for place in snapshot.places}


def test_the_files_and_one_place_for_all_of_them(project):
    snapshot = seen(project)
    assert names(snapshot, project) == {"app.py", "shop/views.py", "shop/deep/model.py"}
    assert places(snapshot, project) == {".": True, "..": False}
    assert snapshot.leading == {"project"}


def test_what_is_written_added_and_removed_differs(project):
    before = seen(project)
    assert not seen(project).differing(before)
    write(project / "app.py", "new")
    write(project / "shop/new.py")
    (project / "shop/views.py").unlink()
    assert seen(project).differing(before) == {
        str(project / name) for name in ("app.py", "shop/new.py", "shop/views.py")
    }


def test_a_file_that_was_exchanged_for_one_of_the_same_age_and_size_differs(project):
    before = seen(project)
    write(project / "app.py.new")
    os.utime(project / "app.py.new", ns=(0, (project / "app.py").stat().st_mtime_ns))
    os.replace(project / "app.py.new", project / "app.py")
    assert seen(project).differing(before) == {str(project / "app.py")}


def test_a_file_that_was_written_with_its_old_age_and_size_differs(project):
    before, written = seen(project), (project / "app.py").stat().st_mtime_ns
    write(project / "app.py")
    os.utime(project / "app.py", ns=(0, written))
    assert seen(project).differing(before) == {str(project / "app.py")}


def test_no_place_reaches_into_what_is_left_out(project):
    for name in (".git/hook.py", "web/node_modules/a.py", "web/page.py", "env/pyvenv.cfg", "env/lib/a.py"):
        write(project / name)
    snapshot = seen(project)
    assert names(snapshot, project) == {"app.py", "shop/views.py", "shop/deep/model.py", "web/page.py"}
    assert places(snapshot, project) == {".": False, "..": False, "shop": True, "web": False}


def test_many_places_become_one(project):
    for number in range(MOST_PLACES):
        write(project / f"part{number}/.hidden/a.py")
    assert places(seen(project), project) == {".": True, "..": False}


def test_links_are_followed_once(project, tmp_path):
    write(tmp_path / "elsewhere/lib.py")
    (project / "linked").symlink_to(tmp_path / "elsewhere")
    (project / "again").symlink_to(tmp_path / "elsewhere")
    (project / "shop/loop").symlink_to(project)
    (project / "dangling.py").symlink_to("nowhere.py")
    snapshot = seen(project)
    assert names(snapshot, project) == {"app.py", "shop/views.py", "shop/deep/model.py", "../elsewhere/lib.py"}
    assert places(snapshot, project)["../elsewhere"] is True


def test_a_folder_that_is_not_there_is_waited_for_in_the_last_that_is(tmp_path):
    snapshot = seen(tmp_path / "not/there/yet")
    assert not snapshot.files
    assert places(snapshot, tmp_path) == {".": False}
    assert snapshot.leading == {"not"}


def test_a_link_to_the_folder_that_is_set_anew(project, tmp_path):
    write(tmp_path / "releases/2/app.py")
    current = tmp_path / "links/current"
    current.parent.mkdir()
    current.symlink_to(project)
    before = seen(current)
    assert places(before, tmp_path)["links"] is False
    assert "current" in before.leading
    current.unlink()
    current.symlink_to(tmp_path / "releases/2")
    assert str(tmp_path / "releases/2/app.py") in seen(current).differing(before)


def test_a_file_behind_two_links_as_kubernetes_lays_them(tmp_path):
    for number in (1, 2):
        write(tmp_path / f"..{number}/sys.toml", str(number))
    (tmp_path / "..data").symlink_to("..1")
    (tmp_path / "sys.toml").symlink_to("..data/sys.toml")
    before = seen(files=[tmp_path / "sys.toml"])
    assert {"..data", "sys.toml"} <= before.leading
    (tmp_path / "new").symlink_to("..2")
    os.replace(tmp_path / "new", tmp_path / "..data")
    assert seen(files=[tmp_path / "sys.toml"]).differing(before) == {str(tmp_path / "sys.toml")}


def test_a_file_that_comes_to_be(tmp_path):
    before = seen(files=[tmp_path / "sys.toml"])
    write(tmp_path / "sys.toml")
    assert seen(files=[tmp_path / "sys.toml"]).differing(before) == {str(tmp_path / "sys.toml")}


def test_where_git_locks_a_tree_and_one_of_several(tmp_path):
    (tmp_path / "repo/.git").mkdir(parents=True)
    (tmp_path / "repo/src").mkdir()
    write(tmp_path / "other/.git", f"gitdir: {tmp_path}/repo/.git/worktrees/other\n")
    assert git_locks([str(tmp_path / "repo/src")]) == {f"{tmp_path}/repo/.git/index.lock"}
    assert git_locks([str(tmp_path / "other")]) == {f"{tmp_path}/repo/.git/worktrees/other/index.lock"}
