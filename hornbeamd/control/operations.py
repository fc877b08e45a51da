"""What the commands of ``hornbeamctl`` can ask of the daemon: the seam between the table and whoever carries it out.

A method for each command that the daemon answers; ``commands.py`` names it in its row. All give a plain dict that
JSON can hold, with the keys that the row promises. They raise ControlError when a command cannot be carried out: its
text is what the operator reads, and says what to do next.

They run in the supervisor's event loop. Whoever asked may go away meanwhile: what only looks is cancelled by that, and
what changes something ends as it would have.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

Plain = dict[str, Any]

Progress = Callable[[Plain], None]
"""Tells how far a long command is, in a dict such as ``{"pool": "", "worker": 1, "pid": 4711, "result": "prepared",
"ms": 120}``. Never waits, never raises, and may be called at any time until the command has ended."""


class Operations(Protocol):
    """The daemon, as an operator sees it. A worker is named "3", a process of a pool "embeddings/1"."""

    async def status(self) -> Plain:
        """How the server is, on one screen: since when it runs, what serves, how the last reload went."""

    async def workers(self) -> Plain:
        """Every worker and every process of a pool, with what it does."""

    async def reload(self, progress: Progress, *, every: bool) -> Plain:
        """Reload code and configuration; ``every`` module, not only what changed. An ``Outcome``, as plain types.

        While one reload runs a second joins it. Being refused is an outcome, too, and raises nothing.
        """

    async def restart(self, progress: Progress) -> Plain:
        """Replace all processes, whatever has changed. An ``Outcome``, as plain types."""

    async def upgrade(self) -> Plain:
        """Replace the daemon itself, its sockets handed over."""

    async def stop(self, *, at_once: bool) -> Plain:
        """Begin the end of the daemon, drained or at once; returns when it has begun."""

    async def scale(self, *, number: str) -> Plain:
        """Want so many web workers ("4"), so many more ("+1") or fewer ("-1"), until the next reload."""

    async def recycle(self, *, process: str) -> Plain:
        """Replace one process; the new one is ready before the old one drains."""

    async def stacks(self, *, process: str) -> Plain:
        """The stacks of all threads and tasks of one process, also of one whose event loop is blocked."""

    async def configuration(self) -> Plain:
        """Each option: its value, its default, where it comes from, and how a change applies."""

    async def configuration_diff(self) -> Plain:
        """What a reload would change, and how; or what is wrong with the configuration."""

    async def state_get(self, *, key: str) -> Plain:
        """The value of a key that is text."""

    async def state_set(self, *, key: str, value: str, ttl: float | None) -> Plain:
        """Store a value: what is JSON as what it stands for, anything else as text. ``ttl`` is in seconds."""

    async def state_delete(self, *, key: str) -> Plain:
        """Remove an entry, if there is one."""

    async def state_keys(self, *, prefix: str, limit: int) -> Plain:
        """The keys that begin with ``prefix``, at most ``limit``."""

    async def state_size(self) -> Plain:
        """How many entries there are, and how much room they take."""

    async def topics(self) -> Plain:
        """Who subscribes to what, and who missed how many messages."""

    async def pools(self) -> Plain:
        """The pools of processes, and the calls that they have in hand and that wait."""

    async def log_level(self, *, level: str | None) -> Plain:
        """The level of the event log; with ``level`` that one in all processes, until the next reload."""

    async def version(self) -> Plain:
        """Who this daemon is: enough to tell it from others."""

    async def wait_ready(self, *, timeout: float) -> Plain:
        """Return when requests are answered. Raises ControlError after ``timeout`` seconds."""
