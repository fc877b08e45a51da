"""The state: terms by key, shared by all processes of the server."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from hornbeamd.node import current


def state_get(key: Any, default: Any = None) -> Any:
    """The value of *key*, a copy; *default* where there is none."""
    return current().store.get(key, default)


def state_set(key: Any, value: Any, ttl: float | None = None) -> None:
    """Store *value*, for *ttl* seconds or for good.

    Raises TypeError, which names the type, when key or value is no term; StateFull when there is no room.
    """
    current().store.set(key, value, ttl)


def state_delete(key: Any) -> None:
    """Remove *key*, if it is there."""
    current().store.delete(key)


def state_incr(key: Any, delta: int = 1) -> int:
    """Add *delta* atomically and give the sum; what is not there counts as 0.

    Raises TypeError, and changes nothing, when *delta* or the value is no integer.
    """
    return current().store.incr(key, delta)


def state_decr(key: Any, delta: int = 1) -> int:
    """Subtract *delta*; as :func:`state_incr`."""
    if isinstance(delta, bool) or not isinstance(delta, int):
        raise TypeError(f"a delta is an integer, not {type(delta).__name__}")
    return current().store.incr(key, -delta)


def state_get_multi(keys: Iterable[Any]) -> dict[Any, Any]:
    """The values of all *keys* as of one moment, None for those that are not there."""
    return current().store.get_multi(keys)


def state_set_multi(mapping: Mapping[Any, Any], ttl: float | None = None) -> None:
    """Store all of *mapping*, or, when anything is wrong with any of it, nothing."""
    current().store.set_multi(mapping, ttl)


def state_keys(prefix: str | None = None) -> list[Any]:
    """All keys; with a *prefix* those that are text and begin with it."""
    return current().store.keys(prefix)


def state_put_new(key: Any, value: Any, ttl: float | None = None) -> bool:
    """Store *value* unless there is one; whether it was stored."""
    return current().store.put_new(key, value, ttl)


def state_compare_and_set(key: Any, old: Any, new: Any, ttl: float | None = None) -> bool:
    """Store *new* if the value is equal to *old* and of the same type; whether it was stored.

    None for *old* also stands for no value.
    """
    return current().store.compare_and_set(key, old, new, ttl)


def state_update(key: Any, fun: Callable[[Any], Any], default: Any = None) -> Any:
    """Store what *fun* makes of the value (of *default* where there is none), atomically, and give it.

    *fun* is called again when somebody else was faster, so it should do nothing else.
    """
    return current().store.update(key, fun, default)


def state_clear() -> None:
    """Remove all keys."""
    current().store.clear()


def state_size() -> int:
    """How many keys there are."""
    return current().store.size()
