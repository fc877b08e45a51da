"""Several handlers below paths of their own: the longest prefix that fits serves.

A prefix fits on segment boundaries: ``/api`` fits ``/api``, ``/api/`` and ``/api/x``, not ``/apiv2``. Segments are
compared as RFC 3986 (section 6.2.2) has it: ``/%61pi`` is ``/api``, but an encoded slash separates no segments, so
``/api%2Fx`` is one segment and leads into no mount. Nothing else is put right: ``//api`` begins with an empty segment.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from urllib.parse import unquote_to_bytes

from hornbeamd.errors import LifespanError
from hornbeamd.http.exchange import Exchange, Handler

log = logging.getLogger("hornbeamd.app")


class Mounted:
    """A *handler* below *prefix*, "/" for all paths; *timeout* in seconds where its requests have one of their own."""

    __slots__ = ("below", "handler", "path", "prefix", "timeout")

    def __init__(self, prefix: str, handler: Handler, timeout: float | None = None) -> None:
        self.prefix = prefix
        self.handler = handler
        self.timeout = timeout
        self.path = prefix.encode().rstrip(b"/")
        self.below = self.path + b"/"

    def fits(self, path: bytes) -> bool:
        """Whether *path*, as :func:`comparable` gives it, is below the prefix."""
        return path.startswith(self.below) or path == self.path or not self.path  # "*" is no path, but the root's


def comparable(raw_path: bytes) -> bytes:
    """Decode a path but for its encoded slashes."""
    if b"%" not in raw_path:
        return raw_path
    return unquote_to_bytes(raw_path.replace(b"%2f", b"%252F").replace(b"%2F", b"%252F"))


class NotFound:
    """Answers 404: the handler of what is mounted nowhere."""

    capacity = 0

    def handle(self, exchange: Exchange) -> None:
        exchange.answer(404)

    async def startup(self) -> None:
        """There is nothing to start."""

    def drain(self, seconds: float) -> None:
        """There are no WebSockets."""

    async def finished(self) -> None:
        """What is answered is finished."""

    async def shutdown(self) -> None:
        """There is nothing to end."""

    def stuck(self, now: float) -> str | None:
        return None


class Mounts:
    """Hands each exchange to the mount that its path is below, or to *elsewhere*.

    *capacity* is what all mounts together can serve at once, 0 where there is no such bound.
    """

    def __init__(self, mounts: Sequence[Mounted], elsewhere: Handler, capacity: int) -> None:
        self.capacity = capacity
        self._mounts = tuple(mounts)
        # A path that another begins with is shorter.
        self._longest_first = sorted(self._mounts, key=lambda mount: len(mount.path), reverse=True)
        self._elsewhere = elsewhere
        self._started: list[Mounted] = []

    def handle(self, exchange: Exchange) -> None:
        """Find the mount of *exchange*, and let it serve."""
        path = comparable(exchange.request.raw_path)
        for mount in self._longest_first:
            if mount.fits(path):
                if mount.timeout is not None:
                    exchange.answer_within(mount.timeout)
                mount.handler.handle(exchange)
                return
        self._elsewhere.handle(exchange)

    async def startup(self) -> None:
        """Start all, in the order of the configuration; when one refuses, end those that have started."""
        for mount in self._mounts:
            try:
                await mount.handler.startup()
            except BaseException as error:
                await self.shutdown()
                if isinstance(error, Exception):
                    raise LifespanError(f"the mount {mount.prefix}: {error}") from error
                raise  # given up
            self._started.append(mount)

    def drain(self, seconds: float) -> None:
        """Have the WebSockets of all end."""
        for mount in self._mounts:
            mount.handler.drain(seconds)
        self._elsewhere.drain(seconds)

    async def finished(self) -> None:
        """Return when nothing runs in any of them."""
        await asyncio.gather(self._elsewhere.finished(), *(mount.handler.finished() for mount in self._mounts))

    async def shutdown(self) -> None:
        """End those that have started, beginning with the last one; one that hangs takes no time from the others."""
        started, self._started = self._started, []
        await asyncio.gather(self._elsewhere.shutdown(), *(_end(mount) for mount in reversed(started)))

    def stuck(self, now: float) -> str | None:
        """A mount that can serve nothing any more is reason enough for a new worker."""
        for mount in self._mounts:
            why = mount.handler.stuck(now)
            if why is not None:
                return f"mount {mount.prefix}: {why}"
        return None


async def _end(mount: Mounted) -> None:
    try:
        await mount.handler.shutdown()
    except Exception:
        log.exception("a mount did not shut down", extra={"fields": {"mount": mount.prefix}})
