"""What applications that come from a Python inside Erlang import as ``erlang``.

In the server ``import erlang`` gives this module, unless a package of that name is installed; anywhere else
``from hornbeam_erlang import erlang`` does. Its state is that of ``hornbeam_erlang``.

Functions that are registered in any process of the server are attributes: ``erlang.resize(image)`` is
``erlang.call("resize", image)``. They may be registered later and elsewhere, so any name that does not begin with an
underscore is one; calling what nobody has registered raises NotRegistered, which here is an AttributeError, too.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import hornbeam_erlang
from hornbeam_erlang import aio
from hornbeamd.errors import NotRegistered
from hornbeamd.node import current

MOST_ATOMS = 10_000
LONGEST_ATOM = 255
"""In bytes of UTF-8."""


class UnknownFunction(NotRegistered, AttributeError):
    """Nobody has registered a function of that name."""


@dataclass(frozen=True, slots=True)
class Atom:
    """A name that stands for itself; made by :func:`atom`. Where it is sent or stored it becomes text."""

    name: str

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True, slots=True)
class Pid:
    """Who takes what is sent to it: a function that is registered in some process of the server."""

    name: str


_atoms: dict[str, Atom] = {}


def atom(name: str) -> Atom:
    """The atom *name*, always the same one.

    Raises ValueError when it has more than 255 bytes, RuntimeError when there are 10,000 others: as in Erlang they are
    never removed.
    """
    found = _atoms.get(name)
    if found is not None:
        return found
    if not isinstance(name, str):
        raise TypeError(f"an atom is made of text, not {type(name).__name__}")
    if len(name.encode()) > LONGEST_ATOM:
        raise ValueError(f"an atom has at most {LONGEST_ATOM} bytes")
    if len(_atoms) >= MOST_ATOMS:
        raise RuntimeError(f"there are {MOST_ATOMS} atoms already")
    return _atoms.setdefault(name, Atom(name))


def state_get(key: Any) -> Any:
    """The value of *key*; None where there is none."""
    return hornbeam_erlang.state_get(_term(key))


def state_set(key: Any, value: Any) -> None:
    """Store *value*."""
    hornbeam_erlang.state_set(_term(key), _term(value))


def state_delete(key: Any) -> None:
    """Remove *key*, if it is there."""
    hornbeam_erlang.state_delete(_term(key))


def state_keys() -> list[Any]:
    """All keys."""
    return hornbeam_erlang.state_keys()


def state_clear() -> None:
    """Remove all keys."""
    hornbeam_erlang.state_clear()


def state_incr(key: Any, delta: int = 1) -> int:
    """Add *delta* atomically and give the sum. Raises TypeError when either is no integer."""
    return hornbeam_erlang.state_incr(_term(key), delta)


def state_decr(key: Any, delta: int = 1) -> int:
    """Subtract *delta*; as :func:`state_incr`."""
    return hornbeam_erlang.state_decr(_term(key), delta)


def call(name: str, *args: Any) -> Any:
    """The result of the function registered as *name*. Raises CallError."""
    try:
        return hornbeam_erlang.call(_name(name), *map(_term, args))
    except NotRegistered as error:
        raise UnknownFunction(error.text) from None


def cast(name: str, *args: Any) -> None:
    """Have the function registered as *name* called, and do not wait; nothing happens when there is none."""
    hornbeam_erlang.cast(_name(name), *map(_term, args))


async def async_call(name: str, *args: Any) -> Any:
    """As :func:`call`, for coroutines."""
    try:
        return await aio.call(_name(name), *map(_term, args))
    except NotRegistered as error:
        raise UnknownFunction(error.text) from None


def whereis(name: str | Atom) -> Pid | None:
    """Who takes what is sent to the function *name*; None when nobody has registered it."""
    name = _name(name)
    return Pid(name) if current().offered(name) else None


def send(pid: Pid, term: Any) -> None:
    """Have the function behind *pid* called with *term*, and do not wait."""
    if not isinstance(pid, Pid):
        raise TypeError(f"what is sent goes to a Pid, as whereis() gives it, not to {type(pid).__name__}")
    cast(pid.name, term)


def __getattr__(name: str) -> Callable[..., Any]:
    if name.startswith("_"):
        raise AttributeError(f"module 'erlang' has no attribute {name!r}")

    def function(*args: Any) -> Any:
        return call(name, *args)

    function.__name__ = function.__qualname__ = name
    function.__doc__ = f"Call the function that is registered as {name!r}."
    return function


def _name(name: str | Atom) -> str:
    return name.name if isinstance(name, Atom) else name


def _term(value: Any) -> Any:
    """*value* with its atoms as text."""
    if not _atoms:
        return value
    kind = type(value)
    if kind is Atom:
        return value.name
    if kind in (list, tuple, set, frozenset):
        return kind(map(_term, value))
    if kind is dict:
        return {_term(key): _term(item) for key, item in value.items()}
    return value
