"""Which modules depend on which: what the text of a module refers to, and what follows from a change.

Statements count wherever they stand, in functions too: one that imports when it is called holds the module as well.
Only what is for type checkers does not run.
"""

from __future__ import annotations

import ast
import importlib.util
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field

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
    reader = _Reader(name if package else name.rpartition(".")[0])
    tree = ast.parse(text)
    reader.visit(tree)
    reader.found.refuses = any(_refuses(statement) for statement in tree.body)
    return reader.found


def _refuses(statement: ast.stmt) -> bool:
    if isinstance(statement, ast.Assign):
        targets = statement.targets
    elif isinstance(statement, ast.AnnAssign):
        targets = [statement.target]
    else:
        return False
    named = any(isinstance(target, ast.Name) and target.id == SWITCH for target in targets)
    return named and isinstance(statement.value, ast.Constant) and statement.value.value is False


class _Reader(ast.NodeVisitor):
    def __init__(self, package: str) -> None:
        self._package = package
        self._bound: dict[str, str] = {}
        self.found = References()

    def visit_If(self, node: ast.If) -> None:
        if ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING"):
            for child in node.orelse:
                self.visit(child)
        else:
            self.generic_visit(node)

    def visit_Import(self, node: ast.Import) -> None:
        for alias in node.names:
            self.found.modules.add(alias.name)
            if alias.asname:
                self._bound[alias.asname] = alias.name
            else:
                self._bound[alias.name.partition(".")[0]] = alias.name.partition(".")[0]

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        source = self._absolute(node.module or "", node.level)
        if source is None:
            return
        for alias in node.names:
            self.found.members.add((source, alias.name))
            self._bound[alias.asname or alias.name] = f"{source}.{alias.name}"

    def visit_Call(self, node: ast.Call) -> None:
        """``importlib.import_module("a")`` and ``__import__("a")``."""
        called = ast.unparse(node.func).rpartition(".")[2] if isinstance(node.func, ast.Name | ast.Attribute) else ""
        if called in ("import_module", "__import__") and node.args and isinstance(node.args[0], ast.Constant):
            wanted = node.args[0].value
            if isinstance(wanted, str):
                plain = wanted.lstrip(".")
                found = self._absolute(plain, len(wanted) - len(plain))
                if found is not None:
                    self.found.modules.add(found)
        self.generic_visit(node)

    def visit_Attribute(self, node: ast.Attribute) -> None:
        parts: list[str] = []
        below: ast.expr = node
        while isinstance(below, ast.Attribute):
            parts.append(below.attr)
            below = below.value
        if isinstance(below, ast.Name) and below.id in self._bound:
            self.found.chains.add(".".join((self._bound[below.id], *reversed(parts))))
        else:
            self.visit(below)

    def visit_Constant(self, node: ast.Constant) -> None:
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
