"""Frames and messages of the hub: whatever the pieces, whatever the garbage."""

import ormsgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hornbeamd.errors import WireError
from hornbeamd.hub.wire import LENGTH, SHAPES, Frames, Kind, encode

EXAMPLES = {int: 7, str: "room:lobby", bytes: b"\x00payload"}


def example(kind):
    return [kind, *(EXAMPLES[type_] for type_ in SHAPES[kind])]


def frame(body):
    return len(body).to_bytes(LENGTH, "little") + body


@pytest.mark.parametrize("kind", Kind)
def test_every_kind_of_message_comes_out_as_it_went_in(kind):
    assert Frames(1000).feed(encode(*example(kind))) == [example(kind)]


@given(st.lists(st.sampled_from(list(Kind)), max_size=8), st.data())
def test_any_pieces_give_the_same_messages(kinds, data):
    stream = b"".join(encode(*example(kind)) for kind in kinds)
    frames, found, at = Frames(1000), [], 0
    while at < len(stream):
        size = data.draw(st.integers(1, len(stream) - at))
        found += frames.feed(stream[at : at + size])
        at += size
    assert found == [example(kind) for kind in kinds]


def test_a_message_longer_than_the_limit_is_refused_by_its_first_four_bytes():
    with pytest.raises(WireError, match="4294967295"):
        Frames(1000).feed(b"\xff\xff\xff\xff")


def test_the_limit_is_the_size_of_the_message():
    message = encode(Kind.CAST, "name", bytes(100))
    assert Frames(len(message) - LENGTH).feed(message)
    with pytest.raises(WireError):
        Frames(len(message) - LENGTH - 1).feed(message)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xc1",
        ormsgpack.packb(7),
        ormsgpack.packb([]),
        ormsgpack.packb({"a": 1}),
        ormsgpack.packb([99, 1]),
        ormsgpack.packb([[Kind.CAST], "name", b""]),
        ormsgpack.packb([Kind.CAST, "name"]),
        ormsgpack.packb([Kind.CAST, "name", b"", 1]),
        ormsgpack.packb([Kind.CAST, b"name", b""]),
        ormsgpack.packb([Kind.CANCEL, True]),
        ormsgpack.packb([Kind.CANCEL, 1.0]),
        ormsgpack.packb([True, 1, "x", 1]),
        b"\x91" * 2000 + b"\x00",
    ],
)
def test_what_is_no_message_is_refused(body):
    with pytest.raises(WireError):
        Frames(10_000).feed(frame(body))


@given(st.binary(max_size=200))
def test_no_garbage_raises_anything_else(garbage):
    try:
        Frames(1000).feed(garbage)
    except WireError:
        pass


def test_a_lone_surrogate_is_no_text():
    with pytest.raises(TypeError):
        encode(Kind.PUBLISH, 1, "\ud800", b"")
