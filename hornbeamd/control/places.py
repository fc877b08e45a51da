"""Where the control socket of a daemon is, when its configuration does not say: known to the daemon and to its clients.

The first of these folders that the daemon can write to:

    /run/hornbeam                    made by root or by systemd (RuntimeDirectory=hornbeam)
    $XDG_RUNTIME_DIR/hornbeam        of a user who is logged in
    <temporary files>/hornbeam-UID   of anybody else; private

The socket there is ``control.sock``, of the daemon that runs from a configuration file; ``control-PID.sock`` of one
that runs without, as developers start them by the dozen, and of one that comes second. So no daemon takes the name of
another, and a client that finds one socket alive needs not be told which.
"""

from __future__ import annotations

import os
import stat

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

SYSTEM = "/run/hornbeam"
FOLDER = "hornbeam"
NAME = "control.sock"


def numbered(pid: int) -> str:
    """The name of the socket of a daemon that has none to itself."""
    return f"control-{pid}.sock"


def folders(environ: Mapping[str, str]) -> list[str]:
    """The folders, first choice first."""
    found = [SYSTEM]
    if runtime := environ.get("XDG_RUNTIME_DIR"):
        found.append(os.path.join(runtime, FOLDER))
    found.append(os.path.join(environ.get("TMPDIR") or "/tmp", f"{FOLDER}-{os.geteuid()}"))
    return found


def sockets(environ: Mapping[str, str]) -> list[str]:
    """What there is of sockets in all folders, alive or not."""
    found = []
    for folder in folders(environ):
        try:
            names = os.listdir(folder)
        except OSError:
            continue
        if is_safe(folder):
            found += [os.path.join(folder, name) for name in sorted(names) if is_ours(name)]
    return found


def is_ours(name: str) -> bool:
    """Whether a file of this name is, or was, a control socket."""
    return name == NAME or (name.startswith("control-") and name.endswith(".sock") and name[8:-5].isdecimal())


def is_safe(folder: str) -> bool:
    """Whether a folder is one in which nobody but root, and who runs this process, can put a socket of his own.

    Elsewhere a stranger's socket could pass for that of the daemon.
    """
    found = os.lstat(folder)
    mine = found.st_uid in (0, os.geteuid()) or folder == SYSTEM
    return mine and stat.S_ISDIR(found.st_mode) and not found.st_mode & stat.S_IWOTH


def prepare(environ: Mapping[str, str]) -> tuple[str, list[str]]:
    """The folder for a daemon of this user, made if need be, and "" where there is none; and why others were not it."""
    problems = []
    for folder in folders(environ):
        try:
            if os.path.dirname(folder) == "/run" and os.geteuid() != 0 and not os.path.isdir(folder):
                continue  # not for us, and nothing to complain of
            os.makedirs(folder, mode=0o755 if folder == SYSTEM else 0o700, exist_ok=True)
            if not is_safe(folder):
                problems.append(f"{folder}: others can write to it")
            elif not os.access(folder, os.W_OK):
                problems.append(f"{folder}: it cannot be written to")
            else:
                return folder, problems
        except OSError as error:
            problems.append(f"{folder}: {error.strerror}")
    return "", problems
