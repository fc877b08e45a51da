"""Which modules depend on which: what the text of a module refers to, and what follows from a change.

Statements count wherever they stand, in functions too: one that imports when it is called holds the module as well.
Only what is for type checkers does not run.
"""

from __future__ import annotations

import ast
import importlib.util
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from hornbeamd.reload.view import above

SWITCH = "__hot_reload__"


@dataclass(slots=True)
class References:
    """What the text of one module refers to, by absolute dotted names, whether or not there are such modules."""

    modules: set[str] = field(default_factory=set)
    """``import a.b``"""
    members: set[tuple[str, str]] = field(default_factory=set)
    """``from a import b``"""
    chains: set[str] = field(default_factory=set)
    """``a.b.c`` in the text, and strings of that form, of which a module may be the beginning."""
    refuses: bool = False
    """It sets ``__hot_reload__ = False``."""


def references(text: str | bytes, name: str, *, package: bool) -> References:
    """Read the *text* of the module *name*. Raises SyntaxError."""
    tree = ast.parse(text)
    reader = _Reader(name if package else name.rpartition(".")[0])
    for node in _running(tree):
        read = _READ.get(type(node))
        if read is not None:
            read(reader, node)
    found = reader.found
    found.chains.update(f"{reader.bound[name]}.{rest}" for name, rest in reader.chains if name in reader.bound)
    found.refuses = any(_refuses(statement) for statement in tree.body)
    return found


def _running(tree: ast.Module) -> Iterator[ast.AST]:
    """All nodes but what is for type checkers. Not by a NodeVisitor, which takes three times as long."""
    waiting: list[Any] = [tree]
    while waiting:
        node = waiting.pop()
        yield node
        children = [getattr(node, name) for name in node._fields if name != "ctx"]
        if type(node) is ast.If and ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING"):
            children = [node.orelse]
        for child in children:
            if type(child) is list:
                waiting.extend([each for each in child if isinstance(each, ast.AST)])
            elif isinstance(child, ast.AST):
                waiting.append(child)


def _refuses(statement: ast.stmt) -> bool:
    if isinstance(statement, ast.Assign):
        targets = statement.targets
    elif isinstance(statement, ast.AnnAssign):
        targets = [statement.target]
    else:
        return False
    named = any(isinstance(target, ast.Name) and target.id == SWITCH for target in targets)
    return named and isinstance(statement.value, ast.Constant) and statement.value.value is False


class _Reader:
    def __init__(self, package: str) -> None:
        self._package = package
        self.found = References()
        self.bound: dict[str, str] = {}
        """What names stand for, wherever they are bound by an import."""
        self.chains: list[tuple[str, str]] = []
        """``a.b.c`` as ``("a", "b.c")``."""

    def read_import(self, node: ast.Import) -> None:
        for alias in node.names:
            self.found.modules.add(alias.name)
            first = alias.name.partition(".")[0]
            self.bound[alias.asname or first] = alias.name if alias.asname else first

    def read_import_from(self, node: ast.ImportFrom) -> None:
        source = self._absolute(node.module or "", node.level)
        if source is not None:
            for alias in node.names:
                self.found.members.add((source, alias.name))
                self.bound[alias.asname or alias.name] = f"{source}.{alias.name}"

    def read_call(self, node: ast.Call) -> None:
        """``importlib.import_module("a")`` and ``__import__("a")``."""
        called = getattr(node.func, "attr", None) or getattr(node.func, "id", None)
        if called in ("import_module", "__import__") and node.args and isinstance(node.args[0], ast.Constant):
            wanted = node.args[0].value
            if isinstance(wanted, str):
                plain = wanted.lstrip(".")
                found = self._absolute(plain, len(wanted) - len(plain))
                if found is not None:
                    self.found.modules.add(found)

    def read_attribute(self, node: ast.Attribute) -> None:
        parts: list[str] = []
        below: ast.expr = node
        while isinstance(below, ast.Attribute):
            parts.append(below.attr)
            below = below.value
        if isinstance(below, ast.Name):
            self.chains.append((below.id, ".".join(reversed(parts))))

    def read_constant(self, node: ast.Constant) -> None:
        """``"shop.urls"``, ``"shop.log.Formatter"``, ``"shop.tasks:clean"``: frameworks import by such strings."""
        if isinstance(node.value, str) and "." in node.value:
            name = node.value.replace(":", ".")
            if all(part.isidentifier() for part in name.split(".")):
                self.found.chains.add(name)

    def _absolute(self, name: str, level: int) -> str | None:
        if level == 0:
            return name
        try:
            return importlib.util.resolve_name("." * level + name, self._package)
        except ImportError:  # beyond the top: it will say so when it is run
            return None


_READ: dict[type[ast.AST], Callable[[_Reader, Any], None]] = {
    ast.Import: _Reader.read_import,
    ast.ImportFrom: _Reader.read_import_from,
    ast.Call: _Reader.read_call,
    ast.Attribute: _Reader.read_attribute,
    ast.Constant: _Reader.read_constant,
}


# --- what follows ---


@dataclass(frozen=True, slots=True)
class Edges:
    """What a module depends on. ``passed`` are the packages that it only goes through to reach their modules."""

    holds: frozenset[str] = frozenset()
    passed: frozenset[str] = frozenset()


def edges(found: References, known: Collection[str]) -> Edges:
    """What *found* depends on, where *known* are all the application's modules; what is not there may come to be."""
    holds, passed = set(found.modules), set[str]()
    for name in found.modules:
        passed.update(above(name))
    for source, member in found.members:
        if member == "*":
            holds.add(source)
            holds.update(name for name in known if name.rpartition(".")[0] == source)
        elif f"{source}.{member}" in known:
            holds.add(f"{source}.{member}")
            passed.add(source)
        else:
            holds.add(source)
            passed.add(f"{source}.{member}")
    for chain in found.chains:
        holds.update(next(([name] for name in (chain, *above(chain)) if name in known), []))
    return Edges(frozenset(holds), frozenset(passed - holds))


def affected(
    changed: Iterable[str],
    depend: Mapping[str, Edges],
    hollow: Callable[[str], bool],
) -> set[str]:
    """The modules of *depend* to be loaded anew when these have *changed*, with them.

    A package goes with its modules, which are its attributes. Is it *hollow*, nothing but a place for modules, then
    whoever only goes through it does not notice.
    """
    changed = set(changed)
    users: dict[str, set[str]] = {}
    for name, its in depend.items():
        through = {target for target in its.passed if target in changed or (target in depend and not hollow(target))}
        for target in its.holds | through:
            users.setdefault(target, set()).add(name)
        parent = name.rpartition(".")[0]
        if parent in depend:
            users.setdefault(name, set()).add(parent)
    found, waiting = set(changed), list(changed)
    while waiting:
        fresh = users.get(waiting.pop(), set()) - found
        found |= fresh
        waiting.extend(fresh)
    return found
