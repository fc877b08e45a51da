"""The runtime directory: a private folder of one daemon, where its processes meet.

    /dev/shm/hornbeamd-k3v9x2q_/     0700, of the user that the workers run as
        hub                          the hub's socket, listening for as long as the supervisor runs
        state/                       unless the state has a folder of its own
        cache/

It is locked, by ``flock`` on the folder itself. The lock is inherited by every process of the daemon and so is held
until the last of them is gone; what nobody holds has been left behind, and the next daemon to start removes it. A
folder that the state has of its own is locked likewise.
"""

from __future__ import annotations

import fcntl
import logging
import os
import shutil
import socket
import stat
import tempfile

from hornbeamd.config.options import Options
from hornbeamd.errors import SupervisionError
from hornbeamd.hub.server import BACKLOG
from hornbeamd.node.place import Place
from hornbeamd.state import folder
from hornbeamd.supervisor.listeners import LONGEST_UNIX_PATH
from hornbeamd.worker.channel import Message
from hornbeamd.worker.identity import owner_ids

log = logging.getLogger("hornbeamd.supervisor")

PREFIX = "hornbeamd-"
CONTENTS = frozenset({"hub", "state", "cache"})
SHARED_MEMORY = "/dev/shm"


class Runtime:
    """The folder. ``locks`` are the descriptors that hold it and the state's own; ``listener`` is the hub's socket;
    ``ours``: it is for this process to remove."""

    place: Place
    locks: list[int]
    listener: socket.socket

    def __init__(self, options: Options, handed: Message | None = None) -> None:
        """Make it. Raises SupervisionError when there is nowhere to, LookupError for an unknown user or group.

        With *handed* it is the one of the daemon before this one, and its to remove until ``ours`` is set.
        """
        self.ours = handed is None
        if handed is None:
            self._make(options)
        else:
            self._inherit(handed)

    def _make(self, options: Options) -> None:
        owner = owner_ids(options.user, options.group)
        parents = dict.fromkeys((SHARED_MEMORY, tempfile.gettempdir()))
        for parent in parents:
            _sweep(parent)
        directory, lock = _new_folder(parents)
        self.locks = [lock]
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.place = Place(directory, options.state.path or os.path.join(directory, "state"))
        try:
            if options.state.path is not None:
                self.locks.append(folder.prepare(self.place.state, owner))
            self._fill(owner)
        except SupervisionError:
            self.close()
            raise
        except OSError as error:
            self.close()
            raise SupervisionError(f"cannot prepare {error.filename or directory}: {error.strerror}") from None
        log.info("runtime directory made", extra={"fields": {"directory": directory}})

    def _inherit(self, handed: Message) -> None:
        self.place = Place(handed["directory"], handed["state"])
        self.locks = handed["locks"]
        self.listener = socket.socket(fileno=handed["listener"])
        for fd in (handed["listener"], *self.locks):
            os.set_inheritable(fd, False)

    def plain(self) -> Message:
        """What another process that inherits the descriptors has to know of it."""
        place = self.place
        return {
            "directory": place.directory,
            "state": place.state,
            "listener": self.listener.fileno(),
            "locks": self.locks,
        }

    def _fill(self, owner: tuple[int, int]) -> None:
        place = self.place
        self.listener.bind(place.hub)
        os.chmod(place.hub, 0o600)
        self.listener.listen(BACKLOG)
        ours = [place.hub, place.cache]
        if os.path.dirname(place.state) == place.directory:
            ours.append(place.state)
        for path in ours[1:]:
            os.mkdir(path, 0o700)
        # The folder itself last: from then on root itself may need a capability to write into it.
        for path in (*ours, place.directory):
            os.chown(path, *owner)

    def close(self) -> None:
        """Remove the folder and let go of it. The state stays where it has a folder of its own."""
        self.listener.close()
        if self.ours:
            shutil.rmtree(self.place.directory, ignore_errors=True)
        for lock in self.locks:
            os.close(lock)


def _new_folder(parents: dict[str, None]) -> tuple[str, int]:
    """A new folder in the first of *parents* that takes one, and the descriptor that locks it."""
    problems = []
    for parent in parents:
        # mkdtemp adds eight characters; the socket in the folder has three and its slash.
        if len(os.fsencode(os.path.join(parent, PREFIX))) + 8 + 4 > LONGEST_UNIX_PATH:
            problems.append(f"the path of {parent} is too long for a Unix socket")
            continue
        try:
            while True:
                directory = tempfile.mkdtemp(prefix=PREFIX, dir=parent)
                lock = _hold(directory)
                if lock is not None:
                    return directory, lock
        except OSError as error:
            problems.append(f"{parent}: {error.strerror}")
    raise SupervisionError(f"there is no place for the runtime directory ({'; '.join(problems)})")


def _hold(directory: str) -> int | None:
    """Lock a folder; gives the descriptor that holds the lock, or None where somebody else has it, or it is gone."""
    try:
        fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.path.samestat(os.stat(directory), os.fstat(fd)):
            return fd
    except (BlockingIOError, FileNotFoundError):
        pass  # one that sweeps was faster, before the lock or after it
    os.close(fd)
    return None


def _sweep(parent: str) -> None:
    """Remove the folders of daemons that are gone, as after SIGKILL or a power failure of the container."""
    try:
        names = [name for name in os.listdir(parent) if name.startswith(PREFIX)]
    except OSError:
        return
    for name in names:
        directory = os.path.join(parent, name)
        try:
            fd = _hold(directory)
        except OSError:  # of another user, or no folder
            continue
        if fd is None:
            continue
        try:
            if _is_ours(fd):
                shutil.rmtree(directory, ignore_errors=True)
                log.info("removed what another daemon left", extra={"fields": {"directory": directory}})
        finally:
            os.close(fd)


def _is_ours(fd: int) -> bool:
    """Whether a folder is one that a daemon made, and not somebody's who likes the same name."""
    return stat.S_IMODE(os.fstat(fd).st_mode) == 0o700 and CONTENTS.issuperset(os.listdir(fd))
