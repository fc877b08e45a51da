"""``import erlang``: found in the server where no package of that name is installed."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

NAME = "erlang"
STANDS_FOR = "hornbeam_erlang.erlang"


class _Finder(MetaPathFinder):
    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        return ModuleSpec(NAME, _Loader()) if fullname == NAME else None


class _Loader(Loader):
    def create_module(self, spec: ModuleSpec) -> None:
        return None

    def exec_module(self, module: ModuleType) -> None:
        # The import system gives what is there by the end: one module under two names.
        sys.modules[NAME] = importlib.import_module(STANDS_FOR)


def provide() -> None:
    """Make ``import erlang`` work. All other finders are asked first."""
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.append(_Finder())
