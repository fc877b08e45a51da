"""Terms: the values that a store keeps and a message carries, as bytes.

None, bool, int, float, str, bytes, list, tuple, dict, set, frozenset, datetime and numpy arrays, nested. They come back
equal and of exactly the same type; anything else, subclasses included, raises TypeError. Bytes from anywhere are safe
to read: nothing is pickled, and no code but this runs.

The format is MessagePack, with an extension type for each thing that it has no word for. ormsgpack, left alone, takes
more than it gives back: bytearrays become bytes, and dict keys lose their type. So it is trusted with what is plain,
and where something may not be, the value is spelled out here, item by item (:class:`_Spelling`).
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from datetime import datetime, timedelta, timezone, tzinfo
from typing import Any, Final
from zoneinfo import ZoneInfo

import ormsgpack
from ormsgpack import Ext, packb, unpackb

DEPTH: Final = 100
"""How many containers may be inside each other, whatever they are."""

SHORT_INTEGERS: Final = frozenset((*range(0x80), *range(0xCC, 0xD4), *range(0xE0, 0x100)))
"""What a packed integer begins with, if it has at most 64 bits."""

_TUPLE, _SET, _FROZENSET, _DICT, _INT, _TEXT, _DATETIME, _ARRAY = range(1, 9)

_PLAIN: Final = frozenset({type(None), bool, int, float, str, bytes})

_OPTIONS: Final = (
    ormsgpack.OPT_PASSTHROUGH_BIG_INT
    | ormsgpack.OPT_PASSTHROUGH_DATACLASS
    | ormsgpack.OPT_PASSTHROUGH_DATETIME
    | ormsgpack.OPT_PASSTHROUGH_ENUM
    | ormsgpack.OPT_PASSTHROUGH_SUBCLASS
    | ormsgpack.OPT_PASSTHROUGH_TUPLE
    | ormsgpack.OPT_PASSTHROUGH_UUID
)


def pack(value: Any) -> bytes:
    """*value* as bytes. Raises TypeError, which names the type, on what is no term; ValueError when it is too deep."""
    try:
        data = packb(value, _extension, _OPTIONS)
    except TypeError:
        data = b""
    # Where there may be bytes there may be a bytearray, which ormsgpack takes for the same.
    if not data or ((0xC4 in data or 0xC5 in data or 0xC6 in data) and not _is_plain(value)):
        return packb(_AS_IT_IS.spell(value, 0))
    return data


def _is_plain(value: Any) -> bool:
    """Whether *value*, of which long vectors are the reason to ask, holds none but the types that ormsgpack keeps."""
    kind = type(value)
    if kind is dict:
        return all(map(_is_plain, value.values()))
    if kind is list or kind is tuple:
        return _PLAIN.issuperset(map(type, value)) or all(map(_is_plain, value))
    return kind in _PLAIN or _is_array(kind)


def _is_array(kind: type) -> bool:
    numpy = sys.modules.get("numpy")
    return numpy is not None and kind is numpy.ndarray


def canonical(value: Any) -> bytes:
    """*value* as bytes that are the same for equal values of the same type: dicts and sets in one order, 0.0 for -0.0.

    They can be unpacked. Raises as :func:`pack` does.
    """
    return packb(_CANONICAL.spell(value, 0))


def unpack(data: bytes) -> Any:
    """The value that was packed. Raises ValueError when *data* is not what :func:`pack` gives.

    What is behind the term is not looked at: that would take as long again.
    """
    return unpackb(data, ext_hook=_revive)


def _extension(value: Any) -> Ext:
    """What is no MessagePack but holds nothing that is not; whatever else there is, :class:`_Spelling` finds."""
    kind = type(value)
    if kind is tuple:
        return Ext(_TUPLE, packb(list(value), None, _OPTIONS))
    if kind is set:
        return Ext(_SET, packb(list(value), None, _OPTIONS))
    return _AS_IT_IS.spell(value, 0)  # type: ignore[no-any-return]


class _Spelling:
    """Makes of a term something that ormsgpack packs without loss."""

    def __init__(self, canonical: bool) -> None:
        self._canonical = canonical
        self._spell: dict[type, Callable[[Any, int], Any]] = {
            int: self._int,
            float: self._float,
            str: self._text,
            list: self._list,
            tuple: self._tuple,
            dict: self._dict,
            set: self._set,
            frozenset: self._frozenset,
            datetime: self._datetime,
        }

    def spell(self, value: Any, depth: int) -> Any:
        """*value* in what MessagePack has and extensions; *depth* containers are around it."""
        kind = type(value)
        if value is None or kind is bool or kind is bytes:
            return value
        spell = self._spell.get(kind)
        if spell is not None:
            return spell(value, depth)
        if _is_array(kind):
            return Ext(_ARRAY, _array(value))
        raise TypeError(f"{_name(kind)} is no term: it cannot be stored or sent")

    def _items(self, values: Any, depth: int) -> list[Any]:
        if depth == DEPTH:
            raise ValueError(f"more than {DEPTH} containers inside each other, or one inside itself")
        spell = self.spell
        return [spell(value, depth + 1) for value in values]

    def _int(self, value: int, depth: int) -> Any:
        if -(2**63) <= value < 2**64:
            return value
        return Ext(_INT, value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True))

    def _float(self, value: float, depth: int) -> float:
        return value + 0.0 if self._canonical else value

    def _text(self, value: str, depth: int) -> Any:
        try:
            value.encode()
        except UnicodeEncodeError:
            return Ext(_TEXT, value.encode("utf-8", "surrogatepass"))
        return value

    def _list(self, value: list[Any], depth: int) -> list[Any]:
        return self._items(value, depth)

    def _tuple(self, value: tuple[Any, ...], depth: int) -> Ext:
        return Ext(_TUPLE, packb(self._items(value, depth)))

    def _set(self, value: set[Any], depth: int) -> Ext:
        return Ext(_SET, self._members(value, depth))

    def _frozenset(self, value: frozenset[Any], depth: int) -> Ext:
        return Ext(_FROZENSET, self._members(value, depth))

    def _members(self, values: set[Any] | frozenset[Any], depth: int) -> bytes:
        members = self._items(values, depth)
        if self._canonical:
            members.sort(key=packb)
        return packb(members)

    def _dict(self, value: dict[Any, Any], depth: int) -> Any:
        keys, values = self._items(value, depth), self._items(value.values(), depth)
        pairs = list(zip(keys, values, strict=True))
        if self._canonical:
            pairs.sort(key=lambda pair: packb(pair[0]))
        if all(type(key) is str for key in keys):
            return dict(pairs)
        return Ext(_DICT, packb([item for pair in pairs for item in pair]))

    def _datetime(self, value: datetime, depth: int) -> Ext:
        moment = value.replace(tzinfo=None, fold=0).isoformat()
        return Ext(_DATETIME, packb([moment, value.fold, _zone(value.tzinfo)]))


_AS_IT_IS = _Spelling(canonical=False)
_CANONICAL = _Spelling(canonical=True)


_UNCHECKED: Final = 3
"""So many extensions inside each other are read as they are. ormsgpack lets containers be 1024 deep, which takes almost
a MiB of the stack, and begins to count anew in each extension."""


def _reviver(around: int) -> Callable[[int, bytes], Any]:
    """What makes a value of an extension that so many others are around."""

    def revive(code: int, data: bytes) -> Any:
        if code == _INT:
            return int.from_bytes(data, "little", signed=True)
        if code == _TEXT:
            return data.decode("utf-8", "surrogatepass")
        if around >= _UNCHECKED and around + _depth(data) > DEPTH + 1:
            raise ValueError(f"more than {DEPTH} containers inside each other")
        return _value(code, unpackb(data, ext_hook=_REVIVERS[around + 1]))

    return revive


def _depth(data: bytes) -> int:
    """How many containers are inside each other, those in extensions not counted."""
    depth, containers = 0, [unpackb(data, ext_hook=lambda code, data: None)]
    while containers := [each for each in containers if type(each) in (list, dict)]:
        depth += 1
        containers = [item for each in containers for item in (each.values() if type(each) is dict else each)]
    return depth


def _too_deep(code: int, data: bytes) -> Any:
    raise ValueError(f"more than {DEPTH} containers inside each other")


_REVIVERS: Final = [*(_reviver(around) for around in range(DEPTH + 1)), _too_deep]
_revive: Final = _REVIVERS[0]


def _value(code: int, items: Any) -> Any:
    if type(items) is not list:
        raise ValueError("an extension without its items")
    if code == _TUPLE:
        return tuple(items)
    if code == _SET:
        return set(items)
    if code == _FROZENSET:
        return frozenset(items)
    if code == _DICT:
        return dict(zip(items[::2], items[1::2], strict=True))
    if code == _DATETIME:
        moment, fold, zone = items
        return datetime.fromisoformat(moment).replace(fold=fold, tzinfo=_zone_again(zone))
    if code == _ARRAY:
        return _array_again(*items)
    raise ValueError(f"an extension of a kind {code} that there is not")


# --- time zones ---


def _zone(zone: tzinfo | None) -> Any:
    """None, the name of a zone, or the offset of a fixed one in microseconds with the name that it may have."""
    if zone is None:
        return None
    if type(zone) is ZoneInfo and zone.key is not None:
        return zone.key
    if type(zone) is timezone:
        offset, *name = zone.__getinitargs__()  # type: ignore[attr-defined]
        return [offset // timedelta(microseconds=1), *name]
    raise TypeError(f"a datetime whose time zone is of the type {_name(type(zone))} is no term")


def _zone_again(zone: Any) -> tzinfo | None:
    if zone is None:
        return None
    if type(zone) is str:
        return ZoneInfo(zone)
    offset, *name = zone
    return timezone(timedelta(microseconds=offset), *name)


# --- arrays: numpy is looked at where it is loaded, and imported where an array is read ---


def _array(array: Any) -> bytes:
    description = _description(array.dtype)
    return packb([description, list(array.shape), array.tobytes()])


def _description(dtype: Any) -> Any:
    """What makes the same dtype again: its name; for fields a dict of what they are; for an array in one, a list."""
    if dtype.names is not None:
        fields = [dtype.fields[name] for name in dtype.names]
        description: Any = {
            "names": list(dtype.names),
            "formats": [_description(field[0]) for field in fields],
            "offsets": [field[1] for field in fields],
            "itemsize": dtype.itemsize,
            "aligned": dtype.isalignedstruct,
        }
    elif dtype.subdtype is not None:
        base, shape = dtype.subdtype
        description = [_description(base), list(shape)]
    else:
        description = dtype.str
    # References would be addresses; dtypes of other libraries call themselves a mere number of bytes.
    if dtype.hasobject or _dtype(description) != dtype:
        raise TypeError(f"a numpy array of {dtype} is no term")
    return description


def _dtype(description: Any) -> Any:
    import numpy

    dtype: Any = numpy.dtype
    if type(description) is dict:
        return dtype({**description, "formats": [_dtype(part) for part in description["formats"]]})
    if type(description) is list:
        base, shape = description
        return dtype((_dtype(base), tuple(shape)))
    return dtype(description)


def _array_again(description: Any, shape: Any, data: bytes) -> Any:
    import numpy

    dtype = _dtype(description)
    if dtype.hasobject:
        raise ValueError("an array of objects")
    array = numpy.ndarray(tuple(shape), dtype, data).copy()
    if array.nbytes != len(data):
        raise ValueError("an array of another size than its shape says")
    return array


def _name(kind: type) -> str:
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
