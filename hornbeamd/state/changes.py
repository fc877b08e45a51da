"""What the operations on one value mean, on packed values; the same for every engine. None is no entry."""

from __future__ import annotations

from typing import Any

from hornbeamd.state.terms import canonical, pack, unpack


def summed(packed: bytes | None, delta: int) -> int:
    """The integer in *packed* and *delta* together. Raises TypeError when either is none."""
    if type(delta) is not int:
        raise TypeError(f"delta is an integer, not {type(delta).__name__}")
    if packed is None:
        return delta
    value = unpack(packed)
    if type(value) is not int:
        raise TypeError(f"the value is no integer but {type(value).__name__}")
    return value + delta


def holds(packed: bytes | None, value: Any) -> bool:
    """Whether *packed* is equal to *value* and of the same type; None also stands for no entry."""
    if packed is None:
        return value is None
    return packed == pack(value) or canonical(unpack(packed)) == canonical(value)
