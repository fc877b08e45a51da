"""From a file, the environment and flags to ``Options``: defaults < file < environment < flags < a program's arguments.

Every problem of every layer is found before one ``ConfigError`` tells them all. Loading looks at the file system
and the user database, and changes nothing: no chdir, no logging, no name resolution.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from operator import itemgetter
from typing import Any

from hornbeamd.config.checks import findings
from hornbeamd.config.kind import Place, Unfit, UnfitWithin
from hornbeamd.config.layers import (
    DEFAULT,
    Given,
    Layer,
    Source,
    file_source,
    parse_arguments,
    parse_env,
    parse_file,
    parse_flags,
)
from hornbeamd.config.options import SECTIONS, TABLE, Options
from hornbeamd.config.telling import refusal
from hornbeamd.errors import ConfigError

COMMAND_LINE = Source(1, 0, "command line")

# What is not given is this in development: one worker, whose output reads in order, and that does not wait for long.
DEVELOPMENT = {"workers": 1, "graceful_timeout": 1.0}


@dataclass(frozen=True, slots=True)
class Loaded:
    """The options, and for each key ("workers", "log.level") where its value comes from.

    ``file`` is the absolute path of the file that was read, if there is one.
    """

    options: Options
    provenance: dict[str, str]
    file: str | None = None


def load(
    file: str | None = None,
    environ: Mapping[str, str] | None = None,
    flags: Mapping[str, str | bool | Sequence[str]] | None = None,
    folder: str | None = None,
    arguments: Mapping[str, Any] | None = None,
) -> Loaded:
    """Read and check a whole configuration. ``folder`` (default: the working folder) anchors relative paths.

    Raises ConfigError with all problems. ``flags`` go by the key of their option; ``arguments``, of a program, are
    what stands in the section ``hornbeam`` of a file.
    """
    folder = os.path.abspath(folder or os.getcwd())
    if file is None:
        place, anchor, layers = COMMAND_LINE, folder, [Layer()]
    else:
        file = os.path.join(folder, file)
        place, anchor, layers = file_source(file), os.path.dirname(file), [parse_file(file)]
    layers += [parse_env(environ or {}, folder), parse_flags(flags or {}, folder)]
    layers.append(parse_arguments(arguments or {}, folder))
    return replace(_resolve(layers, anchor, place), file=file)


def peek(file: str, key: str) -> Any:
    """The value that a file alone gives one option, or its default, whatever else is wrong there.

    Raises ConfigError when the file cannot be read, or the value is not fit.
    """
    layer = parse_file(file)
    if layer.broken:
        raise _error(layer.problems)
    option = next(option for option in TABLE if option.key == key)
    given = next((given for given in layer.given if given.option is option), None)
    if given is None:
        return option.default
    try:
        return _value(given)
    except Unfit as error:
        raise _error([(given.source, f"{key}: {refusal(option, given.value, str(error))}")]) from None


def _resolve(layers: list[Layer], anchor: str, place: Source) -> Loaded:
    """Lay the layers over the defaults. ``place`` is where a value that is missing should have been."""
    values = {option.key: option.kind.anchor(option.default, anchor) for option in TABLE}
    sources = dict.fromkeys(values, DEFAULT)
    problems = [problem for layer in layers for problem in layer.problems]
    unread = set()
    givens: dict[str, Given] = {}
    for given in (given for layer in layers for given in layer.given):
        key = given.option.key
        try:
            values[key] = _value(given)
            sources[key] = given.source
            givens[key] = given
        except UnfitWithin as error:
            problems += [(given.source_of(place), f"{_spelled(key, place)}: {text}") for place, text in error.problems]
            unread.add(key)
        except Unfit as error:
            problems.append((given.source, f"{key}: {refusal(given.option, given.value, str(error))}"))
            unread.add(key)
    if values["reload.development"]:
        for key in [key for key in DEVELOPMENT if sources[key] is DEFAULT]:
            values[key], sources[key] = DEVELOPMENT[key], Source(0, 0, "reload.development")
    options = _options(values)
    if not any(layer.broken for layer in layers):
        for finding in findings(options):
            # What rests on a value that could not be read is not worth saying.
            if unread.isdisjoint(finding.keys):
                key = finding.keys[0]
                source = givens[key].source_of(finding.place) if key in givens else place
                problems.append((source, f"{_spelled(key, finding.place)}: {finding.text}"))
    if problems:
        raise _error(problems)
    return Loaded(options, {key: str(source) for key, source in sources.items()})


def _error(problems: list[tuple[Source, str]]) -> ConfigError:
    return ConfigError([f"{source}: {text}" for source, text in sorted(problems, key=itemgetter(0))])


def _value(given: Given) -> Any:
    kind = given.option.kind
    return kind.anchor(kind.parse(given.value) if given.text else kind.read(given.value), given.folder)


def _spelled(key: str, place: Place) -> str:
    """Spell a part of a value, as in ``mounts[1].timeout``; numbers count from 0."""
    return key + "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in place)


def _options(values: dict[str, Any]) -> Options:
    given: dict[str, Any] = {}
    sections: dict[str, dict[str, Any]] = {}
    for key, value in values.items():
        section, dot, name = key.rpartition(".")
        (sections.setdefault(section, {}) if dot else given)[name] = value
    made = {name: SECTIONS[name](**members) for name, members in sections.items()}
    return Options(**given, **made)
