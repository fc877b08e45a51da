"""What the signals mean. docs/operations.md has the same table for operators."""

from __future__ import annotations

import signal
from enum import Enum


class Order(Enum):
    """What an operator can ask for."""

    STOP = "drain and end"
    QUIT = "end at once"
    RELOAD = "reload code and configuration"
    REOPEN = "open the log files anew"
    MORE = "one more worker"
    FEWER = "one worker less"


ORDERS = {
    signal.SIGTERM: Order.STOP,
    signal.SIGINT: Order.QUIT,
    signal.SIGQUIT: Order.QUIT,
    signal.SIGHUP: Order.RELOAD,
    signal.SIGUSR1: Order.REOPEN,
    signal.SIGTTIN: Order.MORE,
    signal.SIGTTOU: Order.FEWER,
}
"""The table. SIGUSR2 is not in it: it is how the supervisor asks a worker for the stacks of its threads."""
