"""The machine's cores: which are used here, and what others do on them meanwhile (Linux /proc/stat)."""

import os
import time
from pathlib import Path

QUIET = 0.1
"""The share of a core that others may take; above, a figure says more about them."""
_LOOK_SECONDS = 0.5
_TICK = os.sysconf("SC_CLK_TCK")


def choose() -> tuple[int | None, int | None]:
    """One for the server and one for the load generator; (None, None) when this process may use only one."""
    cores = sorted(os.sched_getaffinity(0))
    return (cores[0], cores[1]) if len(cores) > 1 else (None, None)


def busy_seconds(core: int | None) -> float:
    """What *core* (None: all together) has worked so far."""
    name = "cpu" if core is None else f"cpu{core}"
    for line in Path("/proc/stat").read_text().splitlines():
        words = line.split()
        if words[0] == name:
            user, nice, system, _idle, _iowait, irq, softirq, steal = map(int, words[1:9])
            return (user + nice + system + irq + softirq + steal) / _TICK
    raise LookupError(name)


def wait_until_quiet(patience: float) -> bool:
    """Wait until the cores rest, at most *patience* seconds; False when they do not."""
    ends_at = time.monotonic() + patience
    while True:
        before, began = busy_seconds(None), time.monotonic()
        time.sleep(_LOOK_SECONDS)
        if (busy_seconds(None) - before) / (time.monotonic() - began) < QUIET:
            return True
        if time.monotonic() > ends_at:
            return False
