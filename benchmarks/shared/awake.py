"""Keep the cores awake: one process on each that does nothing, and gives way to whoever wants to run.

A core of a virtual machine that rests takes tens of microseconds to wake, whatever program is woken. With SCHED_IDLE
(sched(7)) these take none of a core's time while there is other work for it.
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

_SPIN = """
import os, sys
os.sched_setaffinity(0, {int(sys.argv[1])})
os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
print(flush=True)
while os.getppid() == int(sys.argv[2]):
    for _ in range(10_000):
        pass
"""


@contextmanager
def cores_awake() -> Iterator[None]:
    """While in it, no core of this machine rests."""
    spinners = [
        subprocess.Popen([sys.executable, "-c", _SPIN, str(core), str(os.getpid())], stdout=subprocess.PIPE)
        for core in os.sched_getaffinity(0)
    ]
    try:
        for spinner in spinners:
            assert spinner.stdout is not None
            spinner.stdout.readline()
        yield
    finally:
        for spinner in spinners:
            spinner.kill()
            spinner.communicate()
