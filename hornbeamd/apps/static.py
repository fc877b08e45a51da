"""Files of a folder, served as they are.

What is served is what the path says, segment by segment: no empty ones, no ``..``, none that hold a slash, a backslash
or a NUL once they are decoded, none that begin with a dot (but ``.well-known``, RFC 8615). A file is opened first, and
then looked at where it really is: a symbolic link may lead anywhere inside the folder and nowhere else. What is no
regular file does not exist. A folder is its ``index.html``.

Files are looked up and small ones read in the event loop: from the page cache that takes less time than handing it to a
thread and back. Larger ones go by ``Exchange.send_file``.
"""

from __future__ import annotations

import asyncio
import errno
import fcntl
import io
import logging
import mimetypes
import os
import stat
from email.utils import formatdate
from urllib.parse import unquote_to_bytes

from hornbeamd.apps.conditions import UNSATISFIABLE, byte_range, precondition
from hornbeamd.errors import ClientGone, HookError, ResponseError
from hornbeamd.http.exchange import Exchange

log = logging.getLogger("hornbeamd.app")

# Up to here a file is read at once, and leaves in one write with its head.
_AT_ONCE = 65536
_INDEX = b"index.html"
_VISIBLE_DOTS = frozenset((b".well-known",))
_OPEN = os.O_RDONLY | os.O_CLOEXEC | os.O_NOCTTY | os.O_NONBLOCK  # a FIFO without a writer would block
_OPEN_FOLDER = getattr(os, "O_PATH", os.O_RDONLY) | os.O_DIRECTORY | os.O_CLOEXEC
_NOT_THERE = frozenset(
    (errno.ENOENT, errno.ENOTDIR, errno.EACCES, errno.EPERM, errno.ELOOP, errno.ENAMETOOLONG, errno.ENXIO, errno.ENODEV)
)
_ENCODED_TYPES = {"gzip": "application/gzip", "bzip2": "application/x-bzip2", "xz": "application/x-xz"}
_MORE_TYPES = {
    ".avif": "image/avif",
    ".md": "text/markdown",
    ".webmanifest": "application/manifest+json",
    ".webp": "image/webp",
    ".woff": "font/woff",
    ".woff2": "font/woff2",
}


class StaticFiles:
    """Serves the files of *directory* below *prefix*; *root_path* is what a proxy has taken away in front of that."""

    capacity = 0

    def __init__(self, directory: str, prefix: str = "", root_path: str = "") -> None:
        self.directory = directory
        self.root_path = root_path.encode()
        self._depth = prefix.rstrip("/").count("/") + 1
        self._sending: set[asyncio.Task[None]] = set()
        self._types = mimetypes.MimeTypes()
        for path in filter(os.path.isfile, mimetypes.knownfiles):
            self._types.read(path)
        for suffix, kind in _MORE_TYPES.items():
            self._types.add_type(kind, suffix)

    async def startup(self) -> None:
        """There is nothing to start."""

    def drain(self, seconds: float) -> None:
        """There are no WebSockets."""

    async def finished(self) -> None:
        """Return when all files are sent."""
        while self._sending:
            await asyncio.wait(self._sending)

    async def shutdown(self) -> None:
        """Break off what is still being sent."""
        for task in self._sending:
            task.cancel()

    def stuck(self, now: float) -> str | None:
        return None

    def handle(self, exchange: Exchange) -> None:
        """Answer with the file that the path names, or say why not."""
        try:
            self._serve(exchange)
        except ClientGone:
            pass
        except HookError:
            exchange.fail()
        except (OSError, ResponseError) as error:
            log.error("a file could not be served: %s", error, extra={"fields": _facts(exchange)})
            full = isinstance(error, OSError) and error.errno in (errno.EMFILE, errno.ENFILE)
            exchange.fail(503 if full else 500)
        except Exception:
            log.exception("a file could not be served", extra={"fields": _facts(exchange)})
            exchange.fail()

    def _serve(self, exchange: Exchange) -> None:
        if exchange.method not in ("GET", "HEAD"):
            exchange.answer(405, [(b"allow", b"GET, HEAD")])
            return
        segments = self._segments(exchange.request.raw_path)
        opened = None if segments is None else self._open(segments)
        if opened is None:
            exchange.answer(404)
            return
        try:
            status = os.fstat(opened)
            if stat.S_ISREG(status.st_mode):
                self._send(exchange, opened, status)
            elif stat.S_ISDIR(status.st_mode) and not exchange.request.raw_path.endswith(b"/"):
                self._redirect(exchange)
            else:
                exchange.answer(404)
        finally:
            os.close(opened)

    # --- from the path to the file ---

    def _segments(self, raw_path: bytes) -> list[bytes] | None:
        """The names on the way to the file, the last one ``index.html`` for a folder; None where one is not allowed."""
        encoded = raw_path.split(b"/")[self._depth :]
        if encoded and not encoded[-1]:
            encoded[-1] = _INDEX
        segments = [unquote_to_bytes(segment) for segment in encoded]
        for segment in segments:
            if not segment or b"/" in segment or b"\\" in segment or b"\0" in segment:
                return None
            if segment.startswith(b".") and segment not in _VISIBLE_DOTS:
                return None
        return segments

    def _open(self, segments: list[bytes]) -> int | None:
        """Open what the segments lead to, in the folder or below; None where nothing is to be had."""
        folder = opened = -1
        try:
            folder = os.open(self.directory, _OPEN_FOLDER)
            opened = os.open(b"/".join(segments) or b".", _OPEN, dir_fd=folder)
            if _within(_real_path(opened), _real_path(folder)):
                found, opened = opened, -1
                return found
        except OSError as error:
            if error.errno not in _NOT_THERE:
                raise
        finally:
            for fd in (folder, opened):
                if fd >= 0:
                    os.close(fd)
        return None

    def _redirect(self, exchange: Exchange) -> None:
        """To the same folder with a slash at its end, so that relative links in its index lead somewhere."""
        request = exchange.request
        query = b"?" + request.query if request.query else b""
        place = exchange.prefix.encode() + self.root_path + request.raw_path + b"/" + query
        exchange.answer(301, [(b"location", place)])

    # --- from the file to the answer ---

    def _send(self, exchange: Exchange, opened: int, status: os.stat_result) -> None:
        """Answer with the file, or a part of it, or say that the client has it or asks for what is not there."""
        size, modified = status.st_size, int(status.st_mtime)
        tag = b'"%x-%x"' % (status.st_mtime_ns, size)
        fields = exchange.headers
        outcome = precondition(fields, tag, modified)
        if outcome == 412:
            exchange.answer(412)
            return
        headers = [(b"etag", tag), (b"last-modified", formatdate(modified, usegmt=True).encode())]
        if outcome == 304:
            exchange.start(304, headers)
            exchange.write(b"", False)
            return
        part = byte_range(fields, tag, modified, size) if exchange.method == "GET" else None
        if part == UNSATISFIABLE:
            exchange.answer(416, [(b"content-range", b"bytes */%d" % size)])
            return
        headers += [(b"accept-ranges", b"bytes"), (b"content-type", self._type(exchange.path))]
        start, stop = part or (0, size)
        headers.append((b"content-length", b"%d" % (stop - start)))
        if part is not None:
            headers.append((b"content-range", b"bytes %d-%d/%d" % (start, stop - 1, size)))
        exchange.start(200 if part is None else 206, headers)
        self._send_body(exchange, opened, start, stop - start)

    def _send_body(self, exchange: Exchange, opened: int, offset: int, count: int) -> None:
        if exchange.method == "HEAD":
            exchange.write(b"", False)
        elif count <= _AT_ONCE:
            exchange.write(os.pread(opened, count, offset), False)
        else:
            file = io.FileIO(os.dup(opened))
            task = asyncio.get_running_loop().create_task(_sent(exchange, file, offset, count))
            self._sending.add(task)
            task.add_done_callback(self._sending.discard)

    def _type(self, path: str) -> bytes:
        kind, encoding = self._types.guess_type(_INDEX.decode() if path.endswith("/") else path.rpartition("/")[2])
        if encoding is not None:  # a .tar.gz is what it is, not a tar that the client is to unpack
            kind = _ENCODED_TYPES.get(encoding)
        kind = kind or "application/octet-stream"
        return f"{kind}; charset=utf-8".encode() if kind.startswith("text/") else kind.encode()


async def _sent(exchange: Exchange, file: io.FileIO, offset: int, count: int) -> None:
    """Send a part of *file*, and close it."""
    with file:
        try:
            await exchange.send_file(file, offset, count)
        except ClientGone:
            pass
        except asyncio.CancelledError:
            exchange.fail()
        except ResponseError as error:
            log.error("a file could not be sent: %s", error, extra={"fields": _facts(exchange)})
            exchange.fail()
        except Exception:
            log.exception("a file could not be sent", extra={"fields": _facts(exchange)})
            exchange.fail()


def _facts(exchange: Exchange) -> dict[str, object]:
    return {"request": exchange.request_id, "method": exchange.method, "path": exchange.path}


def _real_path(fd: int) -> bytes:
    """Where what is open really is, without symbolic links."""
    if hasattr(fcntl, "F_GETPATH"):
        return fcntl.fcntl(fd, fcntl.F_GETPATH, bytes(1024)).rstrip(b"\0")
    return os.readlink(b"/proc/self/fd/%d" % fd)


def _within(path: bytes, folder: bytes) -> bool:
    return path == folder or path.startswith(folder.rstrip(b"/") + b"/")
