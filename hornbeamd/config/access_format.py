"""The fields of an access log format and how they are spelled. ``observe/formats.py`` gives their values.

They mean what they mean in gunicorn, and can be spelled as there, ``%(h)s``, or as in Apache, ``%h``:

=========  =====================================================================
%h         address of the client; ``-`` on a Unix socket
%l %u      always ``-``: the server asks nobody who they are
%t         time the response ended, ``[21/Nov/2026:09:36:12 +0000]``
%r         request line
%m %U %q   method, path, query string
%H         protocol, ``HTTP/1.1``
%s %>s     status; ``-`` where the client went before there was one
%B %b      bytes of the response's body; ``%b`` has ``-`` for none
%f %a      Referer, User-Agent
%T %L      duration in whole seconds, in seconds with six decimals
%M %D      duration in milliseconds, in microseconds
%p         process id of the worker
%{Name}i   header of the request
%{Name}o   header of the response, as the application set it
%%         a percent sign
=========  =====================================================================
"""

from __future__ import annotations

import re

NAMED = {
    "common": '%h %l %u %t "%r" %s %b',
    "combined": '%h %l %u %t "%r" %s %b "%f" "%a"',
}
"""Formats that have a name. "json" is another, with fields of its own."""

FIELDS = frozenset((*"hlutrmUqHsBbfaTLMDp", ">s"))

_FIELD = re.compile(
    r"%(?:"
    r"\((?P<gunicorn>[A-Za-z]|\{[^{}]+\}[a-z])\)s"
    r"|(?P<apache>>?[A-Za-z%]|\{[^{}]+\}[a-z])"
    r"|)"  # a percent sign that begins no field
)
_HEADER = re.compile(r"\{[!#$%&'*+\-.^_`|~0-9A-Za-z]+\}[io]")


def parse(text: str) -> tuple[str, list[str]]:
    """Return *text* as a template for the operator ``%`` and the fields that fill it, such as "h" and
    "{Name}i".

    Raises ValueError, with a message for the author of the format, where *text* is not one.
    """
    text = NAMED.get(text, text)
    if not text.isprintable():
        raise ValueError("it is not one line of printable text")
    template, fields, end = [], [], 0
    for match in _FIELD.finditer(text):
        template.append(text[end : match.start()])
        end = match.end()
        field = match["gunicorn"] or match["apache"]
        if field == "%":
            template.append("%%")
            continue
        if field not in FIELDS and not _HEADER.fullmatch(field or ""):
            raise ValueError(f"it has an unknown field: {text[match.start() : max(end, match.start() + 8)]!r}")
        template.append("%s")
        fields.append(field)
    template.append(text[end:])
    if not fields:
        raise ValueError("it has no field")
    return "".join(template), fields
