"""Plain data as text, on one line, in each of the three formats: the way back from ``config/formats``."""

from __future__ import annotations

import json
import re
from typing import Any

_BARE_ATOM = re.compile(r"[a-z][a-zA-Z0-9_@]*")
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")

# Words that Erlang keeps for itself, and those that the reader gives a meaning; as atoms they stand in quotes.
_RESERVED = re.compile(
    "after|and|andalso|band|begin|bnot|bor|bsl|bsr|bxor|case|catch|cond|div|else|end|fun|if|let|maybe|not|of|or|orelse"
    "|receive|rem|try|when|xor|true|false|undefined"
)


def toml(value: Any) -> str:
    """Write a value as TOML. Raises ValueError for None, which TOML does not have."""
    match value:
        case None:
            raise ValueError("TOML has no null")
        case bool() | int():
            return json.dumps(value)
        case float():
            return repr(value)
        case str():
            return _json_text(value)
        case list():
            return f"[{', '.join(map(toml, value))}]"
        case dict():
            pairs = [f"{toml_key(key)} = {toml(inner)}" for key, inner in value.items()]
            return f"{{{', '.join(pairs)}}}"
    raise TypeError(f"{type(value).__name__} has no spelling in TOML")


def toml_key(key: str) -> str:
    """Write a key, in quotes where it needs them."""
    return key if _BARE_KEY.fullmatch(key) else _json_text(key)


def yaml(value: Any) -> str:
    """Write a value as YAML: JSON is one of its spellings (YAML 1.2.2, section 1.3)."""
    match value:
        case float():
            return {"inf": ".inf", "-inf": "-.inf", "nan": ".nan"}.get(repr(value), repr(value))
        case list():
            return f"[{', '.join(map(yaml, value))}]"
        case dict():
            pairs = [f"{_json_text(key)}: {yaml(inner)}" for key, inner in value.items()]
            return f"{{{', '.join(pairs)}}}"
        case str():
            return _json_text(value)
    return json.dumps(value)


def eterms(value: Any) -> str:
    """Write a value as an Erlang term: text as a string, a dict as a map."""
    match value:
        case None:
            return "undefined"
        case bool() | int():
            return json.dumps(value)
        case float():
            return _erlang_float(value)
        case str():
            return _erlang_quoted(value, '"')
        case list():
            return f"[{', '.join(map(eterms, value))}]"
        case dict():
            pairs = [f"{atom(key)} => {eterms(inner)}" for key, inner in value.items()]
            return f"#{{{', '.join(pairs)}}}"
    raise TypeError(f"{type(value).__name__} has no spelling as an Erlang term")


def atom(text: str) -> str:
    """Write text as an atom, in quotes where it needs them."""
    bare = _BARE_ATOM.fullmatch(text) and not _RESERVED.fullmatch(text)
    return text if bare else _erlang_quoted(text, "'")


def _erlang_float(value: float) -> str:
    """Erlang wants a digit on both sides of the dot, and a dot before the exponent."""
    mantissa, e, exponent = repr(value).partition("e")
    return mantissa + (".0" if "." not in mantissa else "") + e + exponent


def _erlang_quoted(text: str, quote: str) -> str:
    body = "".join(
        f"\\{char}" if char in (quote, "\\") else char if char.isprintable() else f"\\x{{{ord(char):x}}}"
        for char in text
    )
    return f"{quote}{body}{quote}"


def _json_text(text: str) -> str:
    """A string that TOML and YAML both read: what is not printable stands as \\u or \\U, never as surrogates."""
    return f'"{"".join(map(_json_char, text))}"'


def _json_char(char: str) -> str:
    if char in '"\\':
        return f"\\{char}"
    if char.isprintable():
        return char
    return f"\\u{ord(char):04x}" if ord(char) < 0x10000 else f"\\U{ord(char):08x}"
