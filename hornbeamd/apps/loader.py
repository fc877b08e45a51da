"""From ``"module:callable"`` to the application, or to the handler of a pool.

=========================================  ==========================================
``shop.wsgi``                              the attribute ``application`` of ``shop.wsgi``
``shop.wsgi:app``                          its attribute ``app``
``shop:site.app``                          an attribute of an attribute
``shop:create_app()``                      what a factory returns
``shop:create_app('prod', debug=True)``    a factory with literals as arguments
=========================================  ==========================================

Every failure is an :class:`~hornbeamd.errors.AppLoadError` whose text says what to change. Where code of the
application raised, that exception is its cause, with the application's traceback.
"""

from __future__ import annotations

import ast
import difflib
import importlib
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType, TracebackType
from typing import Any

from hornbeamd.errors import AppLoadError

DEFAULT = "application"


@dataclass(frozen=True, slots=True)
class _Spec:
    module: str
    path: tuple[str, ...]
    arguments: tuple[tuple[Any, ...], dict[str, Any]] | None
    """Of a factory; None where the object itself is the application."""


def load(spec: str) -> Callable[..., Any]:
    """Import and return the application that *spec* names. Raises AppLoadError."""
    found = find(spec)
    if not callable(found):
        what = "a module" if isinstance(found, ModuleType) else f"of type {type(found).__name__}"
        raise AppLoadError(f"{spec!r} is {what}, not a callable")
    return found  # type: ignore[no-any-return]


def find(spec: str) -> Any:
    """Import and return what *spec* names, whatever it is. Raises AppLoadError."""
    parsed = _parse(spec)
    found: Any = _import(parsed.module)
    for depth, name in enumerate(parsed.path):
        owner = ".".join((parsed.module, *parsed.path[:depth]))
        found = _attribute(found, name, owner)
    if parsed.arguments is not None:
        found = _call(found, parsed.arguments, spec)
    return found


# --- what is meant ---


def _parse(spec: str) -> _Spec:
    module, colon, text = spec.partition(":")
    if not all(part.isidentifier() for part in module.split(".")):
        raise AppLoadError(f"{spec!r} cannot be loaded: {module!r} is not the name of a module")
    if not colon:
        return _Spec(module, (DEFAULT,), None)
    try:
        node = ast.parse(text.strip(), mode="eval").body
        arguments = None
        if isinstance(node, ast.Call):
            arguments = _literals(node)
            node = node.func
        return _Spec(module, _names(node), arguments)
    except (SyntaxError, ValueError):
        raise AppLoadError(
            f"{spec!r} cannot be loaded: after the colon comes a name, dotted names, or a call of"
            " a factory with literals as arguments"
        ) from None


def _literals(call: ast.Call) -> tuple[tuple[Any, ...], dict[str, Any]]:
    keywords = {}
    for keyword in call.keywords:
        if keyword.arg is None:
            raise ValueError("arguments as **mapping")
        keywords[keyword.arg] = ast.literal_eval(keyword.value)
    return tuple(ast.literal_eval(argument) for argument in call.args), keywords


def _names(node: ast.expr) -> tuple[str, ...]:
    if isinstance(node, ast.Name):
        return (node.id,)
    if isinstance(node, ast.Attribute):
        return (*_names(node.value), node.attr)
    raise ValueError("neither a name nor an attribute")


# --- what is there ---


def _import(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        # A module that is not there, or one that is there and imports what is not?
        if f"{name}.".startswith(f"{error.name}.") and not _ran_code(error.__traceback__):
            raise AppLoadError(_not_found(error.name or name)) from None
        raise AppLoadError(f"the module {name!r} could not be imported: {error}") from error
    # SystemExit: a script without `if __name__ == "__main__"`, say. What else is no Exception is not its own.
    except (Exception, SystemExit) as error:
        raise AppLoadError(f"the module {name!r} could not be imported: {_told(error)}") from error


def _not_found(name: str) -> str:
    """Why there is no such module: the import system passes over folders that it may not read, and says nothing."""
    parent = sys.modules.get(name.rpartition(".")[0])
    places = sys.path if parent is None else getattr(parent, "__path__", ())
    closed = [each for each in places if os.path.isdir(each) and not os.access(each, os.R_OK | os.X_OK)]
    if closed:
        return f"there is no module {name!r} in the folders that can be read; permission denied: {', '.join(closed)}"
    return f"there is no module {name!r}: is the folder that holds it in pythonpath?"


def _ran_code(trace: TracebackType | None) -> bool:
    """Whether *trace* has frames of other code than this module's and the import system's."""
    while trace is not None:
        name = trace.tb_frame.f_globals.get("__name__", "")
        if name != __name__ and name.partition(".")[0] != "importlib":
            return True
        trace = trace.tb_next
    return False


def _attribute(found: Any, name: str, owner: str) -> Any:
    try:
        return getattr(found, name)
    except AttributeError:
        names = [each for each in dir(found) if not each.startswith("_")]
        # "app" is what most have in mind who leave out the name, and too short to count as close to it.
        close = [*difflib.get_close_matches(name, names, n=1), *({"app"} & set(names))]
        hint = f"; did you mean {close[0]!r}?" if close else ""
        raise AppLoadError(f"{owner!r} has no attribute {name!r}{hint}") from None


def _call(factory: Any, arguments: tuple[tuple[Any, ...], dict[str, Any]], spec: str) -> Any:
    if not callable(factory):
        raise AppLoadError(f"{spec!r} calls an object of type {type(factory).__name__}")
    positional, keywords = arguments
    try:
        return factory(*positional, **keywords)
    except (Exception, SystemExit) as error:
        raise AppLoadError(f"the factory of {spec!r} failed: {_told(error)}") from error


def _told(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
