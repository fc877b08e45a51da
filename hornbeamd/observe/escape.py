"""Makes text from anywhere safe to stand in a line of a log: nothing in it can end the line, or fake another.

Escaped is all that ``str.isprintable`` calls unprintable: control characters, with newline, ESC and NEL
(U+0085), line and paragraph separators, characters that turn the direction of writing, and lone surrogates.
"""

from __future__ import annotations

import math
from json.encoder import encode_basestring_ascii
from typing import Any

_SHORT = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}
_DEPTH = 5


def printable(text: str) -> str:
    """Return *text* with all unprintable characters as ``\\n``, ``\\xNN``, ``\\uNNNN`` or ``\\UNNNNNNNN``."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else _SHORT.get(char) or _escape(ord(char)) for char in text)


def _escape(code: int) -> str:
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def quoted(text: str) -> str:
    """Return *text* printable, in double quotes where it would not read as one word without them."""
    if text and text.isprintable() and not any(char in ' "=\\' for char in text):
        return text
    return '"' + printable(text.replace("\\", "\\\\").replace('"', '\\"')) + '"'


def json_string(text: str) -> str:
    """Return *text* as a JSON string in ASCII. Lone surrogates, which many readers refuse, become text."""
    return encode_basestring_ascii(text.encode("utf-8", "backslashreplace").decode("utf-8"))


def plain(value: Any, depth: int = _DEPTH) -> Any:
    """Return *value* made of what JSON can say: anything else as its ``str()``. Never raises."""
    if value is None or isinstance(value, (bool, int)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode("utf-8")
    if isinstance(value, (bytes, bytearray)):
        return value.decode("utf-8", "backslashreplace")
    if depth and isinstance(value, dict):
        return {str(plain(key, 0)): plain(item, depth - 1) for key, item in value.items()}
    if depth and isinstance(value, (list, tuple, set, frozenset)):
        return [plain(item, depth - 1) for item in value]
    try:
        return plain(str(value), 0)
    except Exception:
        return f"<{type(value).__name__}>"
