"""Everything that is written from the table of commands: the man page, and the completion of shells."""

from __future__ import annotations

from hornbeamd.control import completion, manpage
from hornbeamd.control.commands import SHELLS, TABLE


def generated() -> dict[str, str]:
    """Give the text of every generated file, by its path below the top of the repository."""
    files = {"man/hornbeamctl.1": manpage.render(TABLE)}
    files |= {f"packaging/completion/{completion.FILES[shell]}": completion.script(shell) for shell in SHELLS}
    return files
