"""Section ``hornbeam.state``."""

from __future__ import annotations

from dataclasses import dataclass

from hornbeamd.config.amounts import Duration, Size
from hornbeamd.config.declare import Apply, option
from hornbeamd.config.kinds import Maybe, Path

RESTART = Apply.RESTART


@dataclass(frozen=True, slots=True, kw_only=True)
class StateOptions:
    """Section ``hornbeam.state``: what all workers share."""

    path: str | None = option(
        None,
        Maybe(Path("the path of a folder")),
        RESTART,
        """A folder in which the state survives a restart of the daemon; in shared memory, and gone with it, when empty.
The folder is made when it is missing; the one that holds it must exist.""",
    )
    max_size: int = option(
        256 * 1024 * 1024,
        Size(low=1024 * 1024),
        RESTART,
        """How large the state may become: a ceiling, not an allocation. At it storing raises StateFull.
Nothing that is stored is lost by that.
On a small file system, as the shared memory of a container often is (64 MB), it is three quarters of that.""",
    )
    sync_interval: float = option(
        1.0,
        Duration("s", low=0.1),
        RESTART,
        """With a path: how often the state is written through to the disk.
What is younger is lost when the machine goes down; the end of any process, also of the daemon, loses nothing.""",
    )
    cache_size: int = option(
        64 * 1024 * 1024,
        Size(low=1024 * 1024),
        RESTART,
        """How large the cache of hornbeam_ml may become, in shared memory; the least recently used goes first.""",
    )
