"""The arenas of the C library's memory; in a process of its own, for they stay."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

GLIBC = "glibc" in (os.confstr("CS_GNU_LIBC_VERSION") or "") if "CS_GNU_LIBC_VERSION" in os.confstr_names else False

THREADS = """
import ctypes, sys, threading
from hornbeamd.worker.memory import share_arenas

share_arenas()
together = threading.Barrier(6)
libc = ctypes.CDLL(None)
libc.malloc.restype = libc.fopen.restype = ctypes.c_void_p


def work():
    together.wait()
    libc.malloc(100_000)
    together.wait()


threads = [threading.Thread(target=work) for _ in range(6)]
for each in threads:
    each.start()
for each in threads:
    each.join()
file = ctypes.c_void_p(libc.fopen(sys.argv[1].encode(), b"w"))
libc.malloc_info(0, file)
libc.fclose(file)
"""


@pytest.mark.skipif(not GLIBC, reason="another C library")
@pytest.mark.parametrize(
    ("wanted", "arenas"),
    [({}, 2), ({"MALLOC_ARENA_MAX": "3"}, 3), ({"GLIBC_TUNABLES": "glibc.malloc.arena_max=4"}, 4)],
)
def test_threads_share_arenas_unless_somebody_has_said_how_many(
    tmp_path: Path, wanted: dict[str, str], arenas: int
) -> None:
    said = ("MALLOC_ARENA_MAX", "GLIBC_TUNABLES")
    environment = {key: value for key, value in os.environ.items() if key not in said} | wanted
    subprocess.run([sys.executable, "-c", THREADS, str(tmp_path / "info")], env=environment, timeout=30, check=True)
    assert (tmp_path / "info").read_text().count("<heap ") == arenas
