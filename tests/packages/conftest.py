"""The packages, of three versions; the third has a daemon that cannot come up."""

from __future__ import annotations

import faulthandler
import os
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BROKEN = "1.2"
WHY = "this version cannot be imported"


@pytest.fixture(scope="session")
def package(tmp_path_factory) -> Callable[[str, str], Path]:
    """Give the package of a kind and a version, which is built when it is asked for first."""
    folder = tmp_path_factory.mktemp("packages")
    env = {**os.environ, "DPKG_DEB_COMPRESSOR_TYPE": "gzip", "DPKG_DEB_COMPRESSOR_LEVEL": "1"}
    built: dict[tuple[str, str], Path] = {}

    def get(kind: str, version: str) -> Path:
        if (kind, version) not in built:
            source = folder / version
            if not source.exists():
                prepare(source, version)
            faulthandler.cancel_dump_traceback_later()  # a test that builds takes longer than most
            ended = subprocess.run(
                [source / "scripts/package", kind], stdout=subprocess.PIPE, text=True, check=True, env=env
            )
            built[kind, version] = source / ended.stdout.split()[-1]
        return built[kind, version]

    return get


def prepare(folder: Path, version: str) -> None:
    """Have a checkout of *version* in *folder*."""
    names = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True).stdout
    for name in filter(None, names.split("\0")):
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, target)
    init = folder / "hornbeamd" / "__init__.py"
    init.write_text(re.sub(r'(?m)^__version__ = ".*"$', f'__version__ = "{version}"', init.read_text()))
    if version == BROKEN:
        with (folder / "hornbeamd" / "cli.py").open("a") as file:
            file.write(f"\nraise ImportError({WHY!r})\n")
    identity = ["-c", "user.name=test", "-c", "user.email=test@localhost"]
    for command in (["init", "-q"], ["add", "--all"], [*identity, "commit", "-q", "-m", version]):
        subprocess.run(["git", *command], cwd=folder, check=True)
