"""The places values come from: a file, the environment, flags, a program. Each becomes a layer of given values.

A layer knows what was given for which option and where, and the problems met on the way. Whether a value is
right is for ``resolve`` to say.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from hornbeamd.config import formats
from hornbeamd.config.declare import SECTION, Option
from hornbeamd.config.formats.document import Document, Path, SyntaxProblem
from hornbeamd.config.kind import Place
from hornbeamd.config.options import TABLE
from hornbeamd.config.telling import describe, suggest

_PREFIX = "HORNBEAM_"

# Kubernetes and "docker --link" put variables of this form into every container when a service is called
# "hornbeam" or "hornbeam-something". They are not meant for us.
_SERVICE_LINK = re.compile(
    _PREFIX + r"(\w+_)?(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT(_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?)"
)


@dataclass(frozen=True, slots=True, order=True)
class Source:
    """Where a value stands. Sources sort in the order in which problems are told: place by place, line by line."""

    rank: int
    line: int
    name: str
    column: int = 0

    def __str__(self) -> str:
        line = f", line {self.line}" if self.line else ""
        column = f", column {self.column}" if self.column else ""
        return f"{self.name}{line}{column}"


DEFAULT = Source(0, 0, "default")


@dataclass(frozen=True, slots=True)
class Given:
    """A value for an option, as it was written; ``text`` where it came from the environment or a flag.

    ``lines`` holds the lines of what is inside the value, as far as they are known.
    """

    option: Option
    value: Any
    source: Source
    folder: str
    text: bool
    lines: Mapping[Place, int] = field(default_factory=dict)

    def source_of(self, place: Place) -> Source:
        """Say where a part of the value stands: the key of a table, else the table, else the whole value."""
        # A single table needs no list, and then its keys stand there without a number; where a list is in the place of
        # a table, keys stand one deeper.
        deeper = (path for path in self.lines if path[:1] == place[:1] and path[-1:] == place[-1:])
        line = next((self.lines[each] for each in (place, place[1:], *deeper, place[:1]) if each in self.lines), 0)
        return replace(self.source, line=line) if line else self.source


@dataclass(slots=True)
class Layer:
    """All that one place gives. ``broken`` tells that it could not be read, so that more may be missing."""

    given: list[Given] = field(default_factory=list)
    problems: list[tuple[Source, str]] = field(default_factory=list)
    broken: bool = False


def file_source(path: str, line: int = 0, column: int = 0) -> Source:
    """Give the source of what stands in a file, at a line and column if these are known."""
    return Source(1, line, f"file {path}", column)


def parse_file(path: str) -> Layer:
    """Read a configuration file. What is wrong with it becomes problems of the layer; nothing is raised."""
    try:
        with open(path, "rb") as file:
            text = file.read().decode()
        document = formats.read(text, path)
    except OSError as error:
        return _broken(file_source(path), f"cannot be read: {error.strerror}")
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        return _broken(file_source(path, line), "is not UTF-8 text")
    except SyntaxProblem as error:
        return _broken(file_source(path, error.line, error.column), error.reason)
    return _file_layer(document, path)


def _broken(source: Source, reason: str) -> Layer:
    return Layer(problems=[(source, reason)], broken=True)


def _file_layer(document: Document, path: str) -> Layer:
    folder = os.path.dirname(os.path.abspath(path))
    reading = _Reading(document, folder, lambda where: file_source(path, document.lines.get(where, 0)), Layer())
    for name, value in document.data.items():
        if name == SECTION:
            reading.section(value, ())
        elif name in _BY_KEY:
            reading.problem((name,), f'{name}: stands outside of the section "{SECTION}"; expected it inside')
        else:
            suggestion = suggest(name, [SECTION]) or f'; expected "{SECTION}", which holds all options'
            reading.problem((name,), f"{name}: unknown section{suggestion}")
    return reading.layer


def parse_arguments(arguments: Mapping[str, Any], folder: str) -> Layer:
    """Take what a program gives, as the section of a file would hold it; relative paths count from ``folder``."""
    reading = _Reading(Document({}), folder, lambda where: Source(4, 0, f"argument {'.'.join(map(str, where[1:]))}"))
    reading.section(dict(arguments), ())
    return reading.layer


@dataclass(frozen=True, slots=True)
class _Reading:
    """Reads a section; ``source`` tells where a path in it stands."""

    document: Document
    folder: str
    source: Callable[[Path], Source]
    layer: Layer = field(default_factory=Layer)

    def problem(self, path: Path, text: str) -> None:
        self.layer.problems.append((self.source(path), text))

    def section(self, value: Any, path: tuple[str, ...]) -> None:
        """Take in a section, ``path`` being where it stands below ``hornbeam``."""
        if value is None or value == []:  # an empty section of YAML, and of Erlang terms
            value = {}
        if isinstance(value, dict):
            for key, inner in value.items():
                self._item((*path, key), inner)
        else:
            whole = (SECTION, *path)
            self.problem(whole, f"{'.'.join(whole)}: got {describe(value)}; expected a section with options")

    def _item(self, path: tuple[str, ...], value: Any) -> None:
        whole = (SECTION, *path)
        option = _BY_PATH.get(path)
        if option is not None:
            source, lines = self.source(whole), self._lines_in(whole)
            self.layer.given.append(Given(option, value, source, self.folder, text=False, lines=lines))
        elif path in _SECTIONS:
            self.section(value, path)
        else:
            self.problem(whole, f"{'.'.join(path)}: unknown option{_suggest_key(path)}")

    def _lines_in(self, whole: tuple[str, ...]) -> dict[Place, int]:
        depth = len(whole)
        return {
            path[depth:]: line
            for path, line in self.document.lines.items()
            if len(path) > depth and path[:depth] == whole
        }


def parse_env(environ: Mapping[str, str], folder: str) -> Layer:
    """Take the variables ``HORNBEAM_*``; relative paths in them count from ``folder``."""
    layer = Layer()
    for name, value in sorted(environ.items()):
        if not name.startswith(_PREFIX) or _SERVICE_LINK.fullmatch(name):
            continue
        source = Source(2, 0, f"environment {name}")
        option = _BY_ENVIRONMENT.get(name)
        if option is None:
            layer.problems.append((source, f"belongs to no option{suggest(name, _BY_ENVIRONMENT)}"))
        else:
            layer.given.append(Given(option, value, source, folder, text=True))
    return layer


def parse_flags(flags: Mapping[str, str | bool | Sequence[str]], folder: str) -> Layer:
    """Take flags, by the key of their option; a switch is a boolean, a list the texts of its repetitions."""
    layer = Layer()
    for key, value in flags.items():
        option = _BY_KEY[key]
        source = Source(3, 0, f"flag {option.flag}" if value is not False else f"flag --no-{option.flag[2:]}")
        if isinstance(value, bool):
            value = "true" if value else "false"
        text = value if isinstance(value, str) else ",".join(value)
        layer.given.append(Given(option, text, source, folder, text=True))
    return layer


def _suggest_key(path: tuple[str, ...]) -> str:
    """Suggest the same name from another section, or a near name of an option or a section in the same one."""
    for option in TABLE:
        if option.key.rpartition(".")[2] == path[-1]:
            return f'; did you mean "{option.key}"?'
    depth = len(path)
    siblings = {".".join(known[:depth]): None for known in _BY_PATH if known[: depth - 1] == path[:-1]}
    return suggest(".".join(path), siblings) or "; sys.toml(5) lists all options"


_BY_KEY = {option.key: option for option in TABLE}
_BY_PATH = {tuple(option.key.split(".")): option for option in TABLE}
_BY_ENVIRONMENT = {option.environment: option for option in TABLE}
_SECTIONS = {path[:-1] for path in _BY_PATH if len(path) > 1}
