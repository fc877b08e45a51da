"""The exit codes of ``hornbeamctl``. They are stable: scripts rely on them. Those of sysexits(3), where there is one.

They go over the wire with an error, too, so that the daemon decides what kind of failure it was.
"""

from __future__ import annotations

OK = 0
FAILED = 1
USAGE = 64
UNREACHABLE = 69
TIMED_OUT = 75
DENIED = 77
CONFIG = 78
INTERRUPTED = 130

MEANINGS = (
    (OK, "The command was carried out."),
    (FAILED, "It was not: the daemon refused it, or it failed; what is wrong is shown, and nothing has changed."),
    (USAGE, "The command line is wrong."),
    (UNREACHABLE, "No daemon can be reached, or it has gone away before it answered."),
    (TIMED_OUT, "It took too long. The daemon may go on with it."),
    (DENIED, "The user may not control this daemon."),
    (CONFIG, "The configuration file that was named cannot be read, and no daemon that runs with it is found."),
    (INTERRUPTED, "Interrupted by Ctrl-C. The daemon goes on with what it was told."),
)
"""Each with its meaning, in a sentence, for people."""
