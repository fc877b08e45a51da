"""Listening sockets: opened by the supervisor, inherited by every worker, closed when the server ends, or when a reload
has taken them from the configuration (binds.py).

They live as long as the supervisor, so no restart of anything else ever refuses a connection. There is one
socket for each address, shared by all workers; with SO_REUSEPORT each worker would have its own, and the
connections queued on the socket of one that leaves would be reset.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import socket
import stat
from collections.abc import Iterator, MutableMapping, Sequence
from dataclasses import dataclass

from hornbeamd.config.address import Address
from hornbeamd.config.options import Options
from hornbeamd.errors import SupervisionError
from hornbeamd.worker.channel import Message
from hornbeamd.worker.identity import owner_ids

log = logging.getLogger("hornbeamd.supervisor")

SYSTEMD_FIRST_FD = 3  # SD_LISTEN_FDS_START of sd_listen_fds(3)
LONGEST_UNIX_PATH = 107  # sun_path of unix(7), less the NUL

# What a machine without IPv6, or a container without ::1, says to an attempt at it.
_NO_SUCH_FAMILY = frozenset((errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL, errno.EPROTONOSUPPORT))


@dataclass(slots=True)
class Listener:
    """A listening socket. ``address`` is where: "127.0.0.1:8000" or "unix:/path"; ``path`` and ``inode`` are those
    of a Unix socket.

    ``bind`` is what of the configuration it was opened for; None for one that systemd has put in the place of all.
    ``inherited``: it was opened by someone who may go on using it. ``ours``: in an upgrade one daemon after the other
    decides about it.
    """

    socket: socket.socket
    address: str
    bind: Address | None = None
    path: str | None = None
    inode: tuple[int, int] | None = None
    inherited: bool = False
    ours: bool = True

    def plain(self) -> Message:
        """What another process that inherits the descriptor has to know of it."""
        return {
            "fd": self.socket.fileno(),
            "address": self.address,
            "bind": None if self.bind is None else str(self.bind),
            "path": self.path,
            "inode": self.inode,
            "inherited": self.inherited,
        }

    @staticmethod
    def handed(plain: Message) -> Listener:
        """One that was handed over, and is the other process's to decide about until ``ours`` is set."""
        sock = socket.socket(fileno=plain["fd"])
        sock.set_inheritable(False)
        bind = None if plain["bind"] is None else Address.parse(plain["bind"])
        inode = None if plain["inode"] is None else (plain["inode"][0], plain["inode"][1])
        return Listener(
            sock, plain["address"], bind, path=plain["path"], inode=inode, inherited=plain["inherited"], ours=False
        )

    def url(self, *, tls: bool) -> str:
        """What a client connects to."""
        return self.address if self.address.startswith("unix:") else f"http{'s' * tls}://{self.address}"

    def follow(self, options: Options) -> None:
        """Have the open socket, and its file, be as *options* say. Raises SupervisionError where that may not be."""
        if not self.inherited:
            self.socket.listen(options.backlog)  # a second call of listen(2) sets the length of the queue
        path = self.file
        if path is None:
            return
        try:
            os.chown(path, *_owner(path, options.unix_socket_owner))
            os.chmod(path, options.unix_socket_mode)
        except (OSError, LookupError) as error:
            reason = error.strerror if isinstance(error, OSError) else error
            raise SupervisionError(f"cannot change unix:{path}: {reason}") from None

    def refuse(self) -> None:
        """Have the kernel refuse new connections, although workers and spawners hold the same socket.

        An inherited one is left as it is: connections queue there for whoever listens next.
        """
        if self.ours and not self.inherited:
            with contextlib.suppress(OSError):  # refused already; some systems refuse the call itself
                self.socket.shutdown(socket.SHUT_RDWR)
            self.unlink()

    @property
    def file(self) -> str | None:
        """The path of a Unix socket, if what is there is still the one that was made here."""
        if self.path is not None:
            with contextlib.suppress(OSError):
                if _inode(self.path) == self.inode:
                    return self.path
        return None

    def unlink(self) -> None:
        """Remove the file of a Unix socket, but only if it is still the one that was made here."""
        if self.ours and self.file is not None:
            os.unlink(self.file)

    def close(self) -> None:
        """Close the socket and remove its file."""
        self.socket.close()
        self.unlink()


def activated(inherited: Sequence[tuple[int, str]], addresses: Sequence[Address]) -> list[Listener]:
    """The sockets, with their names, that systemd has handed over in place of ``addresses``; none where these name
    descriptors themselves. Raises SupervisionError when one of them is no listening socket."""
    if all(address.kind == "fd" for address in addresses):
        return []
    opened: list[Listener] = []
    for fd, name in inherited:
        opened.append(adopt(fd))
        fields = {"fd": fd, "name": name, "address": opened[-1].address, "instead_of": list(map(str, addresses))}
        log.info("using a socket from systemd", extra={"fields": fields})
    return opened


def open_bind(address: Address, options: Options, beside: Sequence[Listener] = ()) -> list[Listener]:
    """Listen at one address of the configuration, which may take several sockets.

    ``beside`` are sockets of ours that are about to be closed: what they hold may be taken already. Raises
    SupervisionError naming the address and the reason.
    """
    if address.kind == "fd":
        opened = [adopt(address.fd)]
    elif address.kind == "unix":
        opened = [open_unix(address.path, options.backlog, options.unix_socket_mode, options.unix_socket_owner)]
    else:
        rivals = [each.socket for each in beside if each.socket.family != socket.AF_UNIX and not each.inherited]
        opened = _open_tcp(address, options.backlog, rivals)
    for listener in opened:
        listener.bind = address
    return opened


def inherited_descriptors(environ: MutableMapping[str, str]) -> list[tuple[int, str]]:
    """The descriptors that systemd passed to this very process, with their names; see sd_listen_fds(3).

    The variables that announce them are removed from ``environ``, so that nobody else takes them.
    """
    pid = environ.pop("LISTEN_PID", "")
    number = environ.pop("LISTEN_FDS", "")
    names = environ.pop("LISTEN_FDNAMES", "").split(":")
    environ.pop("LISTEN_PIDFDID", None)
    if pid != str(os.getpid()):
        return []
    if not number.isdecimal():
        raise SupervisionError(f"LISTEN_FDS is no number: {number!r}")
    names += ["unknown"] * (int(number) - len(names))
    return [(SYSTEMD_FIRST_FD + index, names[index] or "unknown") for index in range(int(number))]


def adopt(fd: int) -> Listener:
    """Take over an inherited descriptor. Raises SupervisionError unless it is a listening stream socket."""
    try:
        sock = socket.socket(fileno=fd)
    except OSError as error:
        raise SupervisionError(f"fd://{fd} is no socket: {error.strerror}") from None
    if sock.type != socket.SOCK_STREAM or not sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
        sock.detach()
        raise SupervisionError(f"fd://{fd} is no listening stream socket")
    sock.set_inheritable(False)
    sock.setblocking(False)
    return Listener(sock, _address(sock), inherited=True)


def restored(fd: int, bind: Address) -> Listener | None:
    """A socket of a daemon that is gone, which it had opened for *bind*; None when no client could find it any more."""
    listener = adopt(fd)
    listener.bind, listener.inherited = bind, False
    if bind.kind == "unix":
        listener.address, listener.path = str(bind), bind.path
        with contextlib.suppress(FileNotFoundError):
            if stat.S_ISSOCK(os.lstat(bind.path).st_mode):
                listener.inode = _inode(bind.path)
        if listener.inode is None:
            listener.socket.close()
            return None
    return listener


def _open_tcp(address: Address, backlog: int, rivals: Sequence[socket.socket]) -> list[Listener]:
    """Listen on every address that the host stands for; without a host on all interfaces."""
    if not address.host:
        return _open_everywhere(address.port, backlog, rivals)
    try:
        found = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError as error:
        raise SupervisionError(f"cannot listen on {address}: the host does not resolve ({error.strerror})") from None
    opened: list[Listener] = []
    failed: OSError | None = None
    for family, _, _, _, place in dict.fromkeys(found):
        try:
            opened.append(_listen(family, place, backlog, rivals))
        except OSError as error:
            failed = error
            if error.errno not in _NO_SUCH_FAMILY:
                break
    if failed is not None and (not opened or failed.errno not in _NO_SUCH_FAMILY):
        for listener in opened:
            listener.close()
        raise SupervisionError(f"cannot listen on {address}: {failed.strerror}") from None
    return opened


def _open_everywhere(port: int, backlog: int, rivals: Sequence[socket.socket]) -> list[Listener]:
    """Listen on all interfaces: one socket for IPv4 and one for IPv6, so that clients keep their own kind of
    address.

    (One IPv6 socket for both would show 192.0.2.1 as ::ffff:192.0.2.1, which no allow list expects.)
    """
    try:
        four = _listen(socket.AF_INET, ("0.0.0.0", port), backlog, rivals)
    except OSError as error:
        raise SupervisionError(f"cannot listen on :{port}: {error.strerror}") from None
    try:
        six = [_listen(socket.AF_INET6, ("::", four.socket.getsockname()[1]), backlog, rivals)]
    except OSError as error:
        if error.errno not in _NO_SUCH_FAMILY:
            four.close()
            raise SupervisionError(f"cannot listen on [::]:{port}: {error.strerror}") from None
        six = []
    families = "IPv4 and IPv6" if six else "IPv4 only"
    log.info("listening on all interfaces", extra={"fields": {"families": families}})
    return [four, *six]


def _listen(
    family: int,
    place: tuple[str, int] | tuple[str, int, int, int] | tuple[int, bytes],
    backlog: int,
    rivals: Sequence[socket.socket],
) -> Listener:
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        with _sharing([sock, *(rival for rival in rivals if rival.getsockname()[1] == place[1])]):
            sock.bind(place)
            sock.listen(backlog)
        sock.setblocking(False)
    except BaseException:
        sock.close()
        raise
    return Listener(sock, _address(sock))


@contextlib.contextmanager
def _sharing(sockets: Sequence[socket.socket]) -> Iterator[None]:
    """Have sockets tolerate each other on one port, as "127.0.0.1:8000" and ":8000" while one follows the other."""
    if len(sockets) > 1:
        for sock in sockets:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    try:
        yield
    finally:
        if len(sockets) > 1:
            for sock in sockets:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 0)


def open_unix(path: str, backlog: int, mode: int, owner: str | None) -> Listener:
    """Listen on a Unix socket that appears under its path complete: listening, with its mode and owner.

    What a dead server has left there is replaced. A live server's socket, or a file of another kind, is an
    error.
    """
    # Bound under another name first: between bind() and chmod() the socket would be open to whomever umask
    # lets in.
    unborn = f"{path}.{os.getpid()}"
    if len(os.fsencode(unborn)) > LONGEST_UNIX_PATH:
        raise SupervisionError(f"cannot listen on unix:{path}: the path is too long for a Unix socket")
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    made = False
    try:
        _refuse_occupied(path)
        sock.bind(unborn)
        made = True
        os.chmod(unborn, mode)
        if owner is not None:
            os.chown(unborn, *_owner(unborn, owner))
        sock.listen(backlog)
        sock.setblocking(False)
        os.rename(unborn, path)
    except (OSError, LookupError) as error:
        sock.close()
        if made:
            os.unlink(unborn)
        reason = error.strerror if isinstance(error, OSError) else error
        raise SupervisionError(f"cannot listen on unix:{path}: {reason}") from None
    return Listener(sock, f"unix:{path}", path=path, inode=_inode(path))


def _refuse_occupied(path: str) -> None:
    """Raise FileExistsError unless ``path`` is free or the socket of a server that is gone."""
    try:
        kind = os.lstat(path).st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(kind):
        raise FileExistsError(errno.EEXIST, "a file that is no socket is there")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)  # a full backlog must not hold us up: it is proof of life as well
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            return
        except BlockingIOError:
            pass
    raise FileExistsError(errno.EADDRINUSE, "another server listens there")


def _owner(path: str, owner: str | None) -> tuple[int, int]:
    """Whose the file of a Unix socket is by ``unix_socket_owner``; without, whose a new one would be."""
    if owner is not None:
        user, _, group = owner.partition(":")
        return owner_ids(user or None, group or None)
    folder = os.stat(os.path.dirname(path) or ".")
    return os.geteuid(), folder.st_gid if folder.st_mode & stat.S_ISGID else os.getegid()


def _inode(path: str) -> tuple[int, int]:
    found = os.lstat(path)
    return found.st_dev, found.st_ino


def _address(sock: socket.socket) -> str:
    name = sock.getsockname()
    if sock.family == socket.AF_UNIX:
        return f"unix:{os.fsdecode(name)}"
    host = f"[{name[0]}]" if sock.family == socket.AF_INET6 else name[0]
    return f"{host}:{name[1]}"
