"""Three spellings of a configuration file: TOML, YAML and Erlang terms. All become the same ``Document``."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from importlib import import_module

from hornbeamd.config.formats.document import Document, SyntaxProblem

_BY_SUFFIX = {".toml": "toml", ".config": "eterms", ".yaml": "yaml", ".yml": "yaml"}

# What the first line that is neither empty nor a comment looks like. "#{" begins an Erlang
# map; "[" alone or before "{" an Erlang list, before a name a TOML table.
_BY_FIRST_LINE = (
    (re.compile(r"#\{|\[\s*(\{|%|$)"), "eterms"),
    (re.compile(r"\[\s*[\w\"'.-]+\s*\]"), "toml"),
    (re.compile(r"[\w\"'.-]+\s*="), "toml"),
    (re.compile(r"---|[\w\"']+\s*:(\s|$)"), "yaml"),
)


def read(text: str, path: str) -> Document:
    """Read the text of the file at ``path`` in the format its name or, failing that, its text shows.

    Raises SyntaxProblem.
    """
    name = _BY_SUFFIX.get(os.path.splitext(path)[1].lower()) or _by_content(text)
    reader: Callable[[str], Document] = import_module(f"{__name__}.{name}").read
    try:
        return reader(text.removeprefix("\ufeff"))
    except RecursionError:
        raise SyntaxProblem("its values are nested too deep") from None


def _by_content(text: str) -> str:
    for line in text.removeprefix("\ufeff").splitlines():
        stripped = line.strip()
        if stripped.startswith("#{") or (stripped and stripped[0] not in "#%"):
            for look, name in _BY_FIRST_LINE:
                if look.match(stripped):
                    return name
            break
    raise SyntaxProblem("cannot tell its format; expected a name that ends in .toml, .config (Erlang terms) or .yaml")
