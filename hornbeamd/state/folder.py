"""A folder on disk that a state lives in: one daemon has it at a time, and a machine that goes down leaves it whole.

LMDB is written without waiting for the disk, so after a loss of power any page in the file may be old or new. What
makes that safe is a second file, ``synced``: the two meta pages as they were when the file was last synced, each of
them the root of a tree. upkeep.py writes it, and sees to it that no page of that tree is used again before there is a
newer one. Once the machine has been down, the meta pages are put back, and the state is the one of that moment. While
it is up they are not: the end of a process loses nothing.
"""

from __future__ import annotations

import fcntl
import os
import stat
from contextlib import suppress
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from struct import Struct
from typing import Final

from hornbeamd.errors import SupervisionError

DATA: Final = "data.mdb"
SYNCED: Final = "synced"

_META: Final = Struct("=16xII8x8xI92xQQ")
"""Of a meta page of LMDB: magic number, version of the format, page size, last page and number of the transaction."""
_MAGIC: Final = 0xBEEFC0DE

_BOOT: Final = Path("/proc/sys/kernel/random/boot_id")
_TITLE: Final = b"hornbeamd state 1\n"


@dataclass(frozen=True, slots=True)
class Metas:
    """The first two pages of a data file, and what they say."""

    pages: bytes
    size: int
    """How large the file has to be, in bytes, for each page of the newest tree to be in it."""

    @staticmethod
    def read(data: int) -> Metas:
        """Those of the open file *data*. Raises ValueError when it is not LMDB's."""
        head = os.pread(data, _META.size, 0)
        if len(head) < _META.size:
            raise ValueError("it is too short")
        page_size = _META.unpack(head)[2]
        return Metas.of(os.pread(data, 2 * page_size, 0))

    @staticmethod
    def of(pages: bytes) -> Metas:
        """Those in *pages*. Raises ValueError when they are none."""
        page_size = len(pages) // 2
        found = [_META.unpack_from(pages, start) for start in (0, page_size) if len(pages) - start >= _META.size]
        if len(found) != 2 or any(magic != _MAGIC or size != page_size for magic, _, size, _, _ in found):
            raise ValueError("it is not a file of LMDB")
        last = max(found, key=lambda meta: meta[4])[3]
        return Metas(pages, (last + 1) * page_size)


def boot_id() -> str:
    """What tells this run of the machine from others; always the same where there is no such thing."""
    return _BOOT.read_text().strip() if _BOOT.exists() else "unknown"


def prepare(path: str, owner: tuple[int, int] | None = None) -> int:
    """Make sure that *path* is a folder for a state, not in use and whole; a descriptor that keeps it ours while open.

    A folder that is missing is made, for the user and group *owner*. Raises SupervisionError when it cannot be used,
    and then nothing in it was changed.
    """
    try:
        _make(path, owner)
        folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise SupervisionError(f"the state cannot live in {path}: {error.strerror}") from error
    try:
        fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        _recover(folder)
    except BlockingIOError:
        os.close(folder)
        raise SupervisionError(f"another daemon has its state in {path}") from None
    except (OSError, ValueError) as error:
        os.close(folder)
        raise SupervisionError(f"the state cannot live in {path}: {error}") from error
    return folder


def _make(path: str, owner: tuple[int, int] | None) -> None:
    try:
        os.mkdir(path, 0o700)
    except FileExistsError:
        return
    if owner is not None and owner != (os.geteuid(), os.getegid()):
        os.chown(path, *owner)


def _recover(folder: int) -> None:
    synced = read_synced(folder)
    if synced is None:
        if DATA in os.listdir(folder):
            raise ValueError(f"{DATA} in it was not written by hornbeamd")
        write_synced(folder, b"")
        return
    boot, pages = synced
    try:
        data = _open(folder, DATA, os.O_RDWR)
    except FileNotFoundError:
        pages = b""
    else:
        with open(data, "r+b"):
            pages = _kept(data) if boot == boot_id() else _put_back(data, pages)
    write_synced(folder, pages)


def _kept(data: int) -> bytes:
    """The meta pages of a file that only processes have left; none if nothing was stored yet."""
    os.fsync(data)
    return Metas.read(data).pages if os.fstat(data).st_size else b""


def _put_back(data: int, pages: bytes) -> bytes:
    """Make of the data file what it was at its last sync; *pages* is empty if it never had one."""
    size = Metas.of(pages).size if pages else 0
    if not size or os.fstat(data).st_size < size:
        os.ftruncate(data, size)
    os.pwrite(data, pages, 0)
    os.fsync(data)
    return pages


def _open(folder: int, name: str, flags: int) -> int:
    """Open a file, for which the folder's owner alone answers: with the rights of root no link of his is followed."""
    descriptor = os.open(name, flags | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=folder)
    found = os.fstat(descriptor)
    if not stat.S_ISREG(found.st_mode) or found.st_nlink != 1:
        os.close(descriptor)
        raise ValueError(f"{name} in it is not a file of its own")
    return descriptor


def read_synced(folder: int) -> tuple[str, bytes] | None:
    """The boot id and the meta pages of the last sync, none if there was no sync yet; None without such a file.

    Raises ValueError when the file is not what :func:`write_synced` wrote.
    """
    try:
        descriptor = _open(folder, SYNCED, os.O_RDONLY)
    except FileNotFoundError:
        return None
    with open(descriptor, "rb") as file:
        whole = file.read()
    digest, content = whole[:32], whole[32:]
    title, boot, pages = content[: len(_TITLE)], *content[len(_TITLE) :].partition(b"\n")[::2]
    if blake2b(content, digest_size=32).digest() != digest or title != _TITLE:
        raise ValueError(f"{SYNCED} in it is damaged, or was not written by hornbeamd")
    return boot.decode("ascii"), pages


def write_synced(folder: int, pages: bytes) -> None:
    """Say that *pages* are the meta pages of what is on the disk, and that this run of the machine has written them."""
    content = _TITLE + boot_id().encode("ascii") + b"\n" + pages
    with suppress(FileNotFoundError):
        os.unlink(SYNCED + ".new", dir_fd=folder)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    with open(os.open(SYNCED + ".new", flags, 0o600, dir_fd=folder), "wb") as file:
        file.write(blake2b(content, digest_size=32).digest() + content)
        file.flush()
        os.fsync(file.fileno())
    os.rename(SYNCED + ".new", SYNCED, src_dir_fd=folder, dst_dir_fd=folder)
    os.fsync(folder)
