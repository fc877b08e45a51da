"""Section ``hornbeam.log``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from hornbeamd.config.declare import Apply, option
from hornbeamd.config.kinds import AccessFormat, Choice, Maybe, Path

LIVE, WORKERS = Apply.LIVE, Apply.WORKERS


@dataclass(frozen=True, slots=True, kw_only=True)
class LogOptions:
    """Section ``hornbeam.log``: the event log and the access log."""

    level: Literal["debug", "info", "warning", "error"] = option(
        "info",
        Choice(("debug", "info", "warning", "error")),
        LIVE,
        "The least serious event that is logged.",
    )
    format: Literal["text", "json"] = option(
        "text",
        Choice(("text", "json")),
        LIVE,
        """How an event is written: a readable line, or one JSON object a line.""",
    )
    file: str | None = option(
        None,
        Maybe(Path("the path of a log file")),
        LIVE,
        """The event log; standard error when empty.
The folder must exist. SIGUSR1 opens the file anew, for log rotation.""",
    )
    access: str = option(
        "off",
        Path('"off", "-" for standard output, or the path of a log file', words=("off", "-")),
        WORKERS,
        """The access log: "off", "-" for standard output, or a file.
The folder must exist. SIGUSR1 opens the file anew, for log rotation.""",
    )
    access_format: str = option(
        "combined",
        AccessFormat(),
        WORKERS,
        """The layout of the access log: "common", "combined", "json", or text with %-fields.
The fields mean what they mean in gunicorn and Apache: %h address, %l %u "-", %t time, %r request line, %m method,
%U path, %q query, %H protocol, %s status, %B bytes of the body, %b the same or "-", %f referer, %a user agent,
%T duration in seconds, %L with six decimals, %M in milliseconds, %D in microseconds, %p process,
%{Name}i and %{Name}o headers of request and response, %% a percent sign.
They can be spelled %(h)s as well.""",
    )
