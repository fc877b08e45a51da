"""The worker lives in one process with the application: what it imports, the application gets, in our version."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import hornbeamd

THIRD_PARTY = {"cachetools", "httptools", "h11", "hpack", "lmdb", "ormsgpack", "uvloop", "wsproto"}

PROGRAM = """
import sys
before = set(sys.modules)
import hornbeamd.worker.spawner, hornbeamd.worker.main
print(*{name.partition(".")[0] for name in set(sys.modules) - before if name not in sys.builtin_module_names})
"""


def test_a_worker_imports_the_standard_library_and_little_else() -> None:
    home = str(Path(hornbeamd.__file__).parents[1])
    ran = subprocess.run(
        [sys.executable, "-c", PROGRAM], env={"PYTHONPATH": home}, capture_output=True, text=True, check=True
    )
    imported = set(ran.stdout.split())
    # What sysconfig reads, for zoneinfo, has a name for each platform.
    foreign = {name for name in imported - set(sys.stdlib_module_names) if "cython" not in name}
    foreign = {name for name in foreign if not name.startswith("_sysconfigdata")}
    assert foreign - {"hornbeamd"} <= THIRD_PARTY
    assert not imported & {"argparse", "tomllib", "anyio", "yaml"}
