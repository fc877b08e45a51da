"""The event loop that coroutine functions of this process run in."""

from __future__ import annotations

import asyncio
import importlib
import threading
from asyncio import AbstractEventLoop
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


def running_loop() -> AbstractEventLoop | None:
    """The event loop that runs in this thread, if one does."""
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


class Background:
    """An event loop in a thread of its own, which runs until it is stopped, or until the process ends."""

    def __init__(self, name: str, new_loop: Callable[[], AbstractEventLoop] = asyncio.new_event_loop) -> None:
        self.loop = new_loop()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """The result of *work*, done in the loop. Not to be called there."""
        return asyncio.run_coroutine_threadsafe(work, self.loop).result()

    def stop(self) -> None:
        """Cancel what runs, and end. Not to be called in the loop."""
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self.loop) as runner:
            runner.get_loop().run_forever()


def fast_loop() -> AbstractEventLoop:
    """An event loop of uvloop where that is installed: a call from another process takes half the time."""
    try:
        loop: AbstractEventLoop = importlib.import_module("uvloop").new_event_loop()
    except ImportError:
        return asyncio.new_event_loop()
    return loop


class Home:
    """Where coroutine functions run: in the server the event loop that serves, wherever they are called from.

    Outside the server there is none, so it is the loop of the caller, or else one in the background.
    """

    def __init__(self) -> None:
        self._settled: AbstractEventLoop | None = None
        self._background: Background | None = None
        self._lock = threading.Lock()

    def settle(self, loop: AbstractEventLoop | None) -> None:
        """*loop* is the one from now on; None when it ends."""
        self._settled = loop

    @property
    def loop(self) -> AbstractEventLoop:
        """The loop for whoever asks."""
        return self._settled or running_loop() or self._in_background()

    def _in_background(self) -> AbstractEventLoop:
        with self._lock:
            if self._background is None:
                self._background = Background("hornbeam coroutines")
            return self._background.loop

    def close(self) -> None:
        """End the loop in the background, if there is one."""
        with self._lock:
            background, self._background = self._background, None
        if background is not None:
            background.stop()
