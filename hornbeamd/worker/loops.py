"""Which event loop a process has."""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import Callable
from typing import cast


def loop_factory(kind: str) -> Callable[[], asyncio.AbstractEventLoop]:
    """What makes the event loop of the option ``loop``. Raises ImportError when uvloop is missing."""
    if kind != "asyncio":
        try:
            return cast(Callable[[], asyncio.AbstractEventLoop], importlib.import_module("uvloop").new_event_loop)
        except ImportError:
            if kind == "uvloop":
                raise
    return asyncio.new_event_loop
