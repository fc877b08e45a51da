"""The modules of one generation of the code."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any, Final

from hornbeamd.reload.noting import Stamp

ABSENT: Final = object()
"""In the place of a module: this view has none of that name, even if others have."""


def namespace(module: Any) -> dict[str, Any]:
    """What is in a module, or in what stands in ``sys.modules`` in the place of one, without waking it up."""
    try:
        return object.__getattribute__(module, "__dict__")  # type: ignore[no-any-return]
    except AttributeError:
        return {}


def above(name: str) -> Iterator[str]:
    """The packages that a module lies in, the innermost first."""
    while name := name.rpartition(".")[0]:
        yield name


class View:
    """The modules as one generation sees them: ``sys.modules``, but for what is its :attr:`own`."""

    def __init__(self, stamps: dict[str, Stamp], missed: set[str]) -> None:
        self.own: dict[str, Any] = {}
        self.stamps = stamps
        """What its application modules were loaded from, in the order in which loading them began."""
        self.missed = missed
        """What was looked for in vain."""
        self.mark: object = None
        """By what :class:`~hornbeamd.reload.views.Views` are told that this generation's code is running."""
        self.served = False
        """It was the current one before it became another."""
        self.over = False
        self.dropped: list[Any] = []
        """Modules that were taken out of :attr:`own`, as those are whose loading fails."""
        self._hidden: dict[str, dict[str, Any]] = {}
        """Shared modules, by the package they lie in that is still to be loaded anew: Python loads packages first."""

    def renew(self, names: Collection[str], shared: Mapping[str, Any]) -> None:
        """Have none of the modules *names*, so that they are loaded anew, beside those that are *shared*."""
        self.own = dict.fromkeys(names, ABSENT)
        for name, module in shared.items():
            package = next((package for package in above(name) if package in names), None)
            if package is not None:
                self.own[name] = ABSENT
                self._hidden.setdefault(package, {})[name] = module

    def put(self, name: str, module: Any) -> None:
        """Have *module* under that name; none when it is ABSENT."""
        former = self.own.pop(name, ABSENT)  # its place is that where loading it was completed, as in sys.modules
        if module is ABSENT and former is not ABSENT:
            self.dropped.append(former)
        self.own[name] = module
        if module is not ABSENT:
            for each, shared in self._hidden.pop(name, {}).items():
                del self.own[each]
                package, _, child = each.rpartition(".")
                if package == name:
                    namespace(module).setdefault(child, shared)

    def settle(self) -> None:
        """Be what all see who are no others: all that was its own is in ``sys.modules``."""
        self.own, self.dropped, self._hidden = {}, [], {}

    def end(self) -> None:
        """Let go of every module."""
        self.over = True
        self.settle()
        self.stamps, self.missed, self.mark = {}, set(), None
