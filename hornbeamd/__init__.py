"""hornbeamd: an application server for Python, supervised as Erlang/OTP supervises its programs.

A program that embeds it has ``start``, ``stop``, ``register_function`` and ``unregister_function``. They are in
``embedding.py``, which is imported when one of them is asked for.
"""

from __future__ import annotations

TYPE_CHECKING = False  # as type checkers know it; typing itself takes as long to import as all that hornbeamctl needs
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

__version__ = "0.1.0"

start: Callable[..., None]
stop: Callable[[], None]
register_function: Callable[..., None]
unregister_function: Callable[[str], None]

_EMBEDDING = ("start", "stop", "register_function", "unregister_function")


def __getattr__(name: str) -> Any:
    if name not in _EMBEDDING:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module("hornbeamd.embedding"), name)
