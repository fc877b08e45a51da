"""Renders the lines of the access log: ``common``, ``combined``, ``json``, or a text with %-fields.

The table of fields is in ``hornbeamd/config/access_format.py``. Nothing that a client sends can forge a line:
in text a double quote, a backslash and all that is no printable ASCII stand as ``\\xNN``.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from hornbeamd.config import access_format
from hornbeamd.observe.escape import json_string

if TYPE_CHECKING:
    from hornbeamd.http.exchange import Exchange

Format = Callable[["Exchange", float], str]
"""Exchange and its duration in seconds -> one line with its newline."""
Filler = Callable[["Exchange", float], object]

_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_PLAIN = {ord(char): char for char in map(chr, range(0x20, 0x7F)) if char not in '"\\'}
_ESCAPES = {code: _PLAIN.get(code, f"\\x{code:02x}") for code in range(256)}

# Values come again: agents, referers, targets. To look one up is cheaper than to look through it.
_REMEMBERED_LENGTH = 256
_TABLE_BOUND = 1024


class Clock:
    """The time of day, rendered once a second. The user calls :meth:`set`; UTC, whatever the locale."""

    def __init__(self) -> None:
        self.second = -1
        self.clf = self.iso = ""

    def set(self, second: int) -> None:
        """Render *second* (of the Unix epoch)."""
        self.second = second
        now = time.gmtime(second)
        clock = f"{now.tm_hour:02}:{now.tm_min:02}:{now.tm_sec:02}"
        self.clf = f"[{now.tm_mday:02}/{_MONTHS[now.tm_mon - 1]}/{now.tm_year}:{clock} +0000]"
        self.iso = f"{now.tm_year}-{now.tm_mon:02}-{now.tm_mday:02}T{clock}Z"


def compile_format(text: str, clock: Clock) -> Format:
    """Return the function that renders lines of the format *text* in this process.

    Raises ValueError, with a message for the author of the format, where *text* is not one.
    """
    if text == "json":
        return _json(clock)
    template, fields = access_format.parse(text)
    template += "\n"
    fillers = [_filler(field, clock) for field in fields]

    def line(exchange: Exchange, duration: float) -> str:
        return template % tuple([fill(exchange, duration) for fill in fillers])

    return line


def _filler(field: str, clock: Clock) -> Filler:
    name = field[1:-2].lower().encode()
    match field[0], field[-1]:
        case "{", "i":
            return lambda exchange, _: _request_header(exchange, name)
        case "{", _:
            return lambda exchange, _: _response_header(exchange, name + b":")
        case "t", _:
            return lambda exchange, _: clock.clf
        case "p", _:
            pid = os.getpid()
            return lambda exchange, _: pid
    return _FILLERS[field]


# --- values ---

_rendered: dict[bytes, str] = {b"": "-"}


def _safe(value: bytes) -> str:
    """Return *value* without anything that could end a quoted text or a line."""
    text = _rendered.get(value)
    if text is None:
        text = value.decode("latin-1").translate(_ESCAPES)
        if len(value) <= _REMEMBERED_LENGTH:
            if len(_rendered) >= _TABLE_BOUND:
                _rendered.clear()
                _rendered[b""] = "-"
            _rendered[value] = text
    return text


def _client(exchange: Exchange, _: float = 0.0) -> str:
    client = exchange.client
    return _safe(client[0].encode("utf-8", "replace")) if client else "-"


def _request_line(exchange: Exchange, _: float) -> str:
    request = exchange.request
    if request.method == "-":  # refused before it could be read
        return "-"
    return f"{_safe(request.method.encode())} {_safe(request.target)} HTTP/{request.http_version}"


def _request_header(exchange: Exchange, name: bytes) -> str:
    for key, value in exchange.request.headers:
        if key == name:
            return _safe(value)
    return "-"


def _response_header(exchange: Exchange, start: bytes) -> str:
    for line in getattr(exchange, "fields", ()):  # there are none before the response has started
        if line[: len(start)].lower() == start:
            return _safe(line[len(start) :].strip())
    return "-"


_FILLERS: dict[str, Filler] = {
    "h": _client,
    "l": lambda exchange, _: "-",
    "u": lambda exchange, _: "-",
    "r": _request_line,
    "m": lambda exchange, _: _safe(exchange.request.method.encode()),
    "U": lambda exchange, _: _safe(exchange.request.raw_path),
    "q": lambda exchange, _: _safe(exchange.request.query) if exchange.request.query else "",
    "H": lambda exchange, _: "HTTP/" + exchange.request.http_version,
    "s": lambda exchange, _: exchange.status or "-",
    ">s": lambda exchange, _: exchange.status or "-",
    "B": lambda exchange, _: exchange.bytes_sent,
    "b": lambda exchange, _: exchange.bytes_sent or "-",
    "f": lambda exchange, _: _request_header(exchange, b"referer"),
    "a": lambda exchange, _: _request_header(exchange, b"user-agent"),
    "T": lambda _, duration: int(duration),
    "L": lambda _, duration: f"{duration:.6f}",
    "M": lambda _, duration: int(duration * 1e3),
    "D": lambda _, duration: int(duration * 1e6),
}


# --- JSON ---

_JSON = (
    '{"time":"%s","request_id":"%s","client":%s,"method":%s,"target":%s,"protocol":"HTTP/%s","status":%s,'
    '"bytes":%d,"duration_us":%d,"referer":%s,"user_agent":%s,"pid":%d}\n'
)


def _json(clock: Clock) -> Format:
    pid = os.getpid()

    def line(exchange: Exchange, duration: float) -> str:
        return _JSON % (
            clock.iso,
            exchange.request_id,
            json_string(exchange.client[0]) if exchange.client else "null",
            json_string(exchange.request.method),
            _json_value(exchange.request.target),
            exchange.request.http_version,
            exchange.status or "null",
            exchange.bytes_sent,
            int(duration * 1e6),
            _json_header(exchange, b"referer"),
            _json_header(exchange, b"user-agent"),
            pid,
        )

    return line


def _json_value(value: bytes) -> str:
    return json_string(value.decode("utf-8", "backslashreplace"))


def _json_header(exchange: Exchange, name: bytes) -> str:
    for key, value in exchange.request.headers:
        if key == name:
            return _json_value(value)
    return "null"
