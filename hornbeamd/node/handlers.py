"""What may be called: functions, and the handlers of hooks, whose actions become calls.

=================  ======================================================================
a class            one instance per process, made when it is first used; actions are its methods
a plain function   ``handler(action, *args, **kwargs)``
any other object   actions are its methods; without one of that name, the object is called as a function is
=================  ======================================================================

A function may have a coroutine form, its attribute ``aio``, which is then called in its place: so whoever waits in
``hornbeam_ml.batched`` for the others of his batch holds no thread. How many calls it wants at once is its ``at_once``.
"""

from __future__ import annotations

import functools
import importlib
import inspect
import threading
from collections.abc import Callable, Iterator
from typing import Any, Protocol

Function = Callable[..., Any]


class Target(Protocol):
    """Something that was registered."""

    @property
    def ready(self) -> bool:
        """Whether :meth:`function` returns at once; else it loads what may take its time, and is called in a thread."""

    @property
    def waits(self) -> bool:
        """Whether coroutines are among what it has."""

    def function(self, action: str | None) -> Function:
        """What to call for *action*. Raises AttributeError when there is no such action."""


class Single:
    """A function by itself: it has no actions."""

    ready = True

    def __init__(self, function: Function) -> None:
        if not callable(function):
            raise TypeError(f"a function is expected, not an object of type {type(function).__name__}")
        self._function = _form(function)
        self.waits = is_async(self._function)

    def function(self, action: str | None) -> Function:
        if action is not None:
            raise AttributeError("a function has no actions; call it by its name")
        return self._function


class Hook:
    """The handler of a hook."""

    def __init__(self, handler: Any) -> None:
        if handler is None or isinstance(handler, (str, bytes, int, float)):
            raise TypeError(f"a handler is a class, an object or a function, not {handler!r}")
        self._lock = threading.RLock()
        self._class = handler if isinstance(handler, type) else None
        self._object = None if self._class else handler
        self._plain = inspect.isroutine(handler) or isinstance(handler, functools.partial)
        methods = [method for _, method in _methods(handler)]
        self.waits = is_async(handler) or any(is_async(_form(method)) for method in methods)
        self.at_once = max((getattr(method, "at_once", 0) for method in methods), default=0)
        """How many calls at once its methods ask for, 0 when none does."""

    @property
    def ready(self) -> bool:
        return self._object is not None

    def function(self, action: str | None) -> Function:
        if not isinstance(action, str):
            raise AttributeError("a hook is called with the name of an action")
        if action.startswith("_"):
            raise AttributeError(f"the action {action!r} is private, as its name begins with an underscore")
        found = self._instance()
        if not self._plain:
            method = getattr(found, action, None)
            if callable(method):
                return _form(method)
            if self._class or not callable(found):
                there = ", ".join(name for name, _ in _methods(found)) or "none"
                raise AttributeError(f"{type(found).__name__} has no action {action!r}; it has: {there}")
        return functools.partial(found, action)

    def _instance(self) -> Any:
        if self._object is None:
            assert self._class is not None
            with self._lock:  # of two that come first, one waits: there may be memory for one model only
                if self._object is None:
                    self._object = self._class()
        return self._object


def is_async(function: Any) -> bool:
    """Whether calling *function* gives something to await, or to iterate asynchronously."""
    for each in (function, getattr(function, "__call__", None)):  # noqa: B004
        if inspect.iscoroutinefunction(each) or inspect.isasyncgenfunction(each):
            return True
    return False


def _form(function: Function) -> Function:
    """The coroutine form of *function*, if it has one."""
    form = getattr(function, "aio", None)
    return form if inspect.iscoroutinefunction(form) else function


def load(spec: str) -> Any:
    """What *spec*, "module:name" or "module:object.attribute", names. Raises ImportError or AttributeError."""
    module, _, path = spec.partition(":")
    found: Any = importlib.import_module(module)
    for name in path.split("."):
        found = getattr(found, name)
    return found


def _methods(of: Any) -> Iterator[tuple[str, Any]]:
    """The public names of *of* that can be called, and what they are, found without running any of its code."""
    for name in dir(of):
        if not name.startswith("_"):
            found = inspect.getattr_static(of, name, None)
            if isinstance(found, (classmethod, staticmethod)):
                found = found.__func__
            if callable(found):
                yield name, found
