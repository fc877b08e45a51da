"""Conditional and range requests (RFC 9110, sections 13 and 14): what to answer for a file that is there.

Pure: fields of the request, and of the file its entity tag and the time it was modified, in whole seconds.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from email.utils import mktime_tz, parsedate_tz
from typing import Final

Fields = Sequence[tuple[bytes, bytes]]

UNSATISFIABLE: Final = (0, 0)
"""The range that no byte of the file is in (416)."""

_TAG = re.compile(rb'\s*(?:(W/)?("[\x21\x23-\x7e\x80-\xff]*"))?\s*(?:,|$)')
_RANGE = re.compile(rb"bytes\s*=\s*([0-9]{0,19})\s*-\s*([0-9]{0,19})", re.IGNORECASE)


def precondition(fields: Fields, tag: bytes, modified: int) -> int:
    """Return 200 to go on, 304 or 412, for GET and HEAD, in the order of RFC 9110, section 13.2.2."""
    if_match = _joined(fields, b"if-match")
    if if_match is not None:
        if not _listed(if_match, tag, weakly=False):
            return 412
    else:
        since = _date(fields, b"if-unmodified-since")
        if since is not None and modified > since:
            return 412
    if_none_match = _joined(fields, b"if-none-match")
    if if_none_match is not None:
        return 304 if _listed(if_none_match, tag, weakly=True) else 200
    since = _date(fields, b"if-modified-since")
    return 304 if since is not None and modified <= since else 200


def byte_range(fields: Fields, tag: bytes, modified: int, size: int) -> tuple[int, int] | None:
    """Return the bytes asked for, from and up to but without; None for the whole file.

    Several ranges, and what is no range, count as none (RFC 9110, section 14.2). :data:`UNSATISFIABLE` where the
    range is beyond the file.
    """
    given = [value for name, value in fields if name == b"range"]
    match = _RANGE.fullmatch(given[0].strip()) if len(given) == 1 else None
    if match is None or not _same_as_known(fields, tag, modified):
        return None
    first, last = match[1], match[2]
    if not first:
        if not last:
            return None
        start, stop = max(size - int(last), 0), size
    else:
        start, stop = int(first), min(int(last) + 1, size) if last else size
        if last and int(last) < start:
            return None
    return (start, stop) if start < stop else UNSATISFIABLE


def _same_as_known(fields: Fields, tag: bytes, modified: int) -> bool:
    """If-Range (RFC 9110, section 13.1.5): whether the client has a part of the very same file, or does not ask."""
    if_range = _joined(fields, b"if-range")
    if if_range is None:
        return True
    if if_range.lstrip().startswith((b'"', b"W/")):
        return if_range.strip() == tag
    return _date(fields, b"if-range") == modified


def _joined(fields: Fields, name: bytes) -> bytes | None:
    found = [value for key, value in fields if key == name]
    return b",".join(found) if found else None


def _listed(text: bytes, tag: bytes, *, weakly: bool) -> bool:
    """Whether *tag*, a strong one, is among the entity tags in *text*, or these are "*"."""
    if text.strip() == b"*":
        return True
    end = 0
    while end < len(text):
        match = _TAG.match(text, end)
        if match is None:
            return False
        if match[2] == tag and (weakly or not match[1]):
            return True
        end = match.end()
    return False


def _date(fields: Fields, name: bytes) -> int | None:
    """The date of a field in seconds; None where it is missing, repeated, or no date."""
    found = [value for key, value in fields if key == name]
    if len(found) != 1:
        return None
    try:
        parsed = parsedate_tz(found[0].decode("latin-1"))
        return None if parsed is None else mktime_tz(parsed)
    except (ValueError, OverflowError, IndexError, TypeError):
        return None
