"""Section ``hornbeam.hooks``."""

from __future__ import annotations

from dataclasses import dataclass

from hornbeamd.config.declare import Apply, option
from hornbeamd.config.kinds import Maybe, function

WORKERS = Apply.WORKERS


@dataclass(frozen=True, slots=True, kw_only=True)
class HookOptions:
    """Section ``hornbeam.hooks``: functions that see every request and every answer."""

    on_request: str | None = option(
        None,
        Maybe(function()),
        WORKERS,
        """Called before the application: may change headers, or answer in its place.
When it raises, the answer is 500 and the application is not called.""",
    )
    on_response: str | None = option(
        None,
        Maybe(function()),
        WORKERS,
        """Called before an answer begins, whoever made it: may change status and headers.
When it raises, the answer is 500.""",
    )
    on_error: str | None = option(
        None,
        Maybe(function()),
        WORKERS,
        """Called when the application raised before its answer began: may answer in place of the plain 500.""",
    )
