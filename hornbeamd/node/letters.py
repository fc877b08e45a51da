"""What goes to the hub, within its limit, and what its refusals mean."""

from __future__ import annotations

from typing import Any

from hornbeamd.errors import CallError, HubGone, NotRegistered
from hornbeamd.hub.wire import ENVELOPE, LENGTH, Kind, Reason, encode
from hornbeamd.node.offers import spoken

PATIENCE = 2.0
"""How long, in seconds, what needs no answer waits for a hub that is not there."""


def letter(limit: int, kind: Kind, *items: Any) -> bytes:
    """A message as a frame. Raises ValueError when it has more than *limit* bytes, not counting an envelope."""
    frame = encode(int(kind), *items)  # a member of an Enum takes three times as long
    if len(frame) - LENGTH > limit + ENVELOPE:
        raise ValueError(
            f"a message of {len(frame) - LENGTH} bytes; {limit} are allowed (max_message_size in [hornbeam.hub])"
        )
    return frame


def refusal(name: str, reason: int, type: str, text: str) -> CallError:
    """The exception that an ERROR stands for."""
    match reason:
        case Reason.RAISED:
            return CallError(text, type)
        case Reason.UNKNOWN:
            return NotRegistered(f"{spoken(name)} is not registered in any process")
        case Reason.GONE:
            return HubGone(f"{spoken(name)}: {text}")
        case _:
            return CallError(f"{spoken(name)}: {text}")
