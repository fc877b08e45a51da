"""The pidfile: says which process is the daemon, and keeps a second one from starting.

It is locked for as long as the daemon runs. A number alone proves nothing: after a restart of a container it
may be that of any other process, even our own, while a lock goes with the process that held it.
"""

from __future__ import annotations

import fcntl
import os

from hornbeamd.errors import SupervisionError
from hornbeamd.worker.channel import Message


class Pidfile:
    """A locked file with the process id of this process. ``ours``: it is for this process to remove."""

    def __init__(self, path: str, fd: int = -1) -> None:
        """Write and lock it. Raises SupervisionError when a live daemon holds it, or it cannot be written.

        With *fd* it is one that the daemon before this one has locked, and holds until :meth:`take`.
        """
        self.path = path
        self._fd = fd
        self.ours = False
        try:
            if fd < 0:
                self._fd = self._locked()
                self.take()
            else:
                os.set_inheritable(fd, False)
        except OSError as error:
            raise SupervisionError(f"cannot write the pidfile {path}: {error.strerror}") from None

    def plain(self) -> Message:
        """What another process that inherits the descriptor has to know of it."""
        return {"path": self.path, "fd": self._fd}

    def take(self) -> None:
        """Be the process that it names."""
        os.ftruncate(self._fd, 0)
        os.pwrite(self._fd, b"%d\n" % os.getpid(), 0)
        self.ours = True

    def _locked(self) -> int:
        while True:
            fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o644)
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                holder = os.read(fd, 32).decode(errors="replace").strip()
                os.close(fd)
                raise SupervisionError(f"already running as process {holder} ({self.path})") from None
            if self._is_current(fd):
                return fd
            os.close(fd)  # its holder removed it between our open() and our lock

    def _is_current(self, fd: int) -> bool:
        try:
            return os.path.samestat(os.stat(self.path), os.fstat(fd))
        except FileNotFoundError:
            return False

    def remove(self) -> None:
        """Delete the file, unless another one has taken its place, and release the lock."""
        if self.ours and self._is_current(self._fd):
            os.unlink(self.path)
        os.close(self._fd)
