"""``wsgi.file_wrapper`` (PEP 3333, "Optional Platform-Specific File Handling")."""

from __future__ import annotations

import io
import os
import stat
from typing import BinaryIO


class FileWrapper:
    """``wsgi.file_wrapper``: a file whose rest the server sends, by sendfile(2) where it can."""

    def __init__(self, filelike: BinaryIO, blksize: int = 65536) -> None:
        self.filelike = filelike
        self.blksize = blksize
        if hasattr(filelike, "close"):
            self.close = filelike.close

    def __iter__(self) -> FileWrapper:
        return self

    def __next__(self) -> bytes:
        data = self.filelike.read(self.blksize)
        if not data:
            raise StopIteration
        return data

    def regular(self) -> tuple[BinaryIO, int, int] | None:
        """Return file, offset and size of the rest, or None where the kernel cannot send it."""
        file = getattr(self.filelike, "file", self.filelike)  # tempfile's wrappers keep the file there
        # The descriptor of a gzip.GzipFile, for one, is that of the compressed file.
        if not isinstance(getattr(file, "raw", file), io.FileIO) or file.closed:
            return None
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            return None
        offset = file.tell()
        return file, offset, max(status.st_size - offset, 0)
