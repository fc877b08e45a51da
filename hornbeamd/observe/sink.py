"""Where log lines go: a file, or an open descriptor, that several processes append to.

Three rules:

* Whole lines, one ``write(2)`` for as many as possible. A file is opened with O_APPEND: the kernel then keeps
  each write in one piece; a pipe does that up to PIPE_BUF bytes only, so it is given lines in such portions.
* A log never breaks the server. What cannot be written (disk full, reader gone, file closed) is dropped. The
  caller learns how much, counts it, and says so when writing works again.
* A line torn by a full disk is ended before the next begins, so that the damage stays one line.
"""

from __future__ import annotations

import os
import select
import stat
import sys
from collections.abc import Iterator

_FLAGS = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
# Readable by the owner and a group such as "adm": logs hold addresses and paths of people.
_MODE = 0o640


class Sink:
    """An append-only destination for lines. Not thread-safe.

    *path* names a file; where it is None, lines go to *descriptor*, which is not closed. With *owner* (uid,
    gid) a file is given to that user, so that processes that drop to it can append; a link must be our own then.
    Raises OSError when a file cannot be opened.
    """

    error: OSError | None = None
    """Why the last write failed."""

    def __init__(self, path: str | None, descriptor: int = -1, owner: tuple[int, int] | None = None) -> None:
        self.path = path
        self._owner = owner
        self._torn = False
        self._descriptor = descriptor
        if path is not None:
            self._descriptor = self._open(path)
        self._portion = _portion(self._descriptor)

    def _open(self, path: str) -> int:
        if self._owner is None:
            return os.open(path, _FLAGS, _MODE)
        # A folder that belongs to the user may hold a link that the user has put there, to make us, as root, write
        # to another file or give it away (CVE-2016-1247 of nginx): only our own links are followed.
        descriptor = os.open(path, _FLAGS if _is_link_of_ours(path) else _FLAGS | os.O_NOFOLLOW, _MODE)
        try:
            status = os.fstat(descriptor)
            if stat.S_ISREG(status.st_mode) and status.st_nlink == 1:
                os.fchown(descriptor, *self._owner)
        except OSError:
            os.close(descriptor)
            raise
        return descriptor

    def write(self, data: bytes) -> int:
        """Append *data*, whole lines; return how many of its bytes were written: fewer where it failed."""
        if self._torn:
            self._torn = not self._put(b"\n")
        written = 0
        for portion in self._portions(data):
            done = self._put(portion)
            written += done
            if done < len(portion):
                self._torn = self._torn or (done > 0 and portion[done - 1] != 0x0A)
                break
        return written

    def _put(self, data: bytes) -> int:
        written = 0
        try:
            while written < len(data):
                written += os.write(self._descriptor, data[written:] if written else data)
        except OSError as error:
            self.error = error
        return written

    def _portions(self, data: bytes) -> Iterator[bytes]:
        start, size = 0, len(data)
        while size - start > self._portion:
            end = data.rfind(b"\n", start, start + self._portion) + 1 or data.find(b"\n", start) + 1 or size
            yield data[start:end]
            start = end
        if start < size:
            yield data[start:] if start else data

    def reopen(self) -> None:
        """Open the file again under its name. Raises OSError, and then the old one stays in use."""
        if self.path is not None:
            descriptor = self._open(self.path)
            self._descriptor, old = descriptor, self._descriptor
            self._torn = False
            self._portion = _portion(descriptor)
            os.close(old)

    def close(self) -> None:
        """Close the file, if it is one that was opened here."""
        if self.path is not None and self._descriptor >= 0:
            os.close(self._descriptor)
        self._descriptor = -1


def _is_link_of_ours(path: str) -> bool:
    try:
        status = os.lstat(path)
    except OSError:  # opening it will say what is wrong
        return False
    return stat.S_ISLNK(status.st_mode) and status.st_uid == os.geteuid()


def _portion(descriptor: int) -> int:
    """How many bytes of one write stay in one piece."""
    try:
        is_pipe = stat.S_ISFIFO(os.fstat(descriptor).st_mode)
    except OSError:  # closed: writing will say so
        is_pipe = False
    return select.PIPE_BUF if is_pipe else sys.maxsize
