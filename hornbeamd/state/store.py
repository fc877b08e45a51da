"""What a store can do, whichever engine it has: ``shared.py`` in the server, ``memory.py`` outside it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol


class Store(Protocol):
    """Terms by key, shared by all that open it. Every method is atomic and may be called from any thread.

    Keys and values are terms (terms.py); anything else raises TypeError, which names the type. A value comes back as a
    copy, equal and of the same type. A *ttl* is in seconds, more than 0; an entry whose time is over is not there.
    What does not fit raises StateFull and changes nothing.
    """

    def get(self, key: Any, default: Any = None) -> Any:
        """The value, or *default* where there is none."""

    def set(self, key: Any, value: Any, ttl: float | None = None) -> None:
        """Store *value*; what was there, and its ttl, is gone."""

    def delete(self, key: Any) -> None:
        """Remove the entry, if there is one."""

    def incr(self, key: Any, delta: int = 1) -> int:
        """Add *delta* to an integer and give the sum; no entry counts as 0. An entry keeps its ttl.

        Raises TypeError, and changes nothing, when *delta* or the value is no integer; True is none.
        """

    def get_multi(self, keys: Iterable[Any]) -> dict[Any, Any]:
        """The values of all *keys* as of one moment, None for those that are not there."""

    def set_multi(self, mapping: Mapping[Any, Any], ttl: float | None = None) -> None:
        """Store all of *mapping*, or, when anything is wrong with any of it, nothing."""

    def keys(self, prefix: str | None = None) -> list[Any]:
        """All keys; with a *prefix* those that are text and begin with it."""

    def put_new(self, key: Any, value: Any, ttl: float | None = None) -> bool:
        """Store *value* unless there is an entry; whether it was stored."""

    def compare_and_set(self, key: Any, old: Any, new: Any, ttl: float | None = None) -> bool:
        """Store *new* if the value is equal to *old* and of the same type; None also stands for no entry.

        Whether it was stored.
        """

    def update(self, key: Any, fun: Callable[[Any], Any], default: Any = None) -> Any:
        """Store what *fun* makes of the value (of *default* where there is none), and give it.

        *fun* is called again when somebody else changed the value meanwhile, so it must have no effects of its own.
        An entry keeps its ttl.
        """

    def clear(self) -> None:
        """Remove every entry."""

    def size(self) -> int:
        """How many entries there are."""

    def close(self) -> None:
        """Let go of it; what is stored stays."""
