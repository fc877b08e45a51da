"""Accepts the connections of the admin listener, so many at a time, and lets none of them harm the supervisor."""

from __future__ import annotations

import errno
import logging
import socket

import anyio
from anyio import CancelScope
from anyio.abc import TaskGroup

from hornbeamd.admin.conversation import Conversation, Respond

log = logging.getLogger("hornbeamd.admin")

MOST = 32
"""Connections at once. One more takes the place of that which has had no answer for the longest time."""

PAUSE = 1.0
"""How long no connection is accepted, in seconds, when there is no descriptor left for one."""


class Door:
    """All connections of all sockets of the admin listener, which run in *group*; *respond* answers the requests."""

    def __init__(self, group: TaskGroup, respond: Respond) -> None:
        self._group = group
        self._respond = respond
        self.open: dict[socket.socket, CancelScope] = {}
        """The first is the one that is dismissed next."""

    async def attend(self, listener: socket.socket) -> None:
        """Accept from a non-blocking *listener*, and close it in the end: when it was shut down, or when cancelled."""
        with listener:
            while True:
                await anyio.wait_readable(listener)
                try:
                    sock, _ = listener.accept()
                except (BlockingIOError, ConnectionAbortedError):
                    continue  # whoever wanted to come is gone
                except OSError as error:
                    if error.errno == errno.EINVAL:
                        return
                    log.error("no connection to the admin listener", extra={"fields": {"error": str(error)}})
                    await anyio.sleep(PAUSE)
                    continue
                sock.setblocking(False)
                self._admit(sock)

    def _admit(self, sock: socket.socket) -> None:
        if len(self.open) >= MOST:
            self.open.pop(next(iter(self.open))).cancel()
        scope = self.open[sock] = CancelScope()
        self._group.start_soon(self._converse, sock, scope)

    async def _converse(self, sock: socket.socket, scope: CancelScope) -> None:
        def answered() -> None:
            if self.open.pop(sock, None) is not None:  # else it is about to be dismissed
                self.open[sock] = scope

        try:
            with sock, scope:
                await Conversation(sock, self._respond, answered).run()
        except (OSError, anyio.ClosedResourceError):
            pass  # it did not keep up, or is gone: TimeoutError is an OSError
        except Exception:  # whatever it is, the supervisor is not to end of it
            log.exception("the admin listener failed")
        finally:
            self.open.pop(sock, None)
