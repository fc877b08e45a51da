"""YAML, read by PyYAML with the plain scalars of YAML 1.2.

PyYAML knows YAML 1.1, where ``on``, ``off``, ``yes`` and ``no`` are booleans and ``1:30`` is the number 90:
there ``lifespan: off`` would not be the word that is meant. So only the scalars of the core schema of YAML
1.2.2 (section 10.3.2) are anything but text. A key that stands twice is an error.
"""

from __future__ import annotations

import re
from typing import Any

import yaml

from hornbeamd.config.formats.document import Document, Path, SyntaxProblem

_PLAIN = (
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("int", r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", list("-+0123456789")),
    (
        "float",
        r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)",
        list("-+.0123456789"),
    ),
)


class _Loader(yaml.SafeLoader):
    yaml_implicit_resolvers: dict[str, list[Any]] = {}  # noqa: RUF012  (PyYAML's own way of overriding)

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.lines: dict[Path, int] = {}

    def plain(self, node: yaml.Node, path: Path, within: tuple[yaml.Node, ...] = ()) -> Any:
        """Turn a node into plain data. ``within`` are the nodes around it: no alias may lead into itself."""
        if node in within:
            raise _at(node, "an alias leads into itself")
        if isinstance(node, yaml.MappingNode) and node.tag.endswith(":map"):
            return self._mapping(node, path, (*within, node))
        if isinstance(node, yaml.SequenceNode) and node.tag.endswith(":seq"):
            return [self._item(item, (*path, number), (*within, node)) for number, item in enumerate(node.value)]
        return self._scalar(node)

    def _item(self, node: yaml.Node, path: Path, within: tuple[yaml.Node, ...]) -> Any:
        self.lines.setdefault(path, node.start_mark.line + 1)
        return self.plain(node, path, within)

    def _mapping(self, node: yaml.MappingNode, path: Path, within: tuple[yaml.Node, ...]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key_node, value_node in node.value:
            if not isinstance(key_node, yaml.ScalarNode) or not key_node.tag.endswith(":str"):
                raise _at(key_node, "a key is not text")
            key = key_node.value
            if key in found:
                raise _at(key_node, f'the key "{key}" stands twice in one mapping')
            self.lines.setdefault((*path, key), key_node.start_mark.line + 1)
            found[key] = self.plain(value_node, (*path, key), within)
        return found

    def _scalar(self, node: yaml.Node) -> Any:
        kind = node.tag.removeprefix("tag:yaml.org,2002:")
        text: str = node.value
        try:
            match kind if isinstance(node, yaml.ScalarNode) else "":
                case "str":
                    return text
                case "null":
                    return None
                case "bool":
                    return {"true": True, "false": False}[text.lower()]
                case "int":
                    return int(text, 0) if text[:2] in ("0o", "0x") else int(text)
                case "float":
                    return _float(text)
        except (ValueError, KeyError):
            raise _at(node, f'"{text}" is not of the type {kind}') from None
        raise _at(node, f"the type {node.tag} is not read here")


for _kind, _form, _first in _PLAIN:
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_kind}", re.compile(f"^(?:{_form})$"), _first)


def read(text: str) -> Document:
    """Read one YAML document. Raises SyntaxProblem with line and column."""
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
        data = loader.plain(node, ()) if node is not None else {}
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        reason = error.problem or error.context or "it is not YAML"
        if mark is None:
            raise SyntaxProblem(reason) from None
        raise SyntaxProblem(reason, mark.line + 1, mark.column + 1) from None
    except yaml.YAMLError as error:
        raise SyntaxProblem(" ".join(str(error).split())) from None
    if data is None:
        data = {}
    if not isinstance(data, dict):
        raise SyntaxProblem("the file is not a mapping; expected the key hornbeam, with the options below it", 1, 1)
    return Document(data, loader.lines)


def _at(node: yaml.Node, reason: str) -> SyntaxProblem:
    return SyntaxProblem(reason, node.start_mark.line + 1, node.start_mark.column + 1)


def _float(text: str) -> float:
    """Python spells infinity and not-a-number without the dot."""
    word = text.lower()
    return float(word.replace(".", "") if word.endswith(("inf", "nan")) else word)
