"""Keys as bytes: the names under which entries stand in the order of a B-tree.

A name is one byte of kind, then text as UTF-8, or the canonical form of any other term; so ``1``, ``1.0``, ``True``,
``"1"`` and ``b"1"`` are five keys, and all text that begins alike stands together. A name that would be longer than
``LIMIT`` ends in a hash, and then the entry holds the whole key.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import Any, Final

from hornbeamd.state.terms import canonical, unpack

TERM: Final = b"k"
TEXT: Final = b"t"
AFTER_TEXT: Final = b"u"

LIMIT: Final = 500
"""The longest name. LMDB takes 511 bytes, and the index of expiry puts 9 in front."""

_HASH: Final = 32
_KEPT: Final = LIMIT - _HASH


def name(key: Any) -> bytes:
    """The name of *key*. Raises TypeError when it is no term, or one that no dict could have as a key."""
    whole = full_name(key)
    return whole if len(whole) < LIMIT else shortened(whole)


def full_name(key: Any) -> bytes:
    """The name that *key* would have if there were no limit; raises as :func:`name` does."""
    if type(key) is str:
        try:
            return TEXT + key.encode()
        except UnicodeEncodeError:
            return TEXT + key.encode("utf-8", "surrogatepass")
    hash(key)
    return TERM + canonical(key)


def shortened(whole: bytes) -> bytes:
    """The name instead of one that is too long; the only ones of just ``LIMIT`` bytes."""
    return whole[:_KEPT] + blake2b(whole, digest_size=_HASH).digest()


def key_of(whole: bytes) -> Any:
    """The key of a full name."""
    return whole[1:].decode("utf-8", "surrogatepass") if whole[:1] == TEXT else unpack(whole[1:])


def beginning(prefix: str) -> tuple[bytes, bytes]:
    """What the full names of text keys with *prefix* begin with, and what all their names do.

    Raises TypeError when *prefix* is no text: only text has one.
    """
    if type(prefix) is not str:
        raise TypeError(f"a prefix is text, not {type(prefix).__name__}")
    whole = full_name(prefix)
    return whole, whole[:_KEPT]
