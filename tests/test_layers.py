"""Who may import whom (docs/design.md, section 2), read from the sources and not from what happens to be loaded."""

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

LAYERS = (
    ("hornbeamd", "hornbeamd.errors", "hornbeamd.jsonlines"),
    ("hornbeamd.config",),
    (
        "hornbeamd.http.rules",
        "hornbeamd.http.exchange",
        "hornbeamd.http.peer",
        "hornbeamd.http.websocket",
        "hornbeamd.supervisor.intensity",
        "hornbeamd.supervisor.plan",
        "hornbeamd.supervisor.spec",
        # What the two ends of a worker's channel share.
        "hornbeamd.worker.channel",
        "hornbeamd.worker.identity",
        "hornbeamd.worker.scoreboard",
    ),
    (
        "hornbeamd.http",
        "hornbeamd.observe",
        "hornbeamd.state",
        "hornbeamd.hub",
        "hornbeamd.control",
        "hornbeamd.reload",
        "hornbeamd.admin",
    ),
    ("hornbeamd.node",),
    ("hornbeamd.apps", "hornbeamd.supervisor"),
    ("hornbeamd.worker", "hornbeamd.supervisor.boot"),
    ("hornbeamd.cli",),
    ("hornbeamd.__main__", "hornbeamd.embedding", "hornbeamd.embedded"),
)
"""Lowest first. A module imports from lower lines, and from its own package unless that part is on a higher one."""

ONLY = {
    ("hornbeamd.apps", "hornbeamd.http"): {
        "hornbeamd.http.exchange",
        "hornbeamd.http.rules",
        "hornbeamd.http.websocket.session",
    },
    ("hornbeamd.apps", "hornbeamd.observe"): set(),
    ("hornbeamd.apps", "hornbeamd.state"): set(),
    ("hornbeamd.apps", "hornbeamd.hub"): set(),
    ("hornbeamd.node", "hornbeamd.http"): set(),
}
"""Of a lower package, a package may import these parts only."""

_THIRD_PARTY = {"cachetools", "h11", "h2", "hpack", "httptools", "lmdb", "ormsgpack", "uvloop", "wsproto"}
WORKER_MAY_IMPORT = (_THIRD_PARTY | sys.stdlib_module_names) - {"argparse"}
"""Next to hornbeamd itself: the worker shares its process with an application that has versions of its own."""


@dataclass(frozen=True)
class Import:
    module: str
    """Who imports."""
    target: str
    line: int
    eager: bool
    """When the module is imported, not when a function runs."""
    typing: bool
    """For the type checker only."""

    def __str__(self):
        return f"{self.module}:{self.line} imports {self.target}"


def modules() -> dict[str, Path]:
    found = {}
    for package in ("hornbeamd", "hornbeam_erlang", "hornbeam_ml"):
        for path in (ROOT / package).rglob("*.py"):
            parts = path.relative_to(ROOT).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


MODULES = modules()


def imports_of(module: str, source: str) -> Iterator[Import]:
    def walk(node: ast.AST, eager: bool, typing: bool) -> Iterator[Import]:
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(module, alias.name, node.lineno, eager, typing)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{module}:{node.lineno}: imports are absolute"
            for alias in node.names:
                submodule = f"{node.module}.{alias.name}"
                target = submodule if submodule in MODULES else str(node.module)
                yield Import(module, target, node.lineno, eager, typing)
        elif isinstance(node, ast.If) and ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING"):
            for child in node.body:
                yield from walk(child, eager, True)
            for child in node.orelse:
                yield from walk(child, eager, typing)
        else:
            eager = eager and not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
            for child in ast.iter_child_nodes(node):
                yield from walk(child, eager, typing)

    yield from walk(ast.parse(source), True, False)


IMPORTS = [found for name, path in MODULES.items() for found in imports_of(name, path.read_text())]


def under(module: str, prefix: str) -> bool:
    return module == prefix or module.startswith(prefix + ".")


def place(module: str) -> tuple[int, str]:
    """The layer of *module*, and its line's entry: the longest that it is under."""
    if module == "hornbeamd":
        return 0, module
    entries = [(level, entry) for level, line in enumerate(LAYERS) for entry in line if under(module, entry)]
    level, entry = max(entries, key=lambda found: len(found[1]))
    assert entry != "hornbeamd", f"{module} has no place in LAYERS"
    return level, entry


def package(module: str) -> str:
    return ".".join(module.split(".")[:2])


def judge(found: Import) -> str | None:
    """Why an import is not allowed, or None."""
    level, _ = place(found.module)
    target_level, _ = place(found.target)
    for (importer, imported), parts in ONLY.items():
        if under(found.module, importer) and under(found.target, imported) and found.target not in parts:
            return f"{found}, which is none of its business"
    if target_level > level:
        return f"{found}, which is above it"
    if target_level == level and package(found.module) != package(found.target) and found.target != "hornbeamd":
        return f"{found}, which is beside it"
    return None


def test_layers():
    ours = [found for found in IMPORTS if under(found.module, "hornbeamd") and under(found.target, "hornbeamd")]
    assert len(ours) > 50
    wrong = [why for found in ours if (why := judge(found))]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize(
    ("module", "target", "why"),
    [
        ("hornbeamd.http.exchange", "hornbeamd.http.server", "above"),
        ("hornbeamd.config.options", "hornbeamd.observe.formats", "above"),
        ("hornbeamd.http.server", "hornbeamd.observe.access", "beside"),
        ("hornbeamd.apps.asgi", "hornbeamd.supervisor.pool", "beside"),
        ("hornbeamd.apps.asgi", "hornbeamd.http.h1.connection", "business"),
        ("hornbeamd.supervisor.tree", "hornbeamd.supervisor.boot", "above"),
        ("hornbeamd.supervisor.pool", "hornbeamd.worker.main", "above"),
    ],
)
def test_the_judge_finds_what_is_wrong(module, target, why):
    assert why in (judge(Import(module, target, 1, True, False)) or "")


def test_what_applications_import_has_one_door_to_the_server():
    doors = ("hornbeamd.node", "hornbeamd.errors")
    for found in IMPORTS:
        if under(found.module, "hornbeam_erlang") or under(found.module, "hornbeam_ml"):
            assert not under(found.target, "hornbeamd") or any(under(found.target, door) for door in doors), found


# --- cycles ---


def find_cycle(edges: dict[str, set[str]]) -> list[str] | None:
    """A way from a module back to it, or None."""
    done: set[str] = set()

    def visit(module: str, path: list[str]) -> list[str] | None:
        if module in path:
            return [*path[path.index(module) :], module]
        if module not in done:
            for target in sorted(edges.get(module, ())):
                if cycle := visit(target, [*path, module]):
                    return cycle
            done.add(module)
        return None

    return next((cycle for module in edges if (cycle := visit(module, []))), None)


def test_no_cycles():
    edges: dict[str, set[str]] = {}
    for found in IMPORTS:
        if found.eager and not found.typing and found.target in MODULES:
            edges.setdefault(found.module, set()).add(found.target)
    assert find_cycle(edges) is None


def test_a_cycle_is_found():
    edges = {"a": {"b"}, "b": {"c", "d"}, "c": set(), "d": {"b"}}
    assert find_cycle(edges) == ["b", "d", "b"]


# --- the worker ---


def closure(start: set[str]) -> dict[str, Import | None]:
    """All that is imported from *start* on, at any time, with the import that first leads there."""
    reached: dict[str, Import | None] = dict.fromkeys(start)
    waiting = list(start)
    while waiting:
        module = waiting.pop()
        for found in IMPORTS:
            if found.module != module or found.typing:
                continue
            parts = found.target.split(".")
            for name in (".".join(parts[: end + 1]) for end in range(len(parts))):
                if name not in reached:
                    reached[name] = found
                    waiting.append(name)
    return reached


def test_the_worker_imports_little():
    reached = closure({module for module in MODULES if under(module, "hornbeamd.worker")})
    assert "hornbeamd.http.server" in reached
    foreign = {name: found for name, found in reached.items() if name.split(".")[0] not in WORKER_MAY_IMPORT}
    # An array in a message or in the state is given to whoever has numpy, and knows what to do with it.
    arrays = {name for name, found in foreign.items() if under(name, "numpy") and not found.eager}
    wrong = [str(found) for name, found in foreign.items() if not under(name, "hornbeamd") and name not in arrays]
    assert not wrong, "\n".join(wrong)
    assert not [name for name in reached if under(name, "hornbeamd.supervisor") or name == "hornbeamd.cli"]


def test_the_worker_has_loaded_little_when_it_boots():
    script = "import sys, hornbeamd.worker.main, hornbeamd.worker.spawner; print(*sys.modules)"
    # Where coverage is measured, it would load much more, into this process too.
    env = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}
    command = [sys.executable, "-c", script]
    loaded = subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT, env=env).stdout
    assert not {"anyio", "yaml", "tomli", "watchdog", "argparse", "hornbeamd.cli"} & set(loaded.split())
