"""Which topics WebSockets join by their path: the tables of the option ``websocket_topics``."""

from __future__ import annotations

import re
from dataclasses import dataclass

from hornbeamd.config.kinds import Matching
from hornbeamd.config.tables import key

_NAME = r"\{[A-Za-z_]\w*\}"
_PATH = re.compile(rf"/|(/({_NAME}|[^/?#%\\{{}}]+))+")
_TOPIC = re.compile(rf"({_NAME}|[^{{}}*])+")

NAMES = re.compile(r"\{(\w+)\}")
"""Finds the names in a path or topic."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WebSocketTopic:
    """A table of ``websocket_topics``."""

    path: str = key(
        Matching('a path such as "/chat/{room}"', _PATH),
        "The path of the WebSocket; a name in braces stands for a segment of it.",
    )
    topic: str = key(
        Matching('a topic such as "chat:{room}"', _TOPIC),
        """The topic that it joins. Names in braces are those of the path, and stand for its decoded segments.
One that contains a colon or a star joins nothing.""",
    )
