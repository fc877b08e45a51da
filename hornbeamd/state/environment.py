"""One LMDB environment as this process has it: opened when it is first used.

LMDB's rules, kept here so that nobody else has to know them:

* A process opens an environment once, for its locks on the file belong to the process.
* None is open while the process forks. The child could not close what it inherits without taking the parent's readers
  out of the lock file, and not open its own while it is there. So a fork waits for the transactions of other threads,
  and closes the environment; parent and child open it again when they use it, which takes 0.1 ms.
* No write touches memory that a full file system could not provide: that would be a SIGBUS. Data is written by write(),
  which fails in words; the lock file, which is mapped, gets its blocks before LMDB sees it.
"""

from __future__ import annotations

import errno
import os
import sys
import threading
import time
from collections.abc import Callable
from typing import Any, Final

import lmdb

from hornbeamd.errors import StateFull

READERS: Final = 1022
"""How many transactions may read at once, in all processes. A slot is 64 bytes, and the head of the table two more."""

LOCK_SIZE: Final = (READERS + 2) * 64

_NO_ROOM: Final = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)
"""LMDB calls it an input/output error when a page was written in part."""

_NO_ROOM_IN_WORDS: Final = tuple(os.strerror(code) for code in _NO_ROOM)

_FORK_PATIENCE: Final = 1.0
_PATIENCE: Final = 0.1
"""How long, in seconds, a fork, and who closes, waits for other threads that read, write, or wait to write.

Not for ever: transactions that are over may be kept by the traceback of an error.
"""

_opening = threading.RLock()
_environments: dict[str, Environment] = {}


class Environment:
    """What ``path``, a folder, holds; all who ask for the same path get the same one. Use :func:`environment`."""

    begin: Callable[..., Any]
    """Begins a transaction, as lmdb has it."""

    def __init__(self, path: str, max_size: int) -> None:
        self.path = path
        self.users = 0
        self._max_size = max_size
        self._lmdb: Any = None
        self._suspect = False
        self.begin = self._begin_first

    @property
    def lmdb(self) -> Any:
        """The environment of lmdb, open. Raises StateFull when there is no room for its files, and else OSError."""
        with _opening:
            if self._suspect and not self._in_use():
                self.close()
            if self._lmdb is None:
                self._lmdb = _open(self.path, self._max_size)
                self._suspect = False
            if not self._suspect:
                self.begin = self._lmdb.begin
            return self._lmdb

    def _begin_first(self, *arguments: Any, **options: Any) -> Any:
        return self.lmdb.begin(*arguments, **options)

    def renew(self) -> None:
        """Something is wrong with it: it is opened anew as soon as one uses it while nobody else does.

        To close it under a thread that waits to write would bring down the process, or leave the lock taken for good.
        """
        with _opening:
            self._suspect = True
            self.begin = self._begin_first

    def close(self) -> None:
        """Let go of it; who uses it next opens it again. A thread that reads at this moment gets an error."""
        with _opening:
            self.begin = self._begin_first
            if self._lmdb is not None:
                self._lmdb.close()
                self._lmdb = None

    def quiesce(self, patience: float) -> None:
        """Let no transaction begin, and wait until none is under way. For who holds ``_opening``."""
        self.begin = self._begin_first
        end = time.monotonic() + patience
        while self._in_use() and time.monotonic() < end:
            time.sleep(0.0001)

    def _in_use(self) -> bool:
        """Whether there is a transaction, or one about to be, once ``begin`` is no longer that of lmdb."""
        # Each has a reference to it; the two others are ours, and that of the question.
        return self._lmdb is not None and sys.getrefcount(self._lmdb) > 2

    def release(self) -> None:
        """One user less; the last closes it."""
        with _opening:
            self.users -= 1
            if self.users == 0:
                del _environments[self.path]
                self.quiesce(_PATIENCE)
                self.close()
                self.begin = self._begin_closed

    def _begin_closed(self, *arguments: Any, **options: Any) -> Any:
        raise ValueError(f"the store at {self.path} is closed")


def environment(path: str, max_size: int) -> Environment:
    """The environment at *path*, for one more user, who calls ``release`` in the end.

    ``max_size`` is in bytes; whoever comes first decides.
    """
    path = os.path.realpath(path)
    with _opening:
        found = _environments.setdefault(path, Environment(path, max_size))
        found.users += 1
        return found


def _open(path: str, max_size: int) -> Any:
    try:
        os.makedirs(path, mode=0o700, exist_ok=True)
        _reserve(os.path.join(path, "lock.mdb"))
        return lmdb.open(
            path, map_size=max_size, max_readers=READERS, mode=0o600, sync=False, metasync=False, writemap=False
        )
    except (lmdb.Error, OSError) as error:
        raise failure(error) from error


def _reserve(path: str) -> None:
    """Give the lock file all its blocks; LMDB takes the number of readers from its size."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        os.posix_fallocate(descriptor, 0, LOCK_SIZE)
    finally:
        os.close(descriptor)


def size_of_file_system(path: str) -> int:
    """How many bytes the file system has, full or not, that holds *path*, or is to hold it."""
    found = os.statvfs(path if os.path.exists(path) else os.path.dirname(os.path.abspath(path)))
    return found.f_blocks * found.f_frsize


def failure(error: Exception) -> OSError:
    """What *error*, of lmdb or of the system, means to whoever uses the state."""
    if is_full(error):
        return StateFull(errno.ENOSPC, f"the state is full: {error}")
    return OSError(errno.EIO, f"the state cannot be used: {error}")


def is_full(error: Exception) -> bool:
    """Whether there was no room, in the map or on the file system."""
    if isinstance(error, OSError):
        return error.errno in _NO_ROOM
    return isinstance(error, lmdb.MapFullError | lmdb.DiskError) or str(error).endswith(_NO_ROOM_IN_WORDS)


def _before_fork() -> None:
    _opening.acquire()
    for found in list(_environments.values()):
        found.quiesce(_FORK_PATIENCE)
        found.close()


os.register_at_fork(before=_before_fork, after_in_parent=_opening.release, after_in_child=_opening.release)
