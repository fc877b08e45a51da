"""What is noted when modules are loaded, and found out about their files."""

from __future__ import annotations

import importlib
import importlib.util
import os
import py_compile
import sys
import time
import zipfile
from pathlib import Path
from types import ModuleType

import pytest

import hornbeam_erlang
import hornbeamd
from hornbeamd.errors import CannotSwap
from hornbeamd.reload.code import Changes, Code
from hornbeamd.reload.noting import Folders
from tests.support.modules import Project


def changes(**names: str) -> Changes:
    return Changes(**{kind: frozenset(words.split()) for kind, words in names.items()})


def test_a_touched_file_is_no_change(project: Project) -> None:
    project.write(a="value = 1")
    project.load("a")
    os.utime(project.folder / "a.py", (1, 1))
    assert project.code.changed() == changes()


def test_a_changed_file_with_the_time_and_size_it_had_is_one(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    project.write(a="value = 1")
    os.utime(project.folder / "a.py", (1, 1))
    assert project.load("a").value == 1
    project.write(a="value = 2")
    os.utime(project.folder / "a.py", (1, 1))
    assert project.code.changed() == changes(changed="a")
    project.swap()
    assert sys.modules["a"].value == 2


def test_compiled_code_that_may_be_older_than_its_source_is_not_believed(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    for value in range(5):  # within a second or two, all of one size
        project.write(a=f"value = {value}")
        importlib.invalidate_caches()
        assert project.load("a").value == value
        del sys.modules["a"]
    (cached,) = (project.folder / "__pycache__").glob("a.*.pyc")
    later = time.time() + 10
    os.utime(cached, (later, later))
    written = cached.stat().st_mtime_ns
    project.load("a")  # is believed, and not written again
    assert cached.stat().st_mtime_ns == written


def test_at_first_compiled_code_is_believed_as_python_does(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in an image of a container, which was compiled before its files were unpacked."""
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    project.write(a="value = 1")
    os.utime(project.folder / "a.py", (1, 1))
    source = str(project.folder / "a.py")
    cached = Path(py_compile.compile(source, doraise=True) or "")
    os.utime(cached, (10, 10))
    assert project.load("a").value == 1
    assert cached.stat().st_mtime == 10


def test_a_deleted_file(project: Project) -> None:
    project.write(a="import b", b="", c="")
    project.load("a")
    c = project.load("c")
    project.write(c=None)
    assert project.code.changed() == changes(deleted="c")
    swap = project.swap()
    assert swap.modules == ("c",)
    assert "c" not in sys.modules
    assert swap.retire() is None
    project.write(b=None)
    with pytest.raises(ModuleNotFoundError, match="No module named 'b'"):
        project.swap()
    assert "b" in sys.modules
    assert c.__name__ == "c"


def test_a_module_becomes_a_package_and_a_module_again(project: Project) -> None:
    project.write(a="import b\ndef get(): return b.value", b="value = 1")
    project.load("a")
    project.write(b=None, b____init__="from b.c import value", b__c="value = 2")
    project.swap().retire()
    assert sys.modules["a"].get() == 2
    (project.folder / "b" / "__init__.py").unlink()
    (project.folder / "b" / "c.py").unlink()
    project.swap(b="value = 3").retire()
    assert sys.modules["a"].get() == 3
    assert "b.c" not in sys.modules


def test_a_package_gets_an_init(project: Project) -> None:
    project.write(a="from b import c\nimport b\ndef get(): return getattr(b, 'value', 0)", b__c="")
    project.load("a")
    assert project.swap(b____init__="value = 1").modules == ("a", "b", "b.c")
    assert sys.modules["a"].get() == 1


def test_what_was_looked_for_in_vain_is_found_later(project: Project) -> None:
    project.write(a="try: from local import value\nexcept ImportError: value = 0", b="")
    assert project.load("a").value == 0
    project.write(local="value = 1")
    assert project.code.changed() == changes(added="local")
    assert project.swap().modules == ("a",)
    assert sys.modules["a"].value == 1
    assert project.code.changed() == changes()


def test_a_file_that_comes_first_on_the_path_is_a_change(project: Project, tmp_path: Path) -> None:
    project.write(a="value = 1")
    project.load("a")
    project.put("first/a.py", "value = 2")
    sys.path.insert(0, str(project.folder / "first"))
    project.swap()
    assert sys.modules["a"].value == 2


def test_environments_and_hidden_folders_are_not_the_applications() -> None:
    folders = Folders(["/srv/app", "/srv/app/.hidden/inner"])
    for path in ("a.py", "lib/b.py", ".hidden/inner/c.py"):
        assert folders.hold(f"/srv/app/{path}"), path
    for path in (".venv/lib/d.py", "env/lib/python3.11/site-packages/e.py", "node_modules/f/f.py", "../apple/g.py"):
        assert not folders.hold(os.path.normpath(f"/srv/app/{path}")), path
    for module in (os, hornbeamd, hornbeam_erlang):
        assert not Folders(["/"]).hold(str(module.__file__))


def test_a_changed_library_needs_another_process(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    project.put("env/site-packages/library/__init__.py", "value = 1")
    monkeypatch.syspath_prepend(project.folder / "env" / "site-packages")
    project.write(a="import library")
    project.load("a")
    assert project.code.changed() == changes()
    project.put("env/site-packages/library/__init__.py", "value = 2")
    with pytest.raises(CannotSwap, match=r"changed outside of pythonpath: library$"):
        project.code.begin()


def test_libraries_in_archives_do_not_change(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = project.folder / "libraries.zip"
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("zipped_library.py", "value = 1")
    monkeypatch.syspath_prepend(archive)
    project.write(a="import zipped_library\nvalue = 1")
    project.load("a")
    assert project.swap(a="import zipped_library\nvalue = 2").modules == ("a",)


def test_modules_put_there_by_hand_are_left_alone(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    class Odd(ModuleType):
        def __getattr__(self, name: str) -> object:
            raise RuntimeError("do not wake me up")

    monkeypatch.setitem(sys.modules, "made_by_hand", Odd("made_by_hand"))
    monkeypatch.setitem(sys.modules, "no_module_at_all", object())  # type: ignore[arg-type]
    monkeypatch.setitem(sys.modules, "forbidden", None)  # type: ignore[arg-type]
    project.write(a="value = 1")
    project.load("a")
    assert project.swap(a="value = 2").modules == ("a",)


def test_a_module_of_two_names_is_the_applications_by_both(project: Project) -> None:
    text = "import sys\nsys.modules['b'] = sys.modules[__name__]\n"
    project.write(a=text)
    project.load("a")
    project.code.settle()
    for value in (1, 2):
        project.swap(a=f"{text}value = {value}").retire()
        assert sys.modules["b"] is sys.modules["a"]
        assert sys.modules["b"].value == value


def test_a_module_that_was_generated_counts_as_it_is_when_it_is_there(project: Project) -> None:
    files = [project.folder / "site-packages" / f"{name}.py" for name in ("generated", "again")]
    for file in files:
        project.put(f"site-packages/{file.name}", "value = 1")
        spec = importlib.util.spec_from_file_location("generated", file)
        assert spec is not None
        sys.modules["generated"] = importlib.util.module_from_spec(spec)
        project.code.settle()
        assert project.code.changed() == changes()
    files[1].write_text("value = 10")
    assert project.code.changed() == changes(foreign="generated")
    files[1].unlink()
    assert project.code.changed() == changes()


def test_what_was_loaded_before_the_watch_counts_as_it_is(project: Project) -> None:
    project.write(a="value = 1")
    project.code.unwatch()
    project.load("a")
    code = Code([str(project.folder)])
    code.watch()
    assert code.changed() == changes()
    project.write(a="value = 2")
    assert code.changed() == changes(changed="a")
    code.unwatch()


@pytest.mark.parametrize(
    ("before", "after", "why"),
    [
        ("__hot_reload__ = False", "", "a has __hot_reload__ = False"),
        ("", "__hot_reload__ = False", "a changed module has __hot_reload__ = False"),
    ],
)
def test_modules_can_refuse(project: Project, before: str, after: str, why: str) -> None:
    project.write(a=before, b="import a")
    project.load("b")
    project.write(a=after)
    with pytest.raises(CannotSwap, match=why):
        project.code.begin()
    project.write(a=before, b="import a # changed")
    assert project.code.begin().modules == ("b",)


def test_django_keeps_its_registries(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    apps = ModuleType("django.apps")
    apps.apps = type("Apps", (), {"ready": True})  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "django.apps", apps)
    project.write(a="value = 1")
    project.load("a")
    assert project.code.begin().modules == ()
    project.write(a="value = 2")
    with pytest.raises(CannotSwap, match="Django"):
        project.code.begin()


def test_an_extension_in_c_needs_another_process(project: Project) -> None:
    import _lsprof  # any that does not mind being loaded under another name

    suffix = _lsprof.__file__.removeprefix(os.path.dirname(_lsprof.__file__)).partition(".")[2]
    data = Path(_lsprof.__file__).read_bytes()
    (project.folder / f"_lsprof.{suffix}").write_bytes(data)
    kept = sys.modules.pop("_lsprof")
    try:
        project.load("_lsprof")
        assert project.code.begin().modules == ()
        fresh = project.folder / "fresh"  # what is mapped into this process shall not change under it
        fresh.write_bytes(data + b"\0")
        fresh.replace(project.folder / f"_lsprof.{suffix}")
        with pytest.raises(CannotSwap, match="_lsprof is an extension in C"):
            project.code.begin()
    finally:
        sys.modules["_lsprof"] = kept


def test_tracebacks_have_no_frames_of_ours(project: Project) -> None:
    project.write(a="import b", b="1 / 0")
    with pytest.raises(ZeroDivisionError) as caught:
        project.load("a")
    files = {frame.path for frame in caught.traceback}
    assert str(project.folder / "b.py") in map(str, files)
    assert not [file for file in files if str(file).startswith(os.path.dirname(hornbeamd.__file__))]
