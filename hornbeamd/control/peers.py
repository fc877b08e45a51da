"""Who is at the other end of the control socket, and what he may do, by what the kernel knows of him."""

from __future__ import annotations

import socket
import struct
from array import array
from dataclasses import dataclass

from hornbeamd.control.command import CHANGE, LOOK

_CREDENTIALS = struct.Struct("3i")  # struct ucred of unix(7): pid, uid, gid
_GROUPS = 59  # SO_PEERGROUPS, which Python has no name for
_MOST_BYTES = 1024  # what Python's getsockopt takes: 256 groups


@dataclass(frozen=True, slots=True)
class Peer:
    """A process, its user, and the groups that it was in when it connected."""

    pid: int
    uid: int
    groups: frozenset[int]


@dataclass(frozen=True, slots=True)
class Access:
    """Who may do what: root and *uid* everything, members of the group *gid*, if there is one, what *group_may* says.

    LOOK and CHANGE are the kinds of commands; "all" is both.
    """

    uid: int
    gid: int | None = None
    group_may: str = "all"

    def refusal(self, peer: Peer | None, kind: str) -> str | None:
        """Why *peer* may not use commands of this *kind*, or None. Of one that the system tells nothing of the mode of
        the socket is judge enough."""
        if peer is None or peer.uid in (0, self.uid):
            return None
        if self.gid is None or self.gid not in peer.groups:
            group = f", and members of group {self.gid}" if self.gid is not None else " (see control.group)"
            return f"user {peer.uid} may not control this daemon: root and user {self.uid} may{group}"
        if kind == CHANGE and self.group_may == LOOK:
            return f"group {self.gid} may look, but not change anything (control.group_may)"
        return None


def peer_of(sock: socket.socket) -> Peer | None:
    """Who is connected to *sock*, or None where the system does not tell."""
    if not hasattr(socket, "SO_PEERCRED"):
        return None
    pid, uid, gid = _CREDENTIALS.unpack(sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size))
    return Peer(pid, uid, frozenset((gid, *_more_groups(sock))))


def _more_groups(sock: socket.socket) -> list[int]:
    """The supplementary groups as the kernel has them, so that no directory service needs to be asked.

    None of a peer that has more than fit: it can only be let in by its first group.
    """
    try:
        data = sock.getsockopt(socket.SOL_SOCKET, _GROUPS, _MOST_BYTES)
    except OSError:
        return []
    groups = array("I")
    groups.frombytes(data[: len(data) // groups.itemsize * groups.itemsize])
    return list(groups)
