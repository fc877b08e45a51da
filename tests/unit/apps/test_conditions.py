"""Conditional and range requests (apps/conditions.py; RFC 9110, sections 13 and 14)."""

import pytest

from hornbeamd.apps.conditions import UNSATISFIABLE, byte_range, precondition

TAG = b'"1a-5"'
MODIFIED = 784111777  # Sun, 06 Nov 1994 08:49:37 GMT
THEN = b"Sun, 06 Nov 1994 08:49:37 GMT"
BEFORE = b"Sun, 06 Nov 1994 08:49:36 GMT"
LATER = b"Sun, 06 Nov 1994 08:49:38 GMT"


@pytest.mark.parametrize(
    ("fields", "outcome"),
    [
        ([], 200),
        ([(b"if-match", TAG)], 200),
        ([(b"if-match", b'"x", ' + TAG)], 200),
        ([(b"if-match", b"*")], 200),
        ([(b"if-match", b'"x"')], 412),
        ([(b"if-match", b"W/" + TAG)], 412),  # compared strongly: section 13.1.1
        ([(b"if-match", b"")], 412),
        ([(b"if-unmodified-since", THEN)], 200),
        ([(b"if-unmodified-since", BEFORE)], 412),
        ([(b"if-unmodified-since", b"yesterday")], 200),
        ([(b"if-match", TAG), (b"if-unmodified-since", BEFORE)], 200),
        ([(b"if-none-match", TAG)], 304),
        ([(b"if-none-match", b"W/" + TAG)], 304),  # compared weakly: section 13.1.2
        ([(b"if-none-match", b'"x"'), (b"if-none-match", TAG)], 304),
        ([(b"if-none-match", b'"a,b", ,' + TAG)], 304),
        ([(b"if-none-match", b"*")], 304),
        ([(b"if-none-match", b'"x"')], 200),
        ([(b"if-none-match", b'"x" ' + TAG)], 200),  # no list of tags
        ([(b"if-modified-since", THEN)], 304),
        ([(b"if-modified-since", LATER)], 304),
        ([(b"if-modified-since", BEFORE)], 200),
        ([(b"if-modified-since", b"Sunday, 06-Nov-94 08:49:37 GMT")], 304),  # RFC 850
        ([(b"if-modified-since", b"Sun Nov  6 08:49:37 1994")], 304),  # asctime
        ([(b"if-modified-since", b"Sun, 06 Nov 99999999 08:49:37 GMT")], 200),
        ([(b"if-modified-since", b"\xff" * 50)], 200),
        ([(b"if-modified-since", THEN), (b"if-modified-since", THEN)], 200),
        ([(b"if-none-match", b'"x"'), (b"if-modified-since", THEN)], 200),
        ([(b"if-match", TAG), (b"if-none-match", TAG)], 304),
    ],
)
def test_preconditions_in_their_order(fields, outcome):
    """RFC 9110, section 13.2.2."""
    assert precondition(fields, TAG, MODIFIED) == outcome


@pytest.mark.parametrize(
    ("value", "found"),
    [
        (b"bytes=0-4", (0, 5)),
        (b"bytes=0-0", (0, 1)),
        (b"bytes=3-", (3, 10)),
        (b"bytes=-3", (7, 10)),
        (b"bytes=-30", (0, 10)),
        (b"bytes=5-999", (5, 10)),
        (b"Bytes = 0 - 4", (0, 5)),
        (b"bytes=9-9", (9, 10)),
        (b"bytes=10-", UNSATISFIABLE),
        (b"bytes=99-100", UNSATISFIABLE),
        (b"bytes=-0", UNSATISFIABLE),
        (b"bytes=5-4", None),
        (b"bytes=-", None),
        (b"bytes=0-1,3-4", None),
        (b"bytes=a-b", None),
        (b"lines=0-4", None),
        (b"bytes=--1", None),
        (b"bytes=" + b"9" * 50 + b"-", None),
        (b"", None),
    ],
)
def test_ranges(value, found):
    """RFC 9110, section 14.1.2."""
    assert byte_range([(b"range", value)], TAG, MODIFIED, 10) == found


def test_no_range_is_in_an_empty_file():
    for value in (b"bytes=0-", b"bytes=-1", b"bytes=0-0"):
        assert byte_range([(b"range", value)], TAG, MODIFIED, 0) == UNSATISFIABLE


def test_two_range_fields_are_none():
    assert byte_range([(b"range", b"bytes=0-1"), (b"range", b"bytes=0-1")], TAG, MODIFIED, 10) is None


@pytest.mark.parametrize(
    ("if_range", "taken"),
    [
        (TAG, True),
        (b"W/" + TAG, False),
        (b'"x"', False),
        (THEN, True),
        (BEFORE, False),
        (LATER, False),
        (b"nonsense", False),
    ],
)
def test_a_range_of_another_file_is_none(if_range, taken):
    """RFC 9110, section 13.1.5: the date must be the very one, the tag is compared strongly."""
    fields = [(b"range", b"bytes=0-1"), (b"if-range", if_range)]
    assert byte_range(fields, TAG, MODIFIED, 10) == ((0, 2) if taken else None)
