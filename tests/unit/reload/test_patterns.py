import pytest

from hornbeamd.reload.patterns import Patterns

EDITORS = [
    "4913",
    "app.py~",
    ".app.py.swp",
    ".app.py.swx",
    "app.py.swp",
    "#app.py#",
    ".#app.py",
    "app.py___jb_tmp___",
    "app.py___jb_old___",
    ".app.py.kate-swp",
    ".goutputstream-X1Y2Z3",
]


def test_modules_are_watched_and_nothing_else():
    patterns = Patterns(["*.py"])
    assert patterns.wants("app.py")
    assert patterns.wants("shop/views/basket.py")
    assert not patterns.wants("shop/app.log")
    assert not patterns.wants("app.pyc")


@pytest.mark.parametrize("name", EDITORS)
@pytest.mark.parametrize("include", ["*.py", "*", ".*"])
def test_what_editors_write_for_a_moment_is_not_watched(name, include):
    assert not Patterns([include]).wants(name)
    assert not Patterns([include]).wants(f"shop/{name}")


@pytest.mark.parametrize("folder", ["__pycache__", ".git", ".venv", "web/node_modules", "env/lib/site-packages"])
def test_folders_that_are_never_entered(folder):
    assert not Patterns(["*"]).enters(folder)


def test_a_wildcard_leaves_out_hidden_files_and_a_dot_takes_them():
    assert not Patterns(["*"]).wants("shop/.env")
    assert Patterns([".env"]).wants("shop/.env")
    assert Patterns([".e*"]).wants("shop/.env")
    assert not Patterns([".e*"]).wants("shop/env")


def test_a_pattern_with_a_slash_is_for_the_path():
    patterns = Patterns(["templates/*.html"])
    assert patterns.wants("templates/page.html")
    assert not patterns.wants("shop/page.html")
    assert not patterns.wants("page.html")


def test_what_is_excluded():
    patterns = Patterns(["*.py"], ["test_*.py", "migrations", "shop/old/"])
    assert patterns.wants("shop/views.py")
    assert not patterns.wants("shop/test_views.py")
    assert not patterns.enters("shop/migrations")
    assert not patterns.enters("shop/old")
    assert patterns.enters("old")


def test_a_name_that_may_be_wanted_somewhere():
    patterns = Patterns(["*.py", "templates/*.html"])
    assert patterns.may_want("page.html")
    assert patterns.may_want("app.py")
    assert not patterns.may_want("app.log")
    assert not Patterns(["*"]).may_want("app.py~")
