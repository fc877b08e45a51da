"""Section ``hornbeam.control``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from hornbeamd.config.amounts import Mode
from hornbeamd.config.declare import Apply, option
from hornbeamd.config.kinds import Choice, Maybe, Path, Text

RESTART = Apply.RESTART


@dataclass(frozen=True, slots=True, kw_only=True)
class ControlOptions:
    """Section ``hornbeam.control``: who may speak to the daemon through hornbeamctl, and where."""

    socket: str | None = option(
        "auto",
        Maybe(Path('"auto", or the path of a Unix socket', words=("auto",))),
        RESTART,
        """Where hornbeamctl finds the daemon: the path of a Unix socket. Off when empty.
With "auto" it is control.sock in /run/hornbeam if that can be written to, else in the folder hornbeam of
XDG_RUNTIME_DIR, else in a private folder among the temporary files. A daemon that runs without a file, or while another
has that name, is control-PID.sock there; hornbeamctl finds it by itself when it is the only one.""",
    )
    mode: int = option(
        0o660,
        Mode(),
        RESTART,
        'Permission bits of the socket, as octal text: "0660".',
    )
    group: str | None = option(
        None,
        Maybe(Text("the name or number of a group")),
        RESTART,
        """The group whose members may use the socket, next to root and the user the daemon runs as.
The socket belongs to it. When empty it is for those two alone, whatever the mode says.""",
    )
    group_may: Literal["look", "all"] = option(
        "all",
        Choice(("look", "all")),
        RESTART,
        'What members of the group may do: "look" at everything, or "all", which is to change and to stop it as well.',
    )
