"""Erlang terms, as in OTP's ``sys.config``: ``[{hornbeam, [{workers, 4}, {bind, <<"127.0.0.1:8000">>}]}].``

The syntax is that of ``file:consult/1`` with one term: atoms, numbers, characters, strings, binaries, lists,
tuples, maps, comments, and a dot at the end (Erlang reference manual, "Data Types"). What it becomes:

* ``true``, ``false`` and ``undefined`` are True, False and None; every other atom, string or binary is text;
* a map, and a list of ``{Atom, Value}`` pairs (a bare atom among them means true, as in proplists), is a
dict;
* any other list, and any other tuple, is a list.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from hornbeamd.config.formats.document import Document, Path, SyntaxProblem, position

MAX_DEPTH = 100

_TOKEN = re.compile(
    r"""
    (?P<space>  (?: \s | %[^\n]* )+ )
  | (?P<float>  [+-]? \d+ (?:_\d+)* \. \d+ (?:_\d+)* (?:[eE][+-]?\d+)? )
  | (?P<based>  [+-]? \d{1,2} \# [0-9a-zA-Z]+ (?:_[0-9a-zA-Z]+)* )
  | (?P<int>    [+-]? \d+ (?:_\d+)* )
  | (?P<char>   \$ (?: \\ (?: x\{[0-9a-fA-F]+\} | x[0-9a-fA-F]{2} | [0-7]{1,3} | \^. | . ) | [^\\\n] ) )
  | (?P<atom>   [a-zß-öø-ÿ] [\w@]* )
  | (?P<quoted> ' (?: [^'\\] | \\. )* ' )
  | (?P<string> " (?: [^"\\] | \\. )* " )
  | (?P<dot>    \. (?= \s | % | $ ) )
  | (?P<punct>  << | >> | \#\{ | => | := | [\[\]{},/|] )
    """,
    re.VERBOSE | re.DOTALL,
)
_ESCAPE = re.compile(r"\\(?:x\{([0-9a-fA-F]+)\}|x([0-9a-fA-F]{2})|([0-7]{1,3})|\^(.)|(.))", re.DOTALL)
_NAMED = {"b": 8, "d": 127, "e": 27, "f": 12, "n": 10, "r": 13, "s": 32, "t": 9, "v": 11}
_WORDS = {"true": True, "false": False, "undefined": None}


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str
    offset: int


@dataclass(frozen=True, slots=True)
class _Term:
    """A term and where it begins. ``kind`` tells an atom from a string, and a tuple from a list."""

    kind: str
    value: Any
    offset: int


def read(text: str) -> Document:
    """Read one Erlang term that ends with a dot. Raises SyntaxProblem with line and column."""
    reader = _Reader(text)
    term = reader.whole()
    lines: dict[Path, int] = {}
    data = reader.plain(term, (), lines)
    if data == []:
        data = {}
    if not isinstance(data, dict):
        raise reader.problem("the term is no property list; expected [{hornbeam, [...]}].", term.offset)
    return Document(data, lines)


class _Reader:
    """A recursive descent over the tokens of one text."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = self._scan()
        self._depth = 0
        self._advance()

    def problem(self, reason: str, offset: int) -> SyntaxProblem:
        return SyntaxProblem(reason, *position(self._text, offset))

    def whole(self) -> _Term:
        """Read the term, its dot, and nothing behind it."""
        term = self._term()
        if self._token.kind != "dot":
            raise self._unexpected('expected "." at the end of the term')
        self._advance()
        if self._token.kind != "end":
            raise self._unexpected("expected the end of the file after one term")
        return term

    # -- tokens

    def _scan(self) -> Iterator[_Token]:
        offset = 0
        while offset < len(self._text):
            match = _TOKEN.match(self._text, offset)
            if match is None:
                raise self.problem(self._why_not(offset), offset)
            if match.lastgroup != "space":
                yield _Token(match.lastgroup or "", match[0], offset)
            offset = match.end()
        while True:
            yield _Token("end", "", len(self._text.rstrip()))

    def _why_not(self, offset: int) -> str:
        char = self._text[offset]
        if char in "\"'":
            what = "quoted atom" if char == "'" else "string"
            return f"the {what} that begins here has no end"
        if char.isupper() or char == "_":
            word = re.compile(r"\w+").match(self._text, offset)
            name = word[0] if word else char
            return f"{name} is a variable, which has no value here; an atom begins with a small letter"
        return f"the character {char!r} has no meaning here"

    def _advance(self) -> _Token:
        """Step to the next token; give the one left behind."""
        left = getattr(self, "_token", None)
        self._token = next(self._tokens)
        return left or self._token

    def _at(self, text: str) -> bool:
        return self._token.kind == "punct" and self._token.text == text

    def _accept(self, text: str) -> bool:
        found = self._at(text)
        if found:
            self._advance()
        return found

    def _expect(self, text: str, where: str) -> None:
        if not self._accept(text):
            raise self._unexpected(f'expected "{text}" {where}')

    def _unexpected(self, expected: str) -> SyntaxProblem:
        got = "the file ends" if self._token.kind == "end" else f'"{self._token.text}" stands here'
        return self.problem(f"{got}; {expected}", self._token.offset)

    # -- terms

    def _term(self) -> _Term:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise self.problem(f"terms are nested more than {MAX_DEPTH} deep", self._token.offset)
        token = self._token
        match token.kind:
            case "int" | "based" | "float" | "char":
                term = _Term("number", self._number(), token.offset)
            case "atom":
                term = _Term("atom", self._advance().text, token.offset)
            case "quoted":
                term = _Term("atom", self._unquote(self._advance()), token.offset)
            case "string":
                term = _Term("text", self._strings(), token.offset)
            case _:
                term = self._compound(token)
        self._depth -= 1
        return term

    def _compound(self, token: _Token) -> _Term:
        if self._accept("["):
            return _Term("list", self._items("]", "list"), token.offset)
        if self._accept("{"):
            return _Term("tuple", self._items("}", "tuple"), token.offset)
        if self._accept("#{"):
            return _Term("map", self._associations(), token.offset)
        if self._accept("<<"):
            return _Term("text", self._binary(token.offset), token.offset)
        raise self._unexpected("expected a term")

    def _items(self, close: str, what: str) -> list[_Term]:
        items: list[_Term] = []
        if self._accept(close):
            return items
        while True:
            items.append(self._term())
            if self._accept(close):
                return items
            self._expect(",", f'or "{close}" in a {what}')

    def _associations(self) -> list[tuple[_Term, _Term]]:
        pairs: list[tuple[_Term, _Term]] = []
        if self._accept("}"):
            return pairs
        while True:
            key = self._term()
            self._expect("=>", "after the key in a map")
            pairs.append((key, self._term()))
            if self._accept("}"):
                return pairs
            self._expect(",", 'or "}" in a map')

    def _number(self) -> int | float:
        token = self._advance()
        digits = token.text.replace("_", "")
        if token.kind == "char":
            return ord(token.text[1]) if token.text[1] != "\\" else ord(self._unescape(token.text[1:], token.offset))
        if token.kind == "float":
            number = float(digits)
            if math.isinf(number):
                raise self.problem(f"{token.text} is too large for a float", token.offset)
            return number
        base, _, rest = digits.rpartition("#")
        try:
            sign = -1 if base.startswith("-") else 1
            return sign * int(rest, int(base.lstrip("+-"))) if base else int(rest)
        except ValueError:
            raise self.problem(f"{token.text} is not a number", token.offset) from None

    def _strings(self) -> str:
        """Join strings that stand side by side, as Erlang does."""
        text = ""
        while self._token.kind == "string":
            text += self._unquote(self._advance())
        return text

    def _binary(self, offset: int) -> str:
        """Read the segments of a binary, which must be UTF-8 as a whole: here every binary is text."""
        parts: list[bytes] = []
        if not self._accept(">>"):
            while True:
                parts.append(self._segment())
                if self._accept(">>"):
                    break
                self._expect(",", 'or ">>" in a binary')
        try:
            return b"".join(parts).decode()
        except UnicodeDecodeError:
            raise self.problem('the binary is not UTF-8 text; write <<"..."/utf8>>', offset) from None

    def _segment(self) -> bytes:
        token = self._token
        if token.kind in ("int", "based", "char"):
            number = self._number()
            if not isinstance(number, int) or not 0 <= number <= 255:
                raise self.problem(f"{token.text} is not a byte", token.offset)
            return bytes([number])
        if token.kind != "string":
            raise self._unexpected("expected a string or a byte in a binary")
        text = self._strings()
        if self._accept("/"):
            if self._token.text != "utf8":
                raise self._unexpected('expected "utf8", the only type of a segment that is read here')
            self._advance()
            return text.encode()
        try:
            return text.encode("latin-1")
        except UnicodeEncodeError:
            raise self.problem('the string has characters above 255; write <<"..."/utf8>>', token.offset) from None

    def _unquote(self, token: _Token) -> str:
        return self._unescape(token.text[1:-1], token.offset)

    def _unescape(self, text: str, offset: int) -> str:
        def character(match: re.Match[str]) -> str:
            braced, hexadecimal, octal, control, other = match.groups()
            if braced or hexadecimal:
                return chr(int(braced or hexadecimal, 16))
            if octal:
                return chr(int(octal, 8))
            if control:
                return chr(ord(control) % 32)
            return chr(_NAMED[other]) if other in _NAMED else str(other)

        try:
            return _ESCAPE.sub(character, text)
        except (ValueError, OverflowError):
            raise self.problem("an escape names no character of Unicode", offset) from None

    # -- plain data

    def plain(self, term: _Term, path: Path, lines: dict[Path, int]) -> Any:
        """Turn a term into plain data, noting the line of each key."""
        match term.kind:
            case "atom":
                return _WORDS.get(term.value, term.value)
            case "map":
                return self._dict(term.value, path, lines)
            case "list" if _is_proplist(term.value):
                return self._dict([_pair(item) for item in term.value], path, lines)
            case "list" | "tuple":
                return [self._item(item, (*path, number), lines) for number, item in enumerate(term.value)]
        return term.value

    def _item(self, term: _Term, path: Path, lines: dict[Path, int]) -> Any:
        lines.setdefault(path, position(self._text, term.offset)[0])
        return self.plain(term, path, lines)

    def _dict(self, pairs: list[tuple[_Term, _Term]], path: Path, lines: dict[Path, int]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key, value in pairs:
            if key.kind not in ("atom", "text"):
                raise self.problem("a key is neither an atom nor text", key.offset)
            if key.value in found:
                raise self.problem(f"the key {key.value} stands twice", key.offset)
            inner = (*path, key.value)
            lines.setdefault(inner, position(self._text, key.offset)[0])
            found[key.value] = self.plain(value, inner, lines)
        return found


def _is_proplist(items: list[_Term]) -> bool:
    """Tell whether a list is a mapping: pairs that begin with an atom, perhaps with bare atoms among them."""
    return any(item.kind == "tuple" for item in items) and all(
        item.kind == "atom" or (item.kind == "tuple" and len(item.value) == 2 and item.value[0].kind == "atom")
        for item in items
    )


def _pair(item: _Term) -> tuple[_Term, _Term]:
    if item.kind == "tuple":
        return item.value[0], item.value[1]
    return item, _Term("atom", "true", item.offset)
