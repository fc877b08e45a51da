"""Under which key a result is kept: what was computed, told by what it is and not by where it lies in memory.

A key is a digest of the prefix and a digest of the rest, so all are of one length, and those of a prefix are next to
each other. What goes into a digest are packed terms, which can be unpacked again: two different things never look
alike, and ``1``, ``True``, ``1.0`` and ``"1"`` are four inputs.
"""

from __future__ import annotations

import struct
import sys
import weakref
from collections.abc import Callable, Iterable
from datetime import datetime
from functools import lru_cache, partial
from hashlib import blake2b
from types import BuiltinFunctionType, CodeType, FunctionType, MethodType, ModuleType
from typing import Any

from hornbeam_ml._batched import Batched
from hornbeamd.node import canonical, current, pack

_RAW = b"\xc1"
"""No MessagePack begins like this: long vectors are taken as they are, for the time that it saves."""

_SCALARS = frozenset({type(None), bool, int, float, str, bytes})
_TERMS = _SCALARS | {dict, set, frozenset, datetime}


def key_of(fn: Callable[..., Any], input: Any, cache_key: Any, prefix: str) -> bytes:
    """The key of ``fn(input)``, or of *cache_key* unless that is None. Raises TypeError where there is none."""
    if cache_key is not None:
        told = b"key" + _term(cache_key, "this cache_key")
    else:
        told = b"fn" + _Teller(prefix).function(fn) + _term(input, "this input")
    return prefix_of(prefix) + blake2b(told, digest_size=32).digest()


@lru_cache(1024)
def prefix_of(prefix: str) -> bytes:
    """What the keys of *prefix* begin with."""
    if not isinstance(prefix, str):
        raise TypeError(f"a prefix is text, not {type(prefix).__name__}")
    return blake2b(prefix.encode("utf-8", "surrogatepass"), digest_size=16).digest()


def _term(value: Any, what: str) -> bytes:
    """A term as bytes that are the same for equal terms of the same type, dicts in any order."""
    kind = type(value)
    try:
        if kind in _SCALARS:
            return pack(value)
        if kind is list and set(map(type, value)) == {float}:
            return _RAW + b"l" + struct.pack(f"<q{len(value)}d", len(value), *value)
        if _is_array(kind) and value.dtype.kind in "biufcmMSU":
            return _RAW + b"a" + pack([value.dtype.str, *value.shape]) + bytes(value.tobytes())
        told = canonical(value)
    except (TypeError, ValueError) as error:
        raise TypeError(f"{what} cannot be told by its value ({error}): give a cache_key that stands for it") from error
    return told


def _is_array(kind: type) -> bool:
    numpy = sys.modules.get("numpy")
    return numpy is not None and kind is numpy.ndarray


Where = tuple[str, bytes]
"""The prefix of a key, and whose part a thing is: only things of one place could be taken for each other."""

_seen: dict[tuple[int, Where], tuple[weakref.ref[Any], bytes]] = {}
"""By the id of a function or an object, and where it was seen: what was told of it."""


def _once(thing: Any, where: Where, tell: Callable[[Any], bytes]) -> bytes:
    """What *tell* says of *thing* when it is first seen.

    Later it may carry other values: a list that it adds to, an attribute in which it counts. It is the same to us.
    """
    at = id(thing), where
    seen = _seen.get(at)
    if seen is not None and seen[0]() is thing:
        return seen[1]
    told = tell(thing)
    try:
        _seen[at] = weakref.ref(thing, lambda _: _seen.pop(at, None)), told
    except TypeError:  # no weak references to things of its class
        pass
    return told


class _Teller:
    """Tells functions and what they carry along, as packed lists. *prefix* is that of the key."""

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self._inside: list[FunctionType] = []

    def function(self, fn: Any) -> bytes:
        """Where *fn* was defined, what its code does, whose it is, and what it carries along."""
        if type(fn) is FunctionType:
            return _once(fn, (self._prefix, b""), self._plain)
        if type(fn) is MethodType:
            told = self.function(fn.__func__)
            return pack(["method", told, self._thing(fn.__self__, told)])
        if type(fn) is BuiltinFunctionType:
            told = pack(["builtin", fn.__module__, fn.__qualname__])
            return told + self._thing(fn.__self__, told)
        if type(fn) is partial:
            told = self.function(fn.func)
            return pack(["partial", told, self._things([*fn.args, *sorted(fn.keywords.items())], told)])
        wrapped = None if isinstance(fn, type) else getattr(fn, "__wrapped__", None)
        if wrapped is not None:
            return pack(["wrapper", _name(type(fn)), self.function(wrapped)])
        return pack(["callable", self._thing(fn, b"")])

    def _plain(self, fn: FunctionType) -> bytes:
        told = pack([fn.__module__, fn.__qualname__, _code(fn.__code__)])
        if fn in self._inside or not (fn.__closure__ or fn.__defaults__ or fn.__kwdefaults__):
            return told
        self._inside.append(fn)  # it may carry itself along
        carried = [_contents(cell) for cell in fn.__closure__ or ()]
        carried += [fn.__defaults__, sorted((fn.__kwdefaults__ or {}).items())]
        things = self._things(carried, told)
        self._inside.pop()
        return told + pack(things)

    def _things(self, things: Iterable[Any], whose: bytes) -> list[bytes]:
        return [self._thing(thing, whose + bytes([at % 256])) for at, thing in enumerate(things)]

    def _thing(self, thing: Any, whose: bytes) -> bytes:
        """A term by its value, functions and classes by what they are, any other object as :func:`_object` has it."""
        kind = type(thing)
        if kind in (FunctionType, MethodType, BuiltinFunctionType, partial):
            return pack(["function", self.function(thing)])
        if isinstance(thing, type):
            return pack(["class", _name(thing)])
        if kind is ModuleType:
            return pack(["module", thing.__name__])
        if kind in (list, tuple):
            return pack([kind.__name__, self._things(thing, whose)])
        if kind in _TERMS or _is_array(kind):
            try:
                return pack(["term", canonical(thing)])
            except (TypeError, ValueError):  # there is something in it that is none
                pass
        return pack(["object", _name(kind), _object(thing, (self._prefix, whose))])


def _contents(cell: Any) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # nothing has been assigned yet
        return None


def _name(kind: type) -> str:
    return f"{kind.__module__}.{kind.__qualname__}"


# --- objects ---


class _Plain:
    """An object of a class like this one has nothing but its attributes: nothing in slots, nothing in C."""


_first: weakref.WeakKeyDictionary[type, dict[tuple[Where, bytes, int], weakref.ref[Any]]] = weakref.WeakKeyDictionary()
"""Of each class the objects of which not all is told, by where they are, what is told, and whose code has them."""


def _object(thing: Any, where: Where) -> bytes:
    """What tells *thing* from other objects of its class: what it says itself, or its attributes, if they are terms.

    There may be more in it, such as the weights of a model. Then another one of which the same is told must not pass
    for it: TypeError.
    """
    told = getattr(thing, "cache_identity", None)
    if told is not None:
        return _term(told, "this cache_identity")
    return _once(thing, where, partial(_attributes, where))


def _attributes(where: Where, thing: Any) -> bytes:
    kind = type(thing)
    terms, complete = [], kind.__basicsize__ == _Plain.__basicsize__
    for name, value in sorted(getattr(thing, "__dict__", {}).items()):
        if type(value) is Batched:  # a method, which keeps its queue there
            continue
        try:
            terms += [name, canonical(value)]
        except (TypeError, ValueError):
            complete = False
    told = blake2b(pack(terms), digest_size=16).digest()
    if not complete:
        _only_one(thing, where, told)
    return told


def _only_one(thing: Any, where: Where, told: bytes) -> None:
    """Raise TypeError when another object of the class, of which the same was told, is in use at the same place."""
    # A reload in place makes the objects of the new code beside those of the old: they may well be the same model.
    generation = current().generations.acting().number
    firsts, at = _first.setdefault(type(thing), {}), (where, told, generation)
    try:
        this = weakref.ref(thing, lambda gone: firsts.pop(at, None) if firsts.get(at) is gone else None)
    except TypeError:  # no weak references to things of its class
        return
    first = firsts.setdefault(at, this)()
    if first is None:
        firsts[at] = this
    elif first is not thing:
        raise TypeError(
            f"nothing tells this {_name(type(thing))} from another one that is in use: give each a cache_prefix of its "
            "own, or an attribute cache_identity; or give a cache_key"
        )


# --- code ---

_codes: dict[int, tuple[CodeType, bytes]] = {}
"""Digests by the id of the code; the code is kept along, so that its id remains its own."""


def _code(code: CodeType) -> bytes:
    """A digest of what *code* does: a function that was changed, with its name the same, is another one."""
    known = _codes.get(id(code))
    if known is not None:
        return known[1]
    constants = [_constant(constant) for constant in code.co_consts]
    digest = blake2b(pack([code.co_code, constants, list(code.co_names)]), digest_size=16).digest()
    if len(_codes) >= 4096:
        _codes.clear()
    _codes[id(code)] = code, digest
    return digest


def _constant(constant: Any) -> bytes:
    if isinstance(constant, CodeType):
        return _code(constant)
    if isinstance(constant, frozenset):  # whose order depends on the process
        return b" ".join(sorted(_constant(item) for item in constant))
    return repr(constant).encode("utf-8", "surrogatepass")
