"""JSON objects, one a line: how our own processes talk over stream sockets.

``hornbeamctl`` starts with this, so it imports no more than ``json``.
"""

from __future__ import annotations

import json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any


class Malformed(ValueError):
    """What has come is no message; the text says why."""


def encode(message: Mapping[str, object]) -> bytes:
    """A message as a line."""
    return json.dumps(message, separators=(",", ":")).encode() + b"\n"


def decode(line: bytes) -> dict[str, Any]:
    """The message of a line. Raises Malformed."""
    try:
        message = json.loads(line)
    except (ValueError, RecursionError):
        raise Malformed("that is no JSON") from None
    if not isinstance(message, dict):
        raise Malformed("that is no JSON object")
    return message


class Lines:
    """Puts lines together from the pieces of a stream. One may have *longest* bytes, if that is not 0."""

    def __init__(self, longest: int = 0) -> None:
        self._longest = longest
        self._pieces: list[bytes] = []
        self._size = 0

    def feed(self, data: bytes) -> list[bytes]:
        """The lines that *data* completes. Raises Malformed when one is too long, complete or not."""
        first, *others = data.split(b"\n")
        lines = []
        self._add(first)
        for piece in others:
            lines.append(b"".join(self._pieces))
            self._pieces, self._size = [], 0
            self._add(piece)
        return lines

    def _add(self, piece: bytes) -> None:
        self._pieces.append(piece)
        self._size += len(piece)
        if self._longest and self._size > self._longest:
            raise Malformed(f"a line may have {self._longest} bytes")
