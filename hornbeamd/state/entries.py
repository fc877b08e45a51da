"""What is stored under a name: the packed value, and in front of it what only some entries have.

No packed term begins with 0xC1, which MessagePack leaves unused. So an entry without an end and with a short key, as
most are, is its packed value and nothing else.
"""

from __future__ import annotations

import math
from struct import Struct
from typing import Any, Final

MARK: Final = 0xC1
_HEAD: Final = Struct(">BQI")  # the mark, the end, the size of the key


def entry(packed: bytes, end: int = 0, whole: bytes = b"") -> bytes:
    """An entry that is over at *end*, in ms since the epoch, or never with 0; *whole* is a name that was shortened."""
    if end or whole:
        return _HEAD.pack(MARK, end, len(whole)) + whole + packed
    return packed


def parts(stored: Any) -> tuple[Any, int, bytes]:
    """The packed value, the end and the full name in *stored*: bytes, or a memoryview of them."""
    if stored[0] != MARK:
        return stored, 0, b""
    _, end, size = _HEAD.unpack_from(stored)
    start = _HEAD.size + size
    return stored[start:], end, bytes(stored[_HEAD.size : start])


def end_of(stored: Any) -> int:
    """When it is over, in ms since the epoch; 0 for never."""
    return _HEAD.unpack_from(stored)[1] if stored[0] == MARK else 0


def end_after(ttl: float | None, now: float) -> int:
    """When an entry is over that is stored *now*, in seconds since the epoch; 0 for never.

    Raises TypeError when *ttl* is no number, and ValueError when it is none of seconds to come.
    """
    if ttl is None:
        return 0
    if isinstance(ttl, bool) or not isinstance(ttl, int | float):
        raise TypeError(f"a ttl is a number of seconds, not {type(ttl).__name__}")
    if not 0 < ttl < 1e12:
        raise ValueError(f"a ttl of {ttl} seconds: it must be more than 0, and there is none for ever")
    return math.ceil((now + ttl) * 1000)
