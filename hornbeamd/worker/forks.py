"""What a process that the application forks (``multiprocessing``, ``os.fork``) must not keep of the worker.

Such a child is a copy of the worker, with the same descriptors:

* The descriptor through which signals wake the event loop is shared with the worker. A signal to the child would be
  told to the worker's loop: ``Process.terminate()`` on a child would drain the worker, and leave the child running.
* A connection is closed for the client only when its last copy is. As long as a pool of processes lives, clients
  would wait for an end that the worker has long given.
* The listening sockets would keep the address taken when the daemon is gone.
"""

from __future__ import annotations

import faulthandler
import os
import signal
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress

STACKS_SIGNAL = signal.SIGUSR2
HANDLED = (
    signal.SIGTERM,
    signal.SIGQUIT,
    signal.SIGINT,
    signal.SIGHUP,
    signal.SIGUSR1,
    signal.SIGTTIN,
    signal.SIGTTOU,
)


def let_children_go(descriptors: Callable[[], Iterable[int]]) -> None:
    """See to it that children of this process start as processes of their own; signals are handled by now.

    ``descriptors`` gives, in the child, those that it must not keep.
    """
    ours = {number: signal.getsignal(number) for number in HANDLED}
    held = threading.local()  # the signals that were blocked before the fork

    def before() -> None:
        # So that one that comes for the child at once finds it ready.
        held.mask = signal.pthread_sigmask(signal.SIG_BLOCK, (*HANDLED, STACKS_SIGNAL))

    def in_parent() -> None:
        signal.pthread_sigmask(signal.SIG_SETMASK, held.mask)

    def in_child() -> None:
        try:
            signal.set_wakeup_fd(-1)
            for number, handler in ours.items():
                if signal.getsignal(number) is handler:  # else the application has set its own
                    signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
            faulthandler.unregister(STACKS_SIGNAL)
            signal.signal(STACKS_SIGNAL, signal.SIG_DFL)
            _give_up(descriptors())
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, held.mask)

    os.register_at_fork(before=before, after_in_parent=in_parent, after_in_child=in_child)


def _give_up(descriptors: Iterable[int]) -> None:
    """Put the null device in the place of each: closed, its number would be given to another file, which the Python
    object that still holds the number would close one day."""
    with suppress(OSError):
        null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
        for fd in descriptors:
            if fd >= 0:
                os.dup2(null, fd, inheritable=False)
        os.close(null)
