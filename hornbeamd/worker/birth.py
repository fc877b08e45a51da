"""What a process is born with."""

from __future__ import annotations

import socket
import ssl
from dataclasses import dataclass

from hornbeamd.apps.site import Site
from hornbeamd.config.options import Options
from hornbeamd.node.place import Place
from hornbeamd.worker.scoreboard import Scoreboard


@dataclass(frozen=True, slots=True)
class Birth:
    """What a worker is born with: ``tls`` where TLS is spoken, ``site`` where the spawner has preloaded it.

    ``pool`` is the name of the one that it is a process of, "" for a web worker. A ``trial`` only shows that the
    application can be loaded and started up.
    """

    pool: str
    number: int
    generation: int
    options: Options
    channel: socket.socket
    stacks: int
    listeners: list[socket.socket]
    tls: ssl.SSLContext | None
    board: Scoreboard
    place: Place
    site: Site | None
    trial: bool
