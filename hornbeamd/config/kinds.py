"""The kinds of values that are words: text of all forms, paths, addresses, choices; and lists of any kind."""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from hornbeamd.config import access_format
from hornbeamd.config.address import FORMS, OPENED, Address
from hornbeamd.config.kind import Kind, Schema, Unfit

_NAME = r"[^\W\d]\w*"
_DOTTED = rf"{_NAME}(\.{_NAME})*"
_APP = re.compile(rf"({_DOTTED}(:{_DOTTED}(\(.*\))?)?)?")
_FUNCTION = re.compile(rf"{_DOTTED}:{_DOTTED}")
_HANDLER = re.compile(rf"{_DOTTED}:{_DOTTED}(\(.*\))?")
_OWNER = re.compile(r"[^\s:]+(:[^\s:]+)?|:[^\s:]+")
_LABEL = r"[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_SERVER_NAME = re.compile(rf"(\*\.)?{_LABEL}(\.{_LABEL})*")
_TRUE = {"true", "yes", "on", "1"}
_FALSE = {"false", "no", "off", "0"}


@dataclass(frozen=True)
class Text(Kind):
    """Any text without control characters."""

    what: str = "text"

    @property
    def expected(self) -> str:
        return self.what

    def read(self, value: object) -> str:
        if not isinstance(value, str):
            raise Unfit
        if any(ord(char) < 32 or ord(char) == 127 for char in value):
            raise Unfit("it holds a control character")
        return value

    def schema(self) -> Schema:
        return {"type": "string"}


@dataclass(frozen=True)
class Matching(Text):
    """Text of a given form."""

    form: re.Pattern[str] = re.compile(".*")

    def read(self, value: object) -> str:
        text = super().read(value)
        if not self.form.fullmatch(text):
            raise Unfit
        return text


def app_spec() -> Kind:
    """``module``, ``module:callable``, ``module:object.attribute`` or ``module:factory()``; empty means none yet."""
    return Matching('"module:callable", "module" or "module:factory()"', _APP)


def function() -> Kind:
    """``module:function``, or ``module:object.method``."""
    return Matching('"module:function"', _FUNCTION)


def handler() -> Kind:
    """``module:Class``, ``module:object.attribute`` or ``module:factory()``."""
    return Matching('"module:Class", "module:function" or "module:factory()"', _HANDLER)


def owner() -> Kind:
    """``user``, ``user:group`` or ``:group``, names or numbers, as chown(1) takes them."""
    return Matching('"user:group", "user" or ":group"', _OWNER)


def server_name() -> Kind:
    """A host name as clients ask for it (RFC 6066, section 3), or ``*.`` and the name of a domain."""
    return Matching('a host name such as "shop.example" or "*.shop.example"', _SERVER_NAME)


def root_path() -> Kind:
    """A URL path an application is mounted at, without the final slash (PEP 3333, SCRIPT_NAME)."""
    return Matching('a path such as "/shop", with no "/" at its end', re.compile(r"(/[^/?#]+)*"))


@dataclass(frozen=True)
class Path(Text):
    """A path; relative ones count from the file's folder, in the environment and flags from the working
    folder.

    ``words`` are texts that are no paths but have a meaning of their own.
    """

    what: str = "a path"
    words: tuple[str, ...] = ()
    metavar = "PATH"

    def read(self, value: object) -> str:
        text = super().read(value)
        if not text:
            raise Unfit("it is empty")
        return text

    def anchor(self, value: str, folder: str) -> str:
        return value if value in self.words else os.path.normpath(os.path.join(folder, value))


@dataclass(frozen=True)
class Bool(Kind):
    """True or false."""

    metavar = "BOOL"
    expected = "true or false"

    def read(self, value: object) -> bool:
        if not isinstance(value, bool):
            raise Unfit
        return value

    def parse(self, text: str) -> bool:
        word = text.lower()
        if word not in _TRUE | _FALSE:
            raise Unfit
        return word in _TRUE

    def schema(self) -> Schema:
        return {"type": "boolean"}


@dataclass(frozen=True)
class Choice(Kind):
    """One of a few words."""

    words: tuple[str, ...]

    @property
    def metavar(self) -> str:  # type: ignore[override]
        return "{" + ",".join(self.words) + "}"

    @property
    def expected(self) -> str:
        *first, last = (f'"{word}"' for word in self.words)
        return f"{', '.join(first)} or {last}"

    def read(self, value: object) -> str:
        if value not in self.words:
            raise Unfit
        return str(value)

    def schema(self) -> Schema:
        return {"enum": list(self.words)}


@dataclass(frozen=True)
class Bind(Kind):
    """One address to listen at; a descriptor only where it may be *inherited*."""

    inherited: bool = True
    metavar = "ADDRESS"

    @property
    def expected(self) -> str:
        return FORMS if self.inherited else OPENED

    def read(self, value: object) -> Address:
        if not isinstance(value, str):
            raise Unfit
        try:
            address = Address.parse(value)
        except ValueError as error:
            raise Unfit(str(error)) from None
        if address.kind == "fd" and not self.inherited:
            raise Unfit("a descriptor cannot be opened anew at a reload")
        return address

    def plain(self, value: Address) -> str:
        return str(value)

    def anchor(self, value: Address, folder: str) -> Address:
        if value.kind != "unix":
            return value
        return Address(kind="unix", path=os.path.normpath(os.path.join(folder, value.path)))

    def schema(self) -> Schema:
        return {"type": "string"}


@dataclass(frozen=True)
class Peers(Kind):
    """Who may be at the other end: an IP address, a network, ``unix``, or ``*``."""

    metavar = "PEER"
    expected = 'an IP address, a network such as "10.0.0.0/8", "unix", or "*" for everyone'

    def read(self, value: object) -> str:
        if not isinstance(value, str):
            raise Unfit
        if value in ("unix", "*"):
            return value
        try:
            ipaddress.ip_network(value)
        except ValueError as error:
            raise Unfit("it has bits set behind the prefix" if "host bits" in str(error) else "") from None
        return value

    def schema(self) -> Schema:
        return {"type": "string"}


@dataclass(frozen=True)
class ListOf(Kind):
    """Several values of one kind; a single one needs no brackets. Commas separate them in text."""

    item: Kind
    needs_one: bool = False

    @property
    def metavar(self) -> str:  # type: ignore[override]
        return f"{self.item.metavar}[,...]"

    @property
    def expected(self) -> str:
        return f"{self.item.expected}, or a list of such"

    def read(self, value: object) -> tuple[Any, ...]:
        return self._each(value if isinstance(value, (list, tuple)) else [value], self.item.read)

    def parse(self, text: str) -> tuple[Any, ...]:
        return self._each([part.strip() for part in text.split(",") if part.strip()], self.item.parse)

    def _each(self, values: Sequence[Any], read: Callable[[Any], Any]) -> tuple[Any, ...]:
        if self.needs_one and not values:
            raise Unfit("the list is empty")
        found = []
        for value in values:
            try:
                found.append(read(value))
            except Unfit as error:
                why = str(error) or "it is not of this kind"
                raise Unfit(f"in {value!r}, {why}" if len(values) > 1 else str(error)) from None
        return tuple(found)

    def plain(self, value: tuple[Any, ...]) -> list[Any]:
        return [self.item.plain(one) for one in value]

    def anchor(self, value: tuple[Any, ...], folder: str) -> tuple[Any, ...]:
        return tuple(self.item.anchor(one, folder) for one in value)

    def schema(self) -> Schema:
        several: Schema = {"type": "array", "items": self.item.schema()}
        if self.needs_one:
            several["minItems"] = 1
        return {"anyOf": [self.item.schema(), several]}


@dataclass(frozen=True)
class Maybe(Kind):
    """A value, or none at all: in a file null (Erlang: ``undefined``) or the text ``nothing``."""

    item: Kind
    nothing: str = ""

    @property
    def metavar(self) -> str:  # type: ignore[override]
        return self.item.metavar

    @property
    def expected(self) -> str:
        return f'{self.item.expected}, or "{self.nothing}" for none'

    def read(self, value: object) -> Any:
        return None if value is None or value == self.nothing else self.item.read(value)

    def parse(self, text: str) -> Any:
        return None if text == self.nothing else self.item.parse(text)

    def plain(self, value: Any) -> Any:
        return self.nothing if value is None else self.item.plain(value)

    def anchor(self, value: Any, folder: str) -> Any:
        return None if value is None else self.item.anchor(value, folder)

    def schema(self) -> Schema:
        return {"anyOf": [{"type": "null"}, {"const": self.nothing}, self.item.schema()]}


@dataclass(frozen=True)
class AccessFormat(Text):
    """The layout of the access log: a name, or text with fields such as ``%h`` or ``%(h)s``."""

    what: str = '"common", "combined", "json", or text with fields such as %h, %r and %s'

    def read(self, value: object) -> str:
        text = super().read(value)
        if text != "json":
            try:
                access_format.parse(text)
            except ValueError as error:
                raise Unfit(str(error)) from None
        return text
