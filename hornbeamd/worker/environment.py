"""Where the application's modules are found."""

from __future__ import annotations

import os
import site
import sys
import sysconfig
from collections.abc import Sequence
from pathlib import Path


def extend_path(pythonpath: Sequence[str], venv: str | None) -> None:
    """Put the application's folders where it expects them.

    ``pythonpath`` comes first, as the folder of a script does; the packages of ``venv`` come right behind the
    standard library, before our own, with their ``.pth`` files carried out. Raises FileNotFoundError when
    ``venv`` is not one for this version of Python.
    """
    if venv is not None:
        packages = _site_packages(Path(venv))
        before = list(sys.path)
        site.addsitedir(str(packages))
        added = [entry for entry in sys.path if entry not in before]
        place = _end_of_standard_library(before)
        sys.path[:] = [*before[:place], *added, *before[place:]]
    first = [os.path.abspath(entry) for entry in pythonpath]
    sys.path[:] = [*first, *(entry for entry in sys.path if entry not in first)]


def _site_packages(venv: Path) -> Path:
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    packages = venv / "lib" / version / "site-packages"
    if not packages.is_dir():
        raise FileNotFoundError(f"{venv} is no virtual environment for {version}: {packages} does not exist")
    return packages


def _end_of_standard_library(path: Sequence[str]) -> int:
    homes = {sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib")}
    homes |= {os.path.join(home, "lib-dynload") for home in homes}
    return max((index + 1 for index, entry in enumerate(path) if entry in homes), default=len(path))
