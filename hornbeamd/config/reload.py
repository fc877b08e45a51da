"""Section ``hornbeam.reload``."""

from __future__ import annotations

from dataclasses import dataclass

from hornbeamd.config.amounts import Duration, Int
from hornbeamd.config.declare import Apply, option
from hornbeamd.config.kinds import Bool, ListOf, Maybe, Text

LIVE, WORKERS = Apply.LIVE, Apply.WORKERS

PATTERN = Text('a pattern of files such as "*.py" or "templates/*.html"')


@dataclass(frozen=True, slots=True, kw_only=True)
class ReloadOptions:
    """Section ``hornbeam.reload``: how new code comes into the running server."""

    watch: bool = option(
        False,
        Bool(),
        LIVE,
        """Whether saved files reload the server: those below pythonpath, and the configuration file.
For development "hornbeamd --reload" turns it on, and development with it.""",
    )
    development: bool = option(
        False,
        Bool(),
        WORKERS,
        """Whether browsers are shown tracebacks, and a start that fails waits for the next saved file.
Where they are not set, workers is 1 then and graceful_timeout 1 s. Tracebacks tell of the application what no stranger
should read: turn it on only where nobody but developers can connect.""",
    )
    include: tuple[str, ...] = option(
        ("*.py",),
        ListOf(PATTERN, needs_one=True),
        LIVE,
        """Which files are watched: patterns of shells, of a name, or with "/" of a path below pythonpath.
As in a shell, "*" leaves out hidden files. Templates are not among them because frameworks read them anew themselves
while their debug mode is on; "*.html" adds them.""",
    )
    exclude: tuple[str, ...] = option(
        (),
        ListOf(PATTERN),
        LIVE,
        """Which files and folders are not watched, as patterns of the same form.
Hidden folders, virtual environments, __pycache__, node_modules and the temporary files of editors never are.""",
    )
    debounce: float = option(
        0.1,
        Duration("ms"),
        LIVE,
        """How long files must stay as they are before a reload begins.
What is saved together is then loaded together.""",
    )
    poll: float | None = option(
        None,
        Maybe(Duration("ms", low=0.1), nothing="off"),
        LIVE,
        """How often the files are looked at, where the system tells of no changes: network and some shared folders.
When off, the system tells (inotify).""",
    )
    in_place: bool = option(
        True,
        Bool(),
        LIVE,
        """Whether a reload exchanges the code inside the running processes, where it can.
Off, every reload replaces the processes, as "hornbeamctl restart" does.""",
    )
    generations: int = option(
        2,
        Int(1, 100),
        WORKERS,
        """How many versions of the code may be at work in a process: the newest, and older ones with requests in hand.
Beyond that the oldest ends: its requests get graceful_timeout, its WebSockets are closed with 1012.""",
    )
