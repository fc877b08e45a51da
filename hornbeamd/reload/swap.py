"""One reload in place: fresh modules beside the old, then an exchange of pointers, or nothing."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from typing import Any, TypeVar

from hornbeamd.reload import caches
from hornbeamd.reload.view import ABSENT, View, namespace
from hornbeamd.reload.views import Views

T = TypeVar("T")


def import_all(modules: Iterable[str]) -> None:
    """Import those of *modules* that are there."""
    for name in modules:
        try:
            importlib.import_module(name)
        except ModuleNotFoundError as error:
            # It is gone, and nobody misses it; where somebody does, the traceback leads there.
            if not f"{name}.".startswith(f"{error.name}."):
                raise


class Swap:
    """A new generation of the application's code, of which :attr:`modules` are loaded anew and all others shared."""

    def __init__(self, views: Views, modules: Sequence[str], added: Collection[str]) -> None:
        self.modules = tuple(modules)
        """Their names, in the order in which loading them once began. Empty when nothing has changed."""
        self._views = views
        self._former = views.current
        kept = {name: stamp for name, stamp in self._former.stamps.copy().items() if name not in self.modules}
        self.view = View(kept, self._former.missed.difference(added))
        """The modules as the new generation sees them; give it its mark before :meth:`load`."""
        self._gone: list[Any] = []

    def load(self, build: Callable[[], T]) -> T:
        """Load the modules, hand over their state (``__code_change__``), and give what *build* makes of them.

        All that runs here sees the new modules, everybody else still the old. Whatever is raised passes on, and
        then nothing of the new is left.
        """
        assert self._views.current is self._former, "one swap at a time"
        shared = {name: self._views.real[name] for name in self.view.stamps if name in self._views.real}
        # Those to be loaded, and what the old code has imported since this swap began: it leads to the old code, too.
        apart = [name for name in self._former.stamps.copy() if name not in self.view.stamps]
        self.view.renew(apart, shared)
        importlib.invalidate_caches()
        self._views.add(self.view)
        try:
            with self._views.seeing(self.view):
                import_all(self.modules)
                self._hand_over()
                return build()
        except BaseException:
            self.revert()
            for _ in self.forget():
                pass
            raise

    def _hand_over(self) -> None:
        for name, module in list(self.view.own.items()):
            former: Any = self._views.find(self._former, name)
            handover = namespace(module).get("__code_change__")
            imported = getattr(handover, "__module__", name) != name
            if callable(handover) and not imported and former is not ABSENT:
                handover(former)

    def commit(self) -> View:
        """Make the new generation the current one. Gives the old, to be given to :meth:`retire`. Does not fail."""
        if self.view not in self._views.others:
            self._views.add(self.view)
        self._views.exchange(self.view)
        return self._former

    def revert(self) -> None:
        """Go back: nothing of the new is left. Does not fail, and may be called again."""
        self._let_go(self.view)

    def retire(self) -> None:
        """Let go of the old generation, on which nothing runs any more. Does not fail."""
        self._let_go(self._former)

    def forget(self) -> Iterator[None]:
        """Have caches of libraries lose what they hold of what was let go; in small steps, with others in between."""
        gone, self._gone = self._gone, []
        return caches.forget(gone, list(self._views.real.values()))

    def _let_go(self, view: View) -> None:
        if not view.over:
            self._gone += [module for module in (*view.own.values(), *view.dropped) if module is not ABSENT]
            self._views.remove(view)
