"""Reload in place: after a swap everything is as in a fresh interpreter, or nothing is as much as touched."""

from __future__ import annotations

import importlib
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from hornbeamd.reload.noting import Finder
from tests.support.modules import Project, project

NAMES = ("alone", "one", "two", "shop", "shop.a", "shop.b", "shop.deep", "shop.deep.c", "shop.deep.d")
PACKAGES = ("shop", "shop.deep")
WAYS = {
    "value": "from {name} import value as v{place}",
    "whole": "import {name}; v{place} = {name}.value",
    "alias": "import {name} as m{place}; v{place} = m{place}.value",
    "member": "from {package} import {last} as m{place}; v{place} = m{place}.value",
    "dynamic": "import importlib; v{place} = importlib.import_module('{name}').value",
    "optional": "try: from {name} import value as v{place}\nexcept ImportError: v{place} = None",
}


@dataclass(frozen=True)
class Text:
    """What a module says: what it imports when it is loaded, and how, and what when its function is called."""

    salt: int
    eager: tuple[tuple[str, str], ...]
    late: tuple[str, ...]
    broken: bool = False

    def __str__(self) -> str:
        lines = ["class Mine: pass", *(["1 / 0"] if self.broken else [])]
        for place, (name, way) in enumerate(self.eager):
            package, _, last = name.rpartition(".")
            form = WAYS["whole" if way == "member" and not package else way]
            lines.append(form.format(name=name, package=package, last=last, place=place))
        values = "".join(f", v{place}" for place in range(len(self.eager)))
        late = ", ".join(f"l{place}" for place in range(len(self.late)))
        lines += [f"value = ({self.salt}{values},)", "def get():"]
        lines += [f"    from {name} import value as l{place}" for place, name in enumerate(self.late)]
        return "\n".join([*lines, f"    return value, [{late}]", ""])


@cache
def texts(name: str) -> st.SearchStrategy[Text]:
    """Modules import what stands before them in NAMES, which gives no circles, and packages their own modules, too."""
    others = NAMES[: NAMES.index(name)]
    imports = st.tuples(st.sampled_from(others), st.sampled_from(sorted(WAYS))) if others else st.nothing()
    if name in PACKAGES:
        # Not as an attribute of the package above: that has this one once it is loaded, in a swap a bit sooner.
        inner = [each for each in NAMES if each.startswith(f"{name}.")]
        imports |= st.tuples(st.sampled_from(inner), st.sampled_from(sorted(set(WAYS) - {"whole"})))
    eager = st.lists(imports, max_size=3 if others else 0)
    late = st.lists(st.sampled_from(NAMES), max_size=2, unique=True)
    return st.builds(Text, st.integers(0, 3), eager.map(tuple), late.map(tuple))


@cache
def change(name: str) -> st.SearchStrategy[tuple[str, Text | None]]:
    broken = texts(name).map(lambda text: replace(text, broken=True))
    return st.tuples(st.just(name), st.one_of(texts(name), texts(name), st.none(), broken))


changes = st.lists(st.sampled_from(NAMES).flatmap(change), min_size=1, max_size=3).map(dict)
programs = st.fixed_dictionaries({name: texts(name) for name in NAMES})


def place(name: str) -> str:
    return name.replace(".", "/") + ("/__init__.py" if name in PACKAGES else ".py")


def write(program: Project, named: dict[str, Text | None]) -> None:
    for name, text in named.items():
        if text is not None or (program.folder / place(name)).exists():
            program.put(place(name), None if text is None else str(text))


def loaded() -> dict[str, Any]:
    return {name: sys.modules[name] for name in NAMES if name in sys.modules}


def tell(modules: dict[str, Any]) -> dict[str, Any]:
    """What all of them say, or which of them fails when it is asked."""
    told: dict[str, Any] = {}
    for name, module in modules.items():
        try:
            told[name] = module.get()
        except Exception as error:
            told[name] = repr(error)
    return told


def fresh(program: Project, names: Sequence[str]) -> dict[str, Any] | None:
    """What modules say that are imported without anything of ours, in this order; None when they cannot be."""
    kept, finders = loaded(), list(sys.meta_path)
    sys.meta_path[:] = [finder for finder in finders if not isinstance(finder, Finder)]
    for name in kept:
        del sys.modules[name]
    importlib.invalidate_caches()
    try:
        for name in names:
            if (program.folder / place(name)).exists():
                importlib.import_module(name)
        return tell({name: module for name, module in loaded().items() if name in names})
    except Exception:
        return None
    finally:
        for name in loaded():
            del sys.modules[name]
        sys.modules.update(kept)
        sys.meta_path[:] = finders


@contextmanager
def no_bytecode() -> Iterator[None]:
    """The plain import system believes in compiled code by whole seconds."""
    before, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    try:
        yield
    finally:
        sys.dont_write_bytecode = before


@settings(deadline=None, max_examples=40)
@given(programs, st.lists(st.sampled_from(NAMES), min_size=1, max_size=3), st.lists(changes, min_size=1, max_size=3))
def test_as_in_a_fresh_interpreter_or_as_before(
    program: dict[str, Text], entries: list[str], history: list[dict[str, Text | None]]
) -> None:
    with no_bytecode(), tempfile.TemporaryDirectory() as folder, project(Path(folder)) as files:
        write(files, dict(program))
        try:
            for name in entries:
                files.load(name)
        except Exception:
            assume(False)
        for change in history:
            modules = loaded()
            before = tell(modules)
            modules, everything = loaded(), dict(sys.modules)
            # When loading a package has failed, Python leaves those of its modules that were loaded behind.
            assume(all(name.rpartition(".")[0] in ("", *modules) for name in modules))
            write(files, change)
            swap = files.code.begin()
            expected = fresh(files, [name for name in files.code.current.stamps if name in modules])
            try:
                swap.load(lambda: None)
            except Exception:
                assert expected is None
                assert sys.modules == everything
            else:
                assert expected is not None
                swap.commit()
                assert tell({name: each for name, each in loaded().items() if name in expected}) == expected
                again = tell(modules)  # what was missing may be there now
                assert all(again[name] == told for name, told in before.items() if not isinstance(told, str))
                swap.retire()
                assert type(sys.modules) is dict
