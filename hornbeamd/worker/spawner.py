"""The spawner: a small process without threads or event loop, whose only work is to fork workers.

It runs as ``python -m hornbeamd.worker.spawner FD``, where FD is its channel to the supervisor. The first
line there is

    {"do": "begin", "version", "generation", "listeners": [fd, ...], "board": fd, "locks": [fd, ...],
     "place": {"directory", "state"}, "options": packed}

The lock, which holds the daemon's folders (``place``) for as long as it lives, is not used, only inherited. With
the rest the spawner makes the environment in which the application's code will live, once for all workers:
their certificates, their user, their ``sys.path``, and with ``preload_app`` the imported application itself. It
drops its privileges before any of the application's, so that no line of that ever runs with those of the supervisor.

The spawner ends when the supervisor closes the channel or is gone. Its workers do not need it to live.
"""

from __future__ import annotations

import contextlib
import gc
import logging
import os
import select
import signal
import socket
import sys
import threading
from collections import deque
from dataclasses import replace
from typing import TYPE_CHECKING

import hornbeamd
from hornbeamd import node
from hornbeamd.config.log import LogOptions
from hornbeamd.http.tls import server_context
from hornbeamd.jsonlines import encode
from hornbeamd.node.place import Place
from hornbeamd.worker import environment, identity, modules
from hornbeamd.worker.channel import IGNORED, Inbox, Message, unpacked
from hornbeamd.worker.memory import share_arenas
from hornbeamd.worker.scoreboard import Scoreboard
from hornbeamd.worker.tracebacks import blame

if TYPE_CHECKING:
    from hornbeamd.apps.site import Site
    from hornbeamd.config.options import Options
    from hornbeamd.worker.birth import Birth

log = logging.getLogger("hornbeamd.worker")


class Spawner:
    """The state of the process: its channel and what every worker is born with."""

    def __init__(self, channel: socket.socket) -> None:
        self._channel = channel
        self._inbox = Inbox()
        self._messages: deque[Message] = deque()
        self._descriptors: deque[int] = deque()
        self._children: dict[int, tuple[str, int]] = {}
        self._site: Site | None = None
        self._wake, self._woken = socket.socketpair()
        self._options: Options
        self._generation: int
        self._place: Place

    def begin(self) -> bool:
        """Read the first message and prepare; false when that failed and was reported."""
        message = self._next()
        if message is None:
            return False
        try:
            if message["version"] != hornbeamd.__version__:
                raise RuntimeError(
                    f"hornbeamd {message['version']} is running, but {hornbeamd.__version__} is installed:"
                    ' "hornbeamctl upgrade" brings that into service'
                )
            self._prepare(message)
        except BaseException as error:
            self._say({"event": "failed", "text": blame(error)})
            return False
        self._say({"event": "ready"})
        return True

    def _prepare(self, message: Message) -> None:
        options = unpacked(message["options"])
        self._options, self._generation = options, message["generation"]
        for fd in (*message["listeners"], message["board"], *message["locks"]):
            os.set_inheritable(fd, False)  # programs that the application starts would keep the address taken
        self._listeners = [socket.socket(fileno=fd) for fd in message["listeners"]]
        self._board = Scoreboard(message["board"])
        self._place = Place(**message["place"])
        # While keys that only root may read can be read.
        self._tls = server_context(options)
        identity.drop_privileges(options.user, options.group)
        from hornbeamd.observe import logs

        logs.setup(options.log, role="spawner")
        # Before the application's packages are on the path: ours must not come from there.
        import hornbeamd.worker.main  # noqa: F401

        node.install(node.joined(self._place, options, f"spawner {self._generation}"))
        environment.extend_path(options.pythonpath, options.venv)
        modules.provide()
        if options.preload_app:
            self._preload()

    def _preload(self) -> None:
        from hornbeamd.apps import site

        self._site = site.load(self._options)
        if threading.active_count() > 1:
            names = [thread.name for thread in threading.enumerate() if thread is not threading.main_thread()]
            log.warning(
                "the application started threads when it was imported; preloaded workers lack them",
                extra={"fields": {"threads": names}},
            )
        # What is there before the fork is never garbage; looking at it would unshare its memory.
        gc.collect()
        gc.freeze()

    def serve(self) -> Birth | None:
        """Fork and collect until the supervisor is gone; in a new worker, return what it is born with."""
        from hornbeamd.observe import logs

        signal.signal(signal.SIGCHLD, lambda *_: None)
        self._wake.setblocking(False)
        signal.set_wakeup_fd(self._wake.fileno(), warn_on_full_buffer=False)
        poll = select.poll()
        poll.register(self._channel, select.POLLIN)
        poll.register(self._woken, select.POLLIN)
        while True:
            if not self._messages:
                readable = {fd for fd, _ in poll.poll()}
                if self._woken.fileno() in readable:
                    self._woken.recv(4096)
                self._collect()
                if self._channel.fileno() not in readable:
                    continue
            message = self._next()
            if message is None:
                signal.set_wakeup_fd(-1)  # a worker may end while this process does, and its sockets are closed
                return None
            if message["do"] == "reopen":
                logs.reopen()
                continue
            if message["do"] == "log":
                self._options = replace(self._options, log=LogOptions(**message["options"]))
                logs.change(self._options.log, role="spawner")
                continue
            if message["do"] == "adopt":
                self._generation = message["generation"]
                self._options = unpacked(message["options"])
                continue
            birth = self._fork(message["pool"], message["worker"], message["trial"])
            if birth is not None:
                return birth

    def _fork(self, pool: str, number: int, trial: bool) -> Birth | None:
        """Fork a worker; gives its birth in the worker and None here. A failure is told over its channel."""
        channel = socket.socket(fileno=self._descriptors.popleft())
        stacks = self._descriptors.popleft()
        sys.stdout.flush()
        sys.stderr.flush()
        try:
            pid = os.fork()
        except OSError as error:  # no memory, or too many processes: that may pass
            os.close(stacks)
            with channel, contextlib.suppress(OSError):
                channel.sendall(encode({"event": "failed", "text": f"no worker can be forked: {error}"}))
            return None
        if pid:
            channel.close()
            os.close(stacks)
            self._children[pid] = (pool, number)
            return None
        from hornbeamd.worker.birth import Birth

        self._become_worker()
        return Birth(
            pool,
            number,
            self._generation,
            self._options,
            channel,
            stacks,
            self._listeners,
            self._tls,
            self._board,
            self._place,
            self._site,
            trial,
        )

    def _become_worker(self) -> None:
        """Let go of everything that is the spawner's alone."""
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        for sock in (self._channel, self._wake, self._woken):
            sock.close()

    def _collect(self) -> None:
        """Report the workers that have ended."""
        while self._children:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return
            if pid in self._children:
                pool, number = self._children.pop(pid)
                self._say({"event": "exit", "pool": pool, "worker": number, "pid": pid, "status": status})

    def _say(self, message: Message) -> None:
        # A supervisor that is gone will be noticed when its messages end.
        with contextlib.suppress(ConnectionError):
            self._channel.sendall(encode(message))

    def _next(self) -> Message | None:
        """The next message, waiting for it, or None at the end. Descriptors that come along queue up."""
        while not self._messages:
            try:
                data, descriptors, _, _ = socket.recv_fds(self._channel, 65536, 64)
            except ConnectionError:
                return None
            for fd in descriptors:
                os.set_inheritable(fd, False)
                self._descriptors.append(fd)
            if not data:
                return None
            self._messages.extend(self._inbox.feed(data))
        return self._messages.popleft()


def main() -> int:
    """Run the spawner and, on the other side of each fork, a worker; gives the exit status of the process."""
    for number in IGNORED:
        signal.signal(number, signal.SIG_IGN)
    share_arenas()
    channel = socket.socket(fileno=int(sys.argv[1]))
    channel.set_inheritable(False)
    spawner = Spawner(channel)
    if not spawner.begin():
        return 1
    birth = spawner.serve()
    if birth is None:
        return 0
    del spawner
    from hornbeamd.worker.main import live

    return live(birth)


if __name__ == "__main__":
    sys.exit(main())
