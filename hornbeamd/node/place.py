"""Where the processes of one daemon meet."""

from __future__ import annotations

import os
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Place:
    """The folders of one daemon; ``supervisor/runtime.py`` makes them.

    ``directory`` is private to the daemon and goes with it; ``state`` is the folder of the state, maybe elsewhere.
    """

    directory: str
    state: str

    @property
    def hub(self) -> str:
        """The Unix socket at which the hub listens."""
        return os.path.join(self.directory, "hub")

    @property
    def cache(self) -> str:
        """The folder of the cache of ``hornbeam_ml``."""
        return os.path.join(self.directory, "cache")
