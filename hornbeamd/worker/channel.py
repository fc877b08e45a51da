"""How the supervisor, the spawners, the workers and the hub talk: JSON objects, one a line, over Unix socket pairs.

Both ends are ours and of one version, so the messages are plain dictionaries, listed here.

Worker to supervisor (``event``):

=========== ======================= ==================================================================
``born``    ``pid``                 it was forked and runs
``ready``   ``boot_ms``             it accepts connections
``proven``  ``signs``               a trial: it could; the texts that it has loaded, see swapping.py
``beat``                            its event loop turns
``failed``  ``text``                it could not boot; the text is the application's traceback
``recycle`` ``why``                 it wishes to be replaced (``max_requests``) and serves on until then
``stuck``   ``why``                 its loop turns but it cannot serve any more (every thread is stuck)
``leaving`` ``why``                 it drains without having been told to (SIGTERM sent straight to it)
``draining``                        it lets nothing new in any more
``drained`` ``cut``                 it ends; whether connections had to be cut
=========== ======================= ==================================================================

Supervisor to worker (``do``): ``drain`` (``timeout``, ``idle``: seconds), ``quit``, ``reopen``, ``log`` (``options``:
those of the section, which count from now on), ``refused`` (``text``: why the last reload was, "" when it was not; in
development mode). What it asks in a swap: swapping.py.

Supervisor to hub (``do``): ``begin`` (see hub.py), ``adopt`` (``options``, after a reload), ``reopen``, ``serve``
(after ``begin`` with ``standby``). Hub to supervisor (``event``): ``ready``, ``failed`` (``text``), ``beat``.

Supervisor to worker and to hub: ``ask`` (``id``, ``what``, and what belongs to it), which is answered with the event
``answer``: the same ``id``, and an ``answer``, or an ``error`` with its ``code``. See answers.py.

Supervisor to spawner (``do``): ``begin`` (see spawner.py), ``fork`` (``worker``, its number, and ``pool``, "" for a web
worker; two descriptors travel with it: the worker's end of its channel, and the file for its stacks), ``adopt``
(``generation``, ``options``: of those that it forks from now on), ``reopen``, ``log``.
Spawner to supervisor (``event``): ``ready``, ``failed`` (``text``), ``exit`` (``worker``, ``pool``, ``pid``, and
``status`` as ``waitpid`` gives it).
"""

from __future__ import annotations

import base64
import pickle
import signal
import socket
import zlib
from collections import deque
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

from hornbeamd.jsonlines import Lines, decode, encode

if TYPE_CHECKING:
    from hornbeamd.config.options import Options

Message = dict[str, Any]

# What a terminal or an operator sends to the whole process group is meant for the supervisor.
IGNORED = (
    signal.SIGINT,
    signal.SIGTERM,
    signal.SIGQUIT,
    signal.SIGHUP,
    signal.SIGUSR1,
    signal.SIGUSR2,
    signal.SIGTTIN,
    signal.SIGTTOU,
)

LONGEST_LINE = 4 * 1024 * 1024


def packed(options: Options) -> str:
    """Options as a message can hold them: our own objects, to our own code of the same version, over a socket that
    nobody else has. Compressed, since a thousand certificates would be more than the socket takes at once."""
    return base64.b64encode(zlib.compress(pickle.dumps(options))).decode()


def unpacked(text: str) -> Options:
    """What :func:`packed` was given."""
    return cast("Options", pickle.loads(zlib.decompress(base64.b64decode(text))))


class Inbox:
    """Puts together what a stream socket may deliver in pieces."""

    def __init__(self) -> None:
        self._lines = Lines(LONGEST_LINE)

    def feed(self, data: bytes) -> list[Message]:
        """The messages completed by ``data``. Raises Malformed on what is no message."""
        return [decode(line) for line in self._lines.feed(data)]


class Outbox:
    """Sends messages over a socket without ever waiting for the other end.

    What the socket does not take is kept and sent before the next message; a supervisor that does not read
    for hours costs the worker ``limit`` bytes, not its life. ``offer`` is for messages that may be lost then.
    """

    def __init__(self, sock: socket.socket, limit: int = 1024 * 1024) -> None:
        self._sock = sock
        self._pending: deque[bytes] = deque()
        self._limit = limit

    def send(self, message: Mapping[str, object]) -> None:
        """Send a message that matters. Raises ConnectionError when the other end is gone."""
        if sum(map(len, self._pending)) < self._limit:
            self._pending.append(encode(message))
        self.flush()

    def offer(self, message: Mapping[str, object]) -> None:
        """Send a message unless others wait already. Raises ConnectionError when the other end is gone."""
        if not self._pending:
            self._pending.append(encode(message))
        self.flush()

    @property
    def waiting(self) -> bool:
        """Whether something is kept that the socket did not take."""
        return bool(self._pending)

    def flush(self) -> None:
        """Send what waits, as far as the socket takes it."""
        while self._pending:
            line = self._pending.popleft()
            try:
                sent = self._sock.send(line, socket.MSG_DONTWAIT)
            except BlockingIOError:
                sent = 0
            if sent < len(line):
                self._pending.appendleft(line[sent:])
                return
