import os
import sys
import traceback
from pathlib import Path

import pytest

from hornbeamd.apps.loader import load
from hornbeamd.errors import AppLoadError


@pytest.fixture
def module(tmp_path: Path, monkeypatch):
    """Write a module "shop" (or another) and make it importable."""

    def write(text: str, name: str = "shop.py"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)

    monkeypatch.syspath_prepend(tmp_path)
    known = set(sys.modules)
    yield write
    for name in set(sys.modules) - known:
        del sys.modules[name]


def test_a_module_alone_means_its_application(module):
    module("def application(): return 1")
    assert load("shop")() == 1


def test_names_attributes_and_packages(module):
    module("", "site_of/__init__.py")
    module("class site:\n    def app(): return 2", "site_of/wsgi.py")
    assert load("site_of.wsgi:site.app")() == 2


@pytest.mark.parametrize(
    ("call", "given"),
    [
        ("create()", ((), {})),
        ("create('prod')", (("prod",), {})),
        ("create('a:b', 2, debug=True, tags=['x'])", (("a:b", 2), {"debug": True, "tags": ["x"]})),
        ("factories.create(None)", ((None,), {})),
    ],
)
def test_a_factory_gets_literals(module, call, given):
    module(
        "def create(*args, **kwargs): return lambda: (args, kwargs)\nclass factories: create = staticmethod(create)\n"
    )
    assert load(f"shop:{call}")() == given


@pytest.mark.parametrize(
    "spec",
    [
        "",
        ":app",
        "shop:",
        "shop:app.",
        "shop:1",
        "sh-op:app",
        "../shop:app",
        "shop:app[0]",
        "shop:app; x",
        "shop:lambda: 1",
        "shop:create(open)",
        "shop:create(**{})",
        "shop:create()()",
    ],
)
def test_what_names_no_application(module, spec):
    module("def app(): pass\ncreate = app")
    with pytest.raises(AppLoadError, match="cannot be loaded"):
        load(spec)


def test_a_module_that_is_not_there(module):
    with pytest.raises(AppLoadError, match=r"there is no module 'shpo'.*pythonpath") as caught:
        load("shpo:app")
    assert caught.value.__cause__ is None


def test_a_submodule_that_is_not_there(module):
    module("", "store/__init__.py")
    with pytest.raises(AppLoadError, match=r"there is no module 'store.wsgi'"):
        load("store.wsgi:app")


@pytest.mark.parametrize(("spec", "closed"), [("shop", ""), ("store.wsgi", "store")])
def test_a_folder_that_may_not_be_read_is_told(tmp_path, monkeypatch, spec, closed):
    folder = str(tmp_path / closed) if closed else str(tmp_path)
    (tmp_path / "store").mkdir()
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(os, "access", lambda path, mode: path != folder)
    with pytest.raises(AppLoadError, match=rf"there is no module '{spec}' .*permission denied: {folder}$"):
        load(spec)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("import not_installed_here", "No module named 'not_installed_here'"),
        # The name is the module's own, but it is not the module that is missing.
        ("import importlib; importlib.import_module('shop.more')", "'shop' is not a package"),
        ("1/0", "ZeroDivisionError: division by zero"),
        ("def broken(:", "SyntaxError"),
        ("import sys; sys.exit(3)", "SystemExit: 3"),
        ("raise RuntimeError", "RuntimeError$"),
    ],
)
def test_a_module_that_fails_keeps_its_traceback(module, text, told):
    module(f"# the application\n{text}\n")
    with pytest.raises(AppLoadError, match=f"'shop' could not be imported: .*{told}") as caught:
        load("shop:app")
    assert "shop.py" in "".join(traceback.format_exception(caught.value))


def test_interrupts_are_not_the_applications(module):
    module("raise KeyboardInterrupt")
    with pytest.raises(KeyboardInterrupt):
        load("shop:app")


@pytest.mark.parametrize(
    ("spec", "told"),
    [
        ("shop", "'shop' has no attribute 'application'; did you mean 'app'"),
        ("shop:create_ap()", "did you mean 'create_app'"),
        ("shop:xyz", "'shop' has no attribute 'xyz'; did you mean 'app'"),
        ("shop:inner.ap", "'shop.inner' has no attribute 'ap'$"),
    ],
)
def test_an_attribute_that_is_not_there(module, spec, told):
    module("def app(): pass\ndef create_app(): return app\nclass inner: pass")
    with pytest.raises(AppLoadError, match=told):
        load(spec)


@pytest.mark.parametrize(
    ("spec", "told"),
    [
        ("shop:number", "'shop:number' is of type int, not a callable"),
        ("shop:number()", "calls an object of type int"),
        ("shop:os", "is a module, not a callable"),
        ("shop:create()", "'shop:create\\(\\)' is of type NoneType, not a callable"),
    ],
)
def test_what_cannot_be_called(module, spec, told):
    module("import os\nnumber = 1\ndef create(): pass")
    with pytest.raises(AppLoadError, match=told):
        load(spec)


@pytest.mark.parametrize("call", ["create('too many')", "create()"])
def test_a_factory_that_fails_is_the_cause(module, call):
    module("def create(): raise LookupError('no database')")
    with pytest.raises(
        AppLoadError, match=f"factory of .* failed: {'Type' if 'too' in call else 'Lookup'}Error"
    ) as caught:
        load(f"shop:{call}")
    assert isinstance(caught.value.__cause__, (TypeError, LookupError))
