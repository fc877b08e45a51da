"""What a daemon hands over to the one that takes its place in an upgrade: descriptors, and what belongs to them.

Both may be of different versions, so the form is plain, and what a version does not know it leaves alone.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from hornbeamd.config.options import TABLE, Options
from hornbeamd.config.plan import put
from hornbeamd.errors import SupervisionError
from hornbeamd.worker.channel import Message

FORMAT = 1
"""Is raised when an older version would misunderstand what it is handed."""

VARIABLE = "HORNBEAMD_PREDECESSOR"
"""In the environment of the new daemon: the descriptor of its channel to the old one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Estate:
    """What is handed over.

    ``sockets`` has the listening ones, as ``Listener.plain`` gives them, by what they are for: ``web`` are those of
    ``bind``. ``runtime`` and ``pidfile`` are as ``Runtime.plain`` and ``Pidfile.plain`` give them. ``options`` are
    those that the old daemon runs with, by their keys, as a file would hold them. ``announce`` is the descriptor on
    which the new daemon tells the keeper of its own successor one day; without one there is no keeper, and it is its
    service manager's main process.
    """

    generation: int
    sockets: Mapping[str, list[Message]]
    runtime: Message
    pidfile: Message | None
    options: Mapping[str, Any]
    announce: int | None
    format: int = FORMAT

    @staticmethod
    def of(message: Message) -> Estate:
        """What *message* hands over. Raises SupervisionError when that is more than this version understands."""
        if message["format"] > FORMAT:
            raise SupervisionError(f"hornbeamd {message['version']} hands over what this version does not understand")
        return Estate(**{name: message[name] for name in Estate.__dataclass_fields__})

    def descriptors(self) -> Iterator[int]:
        """Those that the new process must inherit."""
        for sockets in self.sockets.values():
            yield from (each["fd"] for each in sockets)
        yield from (self.runtime["listener"], *self.runtime["locks"])
        if self.pidfile is not None:
            yield self.pidfile["fd"]
        if self.announce is not None:
            yield self.announce


def plain_options(options: Options) -> dict[str, Any]:
    """Options as a message to another version can hold them."""
    return {option.key: option.kind.plain(option.of(options)) for option in TABLE}


def read_options(plain: Mapping[str, Any]) -> Options:
    """What :func:`plain_options` gave, as far as this version understands it."""
    options = Options()
    for option in TABLE:
        if option.key in plain:
            with contextlib.suppress(ValueError):
                options = put(options, option.key, option.kind.read(plain[option.key]))
    return options
