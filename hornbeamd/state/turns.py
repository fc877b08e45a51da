"""A lock for what finalizers may want, too.

The garbage collector runs in whatever thread, at any moment, and with it what applications have in ``__del__`` and in
the ``finally`` of a generator that nobody wants any more. With a plain lock such a finalizer would wait for the very
thread that runs it.
"""

from __future__ import annotations

import threading


class Turn:
    """Held by one thread at a time. By ``with`` it tells whether the thread did not hold it already."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        """For those who only look, and find what they look at whole at any moment."""
        self._depth = 0

    def __enter__(self) -> bool:
        self.lock.acquire()
        self._depth += 1
        return self._depth == 1

    def __exit__(self, *error: object) -> None:
        self._depth -= 1
        self.lock.release()
