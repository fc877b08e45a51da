"""Why modules cannot be loaded anew beside the old ones: a process has one of these only."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any

from hornbeamd.errors import CannotSwap
from hornbeamd.reload.graph import SWITCH, References
from hornbeamd.reload.noting import Stamp
from hornbeamd.reload.view import namespace

_REGISTRIES: dict[str, tuple[Callable[[Any], bool], str]] = {
    "django.apps": (
        lambda module: bool(module.apps.ready),
        "Django has one registry of applications, models and URLs for the whole process",
    ),
}
"""Frameworks that keep what an application consists of in themselves, and whether they are in use."""


def judge_foreign(changed: Collection[str]) -> None:
    """Raise CannotSwap for modules that are not the application's and were *changed*."""
    if changed:
        roots = sorted({name.partition(".")[0] for name in changed})
        raise CannotSwap(f"changed outside of pythonpath: {', '.join(roots)}")


def judge(names: Collection[str], stamps: Mapping[str, Stamp], modules: Mapping[str, Any]) -> None:
    """Raise CannotSwap when one of the modules *names* cannot be loaded anew."""
    for name in sorted(names):
        if stamps[name].is_extension:
            raise CannotSwap(f"{name} is an extension in C, of which a process can have one only")
        if name == "__main__":
            raise CannotSwap("the program itself was changed")
        if namespace(modules[name]).get(SWITCH) is False:
            raise CannotSwap(f"{name} has {SWITCH} = False")
    if names:
        for name, (used, why) in _REGISTRIES.items():
            if name in modules and used(modules[name]):
                raise CannotSwap(why)


def judge_texts(changed: Iterable[References]) -> None:
    """Raise CannotSwap when one of the *changed* texts forbids it."""
    if any(text.refuses for text in changed):
        raise CannotSwap(f"a changed module has {SWITCH} = False")
