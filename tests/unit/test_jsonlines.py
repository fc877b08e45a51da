"""Messages as lines: cut in any way, too long, or no messages."""

from __future__ import annotations

from itertools import cycle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hornbeamd.jsonlines import Lines, Malformed, decode, encode

text = st.text(max_size=8)
plain = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), text),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(text, inner, max_size=3)),
    max_leaves=5,
)


@given(st.lists(st.dictionaries(text, plain, max_size=3), max_size=5), st.lists(st.integers(1, 50), min_size=1))
def test_any_cutting_gives_the_same_messages(sent, sizes):
    stream = b"".join(map(encode, sent))
    lines, received = Lines(), []
    for size in cycle(sizes):
        received += lines.feed(stream[:size])
        stream = stream[size:]
        if not stream:
            break
    assert [decode(line) for line in received] == sent


def test_a_line_may_be_so_long_and_no_longer_whether_it_ends_or_not():
    assert Lines(4).feed(b"abcd\nabcd\n") == [b"abcd", b"abcd"]
    for data in (b"abcde", b"abcde\n", b"\nabcde"):
        with pytest.raises(Malformed, match="may have 4 bytes"):
            Lines(4).feed(data)
    lines = Lines(4)
    assert lines.feed(b"abc") == []
    with pytest.raises(Malformed):
        lines.feed(b"de\n")


@pytest.mark.parametrize(
    "line", [b"", b"GET / HTTP/1.1\r", b"\xff\xfe", b"[1]", b'"text"', b"{" * 60_000, b"[" * 60_000]
)
def test_what_is_no_message_is_told_so(line):
    with pytest.raises(Malformed, match="that is no JSON"):
        decode(line)
