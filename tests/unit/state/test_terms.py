"""Every term comes back equal, and of exactly its type; anything else is refused by name."""

import datetime as dt
import decimal
import enum
import math
import sys
from collections import OrderedDict, namedtuple
from zoneinfo import ZoneInfo

import pytest

from hornbeamd.state.terms import DEPTH, canonical, pack, unpack

Pair = namedtuple("Pair", "a b")


class Color(enum.IntEnum):
    RED = 1


class Text(str):
    pass


def same(left, right):
    """Equal, and of the same types all the way down."""
    if type(left) is not type(right):
        return False
    if isinstance(left, list | tuple):
        return len(left) == len(right) and all(map(same, left, right))
    if isinstance(left, dict):
        return same(list(left.items()), list(right.items()))
    if isinstance(left, set | frozenset):
        return left == right and {(type(item), item) for item in left} == {(type(item), item) for item in right}
    if isinstance(left, float):
        return math.copysign(1, left) == math.copysign(1, right) and (
            left == right or (left != left and right != right)
        )
    if isinstance(left, dt.datetime):
        return left.replace(tzinfo=None) == right.replace(tzinfo=None) and (left.fold, repr(left.tzinfo)) == (
            right.fold,
            repr(right.tzinfo),
        )
    return left == right


def deep(wrap, depth, value=1):
    for _ in range(depth):
        value = wrap(value)
    return value


NEW_YEAR = dt.datetime(2026, 1, 1, 12, 30, 15, 7)

TERMS = {
    "None": None,
    "True": True,
    "False": False,
    "int 0": 0,
    "int negative": -5,
    "int of 63 bits": 2**63 - 1,
    "int of 64 bits": 2**64 - 1,
    "int of 65 bits": 2**64,
    "int, the lowest of 64 bits": -(2**63),
    "int below": -(2**63) - 1,
    "int huge": 7**2000,
    "int huge and negative": -(7**2000),
    "float": 0.1,
    "float 1.0": 1.0,
    "float -0.0": -0.0,
    "float inf": -math.inf,
    "float nan": math.nan,
    "float tiny": 5e-324,
    "str": "text",
    "str empty": "",
    "str of all planes": "aä€😀\0\n",
    "str with lone surrogates": "a\ud800b\udfff",
    "bytes": b"\x00\xff",
    "bytes empty": b"",
    "bytes that are text": b"text",
    "list": [1, "a", None],
    "list empty": [],
    "list of lists": [[], [[]]],
    "list of char codes": [72, 105],
    "tuple": (1, "a"),
    "tuple empty": (),
    "tuple in tuple": ((1, (2, ())), [3]),
    "dict": {"b": 1, "a": {"c": []}},
    "dict empty": {},
    "dict with keys of all types": {
        1: "a",
        2.5: "b",
        None: "c",
        b"x": "d",
        "x": "e",
        (1, (2,)): "f",
        2**70: "g",
        True + 1: "h",
    },
    "dict with True for a key": {True: 1, False: 0},
    "dict with a surrogate for a key": {"\ud800": 1},
    "dict with frozenset and datetime for keys": {frozenset({1}): 1, NEW_YEAR: 2},
    "set": {1, "a", (2,), b"b"},
    "set empty": set(),
    "frozenset": frozenset({1, frozenset({"a"})}),
    "frozenset empty": frozenset(),
    "datetime": NEW_YEAR,
    "datetime, the first": dt.datetime.min,
    "datetime, the last": dt.datetime.max,
    "datetime with fold": NEW_YEAR.replace(fold=1),
    "datetime in UTC": NEW_YEAR.replace(tzinfo=dt.UTC),
    "datetime with an offset": NEW_YEAR.replace(tzinfo=dt.timezone(dt.timedelta(hours=-3, microseconds=5))),
    "datetime with a named offset": NEW_YEAR.replace(tzinfo=dt.timezone(dt.timedelta(hours=1), "CET")),
    "datetime in a zone": dt.datetime(2026, 10, 25, 2, 30, fold=1, tzinfo=ZoneInfo("Europe/Berlin")),
    "all of it in each other": [{"a": ({1: [{(2.0, "b"): {b"c"}}]}, NEW_YEAR, 2**80, frozenset({"\ud800"}))}],
    "deep lists": deep(lambda value: [value], DEPTH),
    "deep tuples": deep(lambda value: (value,), DEPTH),
    "deep dicts": deep(lambda value: {1: value}, DEPTH),
}


@pytest.mark.parametrize("value", TERMS.values(), ids=TERMS)
def test_a_term_comes_back(value):
    assert same(unpack(pack(value)), value)


SHALLOW = {name: value for name, value in TERMS.items() if not name.startswith("deep")}


@pytest.mark.parametrize("value", SHALLOW.values(), ids=SHALLOW)
def test_a_term_comes_back_from_inside_others(value):
    whole = [value, {"key": value}, (value, [value]), {1: value, (2,): (3, value)}]
    assert same(unpack(pack(whole)), whole)


@pytest.mark.parametrize("value", TERMS.values(), ids=TERMS)
def test_the_canonical_form_is_a_packed_term(value):
    assert canonical(unpack(canonical(value))) == canonical(value)


OTHERS = {
    "bool of numpy": lambda: np().True_,
    "IntEnum": lambda: Color.RED,
    "str of another class": lambda: Text("a"),
    "namedtuple": lambda: Pair(1, 2),
    "OrderedDict": lambda: OrderedDict(a=1),
    "bytearray": lambda: bytearray(b"a"),
    "memoryview": lambda: memoryview(b"a"),
    "Decimal": lambda: decimal.Decimal(1),
    "date": lambda: dt.date(2026, 1, 1),
    "timedelta": lambda: dt.timedelta(1),
    "complex": lambda: 1j,
    "range": lambda: range(3),
    "object": object,
    "function": lambda: print,
    "class": lambda: int,
    "float of numpy": lambda: np().float64(1),
    "int of numpy": lambda: np().int64(1),
    "masked array": lambda: np().ma.array([1]),
}


def np():
    import numpy

    return numpy


@pytest.mark.parametrize("make", OTHERS.values(), ids=OTHERS)
def test_anything_else_is_refused_by_name(make):
    value = make()
    name = type(value).__name__
    for inside in (value, [value], (value,), {"a": (1, [value])}, {1: value}, {"a": b"b", "c": value}):
        with pytest.raises(TypeError, match=name):
            pack(inside)
        with pytest.raises(TypeError, match=name):
            canonical(inside)


@pytest.mark.parametrize(
    "key", [Color.RED, Text("a"), Pair(1, 2), decimal.Decimal(1), dt.date(2026, 1, 1), memoryview(b"a")]
)
def test_a_key_of_another_type_is_refused_by_name(key):
    for inside in ({key: 1}, [{key: 1}], ({key: 1},), {(1, key): 1}):
        with pytest.raises(TypeError, match=type(key).__name__):
            pack(inside)


def test_a_zone_of_another_kind_is_refused():
    class Own(dt.tzinfo):
        def utcoffset(self, when):
            return dt.timedelta(0)

    with pytest.raises(TypeError, match="Own"):
        pack(NEW_YEAR.replace(tzinfo=Own()))


def test_what_contains_itself_is_refused():
    endless = []
    endless.append((endless,))
    plain = []
    plain.append(plain)
    for value in (endless, plain, deep(lambda value: (value,), DEPTH + 1), deep(lambda value: {1: [value]}, DEPTH)):
        with pytest.raises(ValueError, match="inside each other"):
            pack(value)


# --- arrays ---

ARRAYS = {
    "floats": lambda: np().linspace(0, 1, 384),
    "float32": lambda: np().float32([1.5, math.inf]),
    "matrix by columns": lambda: np().arange(6).reshape(2, 3).T,
    "every second": lambda: np().arange(10)[::2],
    "no dimension": lambda: np().array(5.0),
    "nothing in it": lambda: np().zeros((2, 0, 3)),
    "big-endian": lambda: np().array([1, 2], ">i4"),
    "bool": lambda: np().array([True, False]),
    "complex": lambda: np().array([1j]),
    "text": lambda: np().array(["a", "bcd"]),
    "bytes": lambda: np().array([b"a", b"bcd"]),
    "days": lambda: np().array(["2026-01-01"], "M8[D]"),
    "records": lambda: np().array(
        [(1, (2.0, b"x"), [3, 4])], [("a", "i4"), ("b", [("c", "f8"), ("d", "S2")]), ("e", "i2", (2,))]
    ),
    "aligned records": lambda: np().zeros(2, np().dtype([("a", "i1"), ("b", "f8")], align=True)),
    "records that overlap": lambda: np().zeros(
        2, {"names": ["a", "b"], "formats": ["<i4", "<i2"], "offsets": [0, 2], "itemsize": 8}
    ),
}


@pytest.mark.parametrize("make", ARRAYS.values(), ids=ARRAYS)
def test_an_array_comes_back(make):
    array = make()
    for again in (unpack(pack(array)), unpack(pack({"a": (array,), 1: b""}))["a"][0]):
        assert type(again) is np().ndarray
        assert (again.dtype, again.shape) == (array.dtype, array.shape)
        assert np().array_equal(again, array)
        assert again.flags.writeable


def test_arrays_of_references_are_refused():
    numpy = np()
    own = numpy.dtype("V2", metadata={"a": 1})
    assert unpack(pack(numpy.zeros(2, own))).dtype == "V2"
    for array in (numpy.array([None]), numpy.zeros(1, [("a", "O")]), numpy.zeros(1, numpy.dtypes.StringDType())):
        with pytest.raises(TypeError, match="numpy array of"):
            pack(array)


# --- bytes from anywhere ---


def test_what_was_cut_off_is_refused():
    packed = pack([{"a": (1, 2.5, {b"c"}), 3: NEW_YEAR}])
    for size in range(len(packed)):
        with pytest.raises(ValueError):
            unpack(packed[:size])


@pytest.mark.parametrize(("levels", "lists"), [(100_000, 1), (1000, 1000), (99, 1000), (DEPTH + 2, 1), (0, 100_000)])
def test_what_was_nested_by_hand_is_an_error_and_not_the_end_of_the_process(levels, lists):
    """Extensions in extensions, each with so many lists around the next."""
    between, size, heads = b"\x91" * lists, 0, []
    for _ in range(levels):
        size += len(between)
        heads.append(b"\xc9" + size.to_bytes(4, "big") + b"\x01" + between)
        size += 6
    with pytest.raises(ValueError):
        unpack(b"".join(reversed(heads)) + (b"\x01" if levels else between))


def test_arrays_of_references_are_not_made_of_bytes():
    import ormsgpack

    for description in ("O", {"names": ["a"], "formats": ["O"], "offsets": [0], "itemsize": 8}, ["O", [1]]):
        forged = ormsgpack.packb(ormsgpack.Ext(8, ormsgpack.packb([description, [1], b"\x01" * 8])))
        with pytest.raises(ValueError):
            unpack(forged)


def test_numpy_is_not_imported_for_what_is_no_array():
    import subprocess

    script = (
        "import sys; from hornbeamd.state.terms import pack, unpack; unpack(pack({'a': (1,)}))\n"
        "try: pack(object())\nexcept TypeError: pass\n"
        "sys.exit('numpy' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
