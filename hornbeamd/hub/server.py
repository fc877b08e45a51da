"""The hub's side of its sockets: bytes of clients to the office, and what comes of it back to clients."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import struct
import sys
from typing import Any, cast

from hornbeamd.errors import WireError
from hornbeamd.hub.client import Client
from hornbeamd.hub.office import Office
from hornbeamd.hub.wire import ENVELOPE, Frames

log = logging.getLogger("hornbeamd.hub")

BACKLOG = 4096
"""Clients that wait to be accepted, as while the hub is restarted."""

TICK = 1.0

SLOW = 4 * 1024 * 1024
"""With more than so many bytes unsent a client gets no more messages, until it is a quarter of that."""

LEAST_BOUND = 16 * 1024 * 1024
"""A client that leaves so much unread that it is not messages alone is disconnected; see ``Server.bound``."""

_PEER = struct.Struct("3i")  # pid, uid and gid of unix(7)


class Server:
    """Serves clients on a listening Unix socket in the running event loop.

    *limit* is the size in bytes of the largest payload.
    """

    def __init__(self, office: Office, limit: int) -> None:
        self.office = office
        self.limit = limit + ENVELOPE
        """How large a message may be."""
        self.bound = max(LEAST_BOUND, 2 * self.limit)
        """How many bytes may be unsent to one client."""
        self.connections: set[Connection] = set()
        self.closed = False
        self._loop = asyncio.get_running_loop()
        self._ticker: asyncio.TimerHandle
        self._server: asyncio.Server

    async def start(self, listener: socket.socket) -> None:
        """Accept clients from now on."""
        more: dict[str, Any] = {}
        if sys.version_info >= (3, 13):
            more["cleanup_socket"] = False  # its file stays, for the next hub
        serve = self._loop.create_unix_server
        self._server = await serve(lambda: Connection(self), sock=listener, backlog=BACKLOG, **more)
        self._tick()

    def close(self) -> None:
        """Accept no more clients, and be rid of those that are there."""
        self.closed = True
        self._ticker.cancel()
        self._server.close()
        for connection in tuple(self.connections):
            connection.transport.abort()

    def _tick(self) -> None:
        self._ticker = self._loop.call_later(TICK, self._tick)
        self.office.tick(self._loop.time())
        self.office.flush()


class Connection(asyncio.Protocol):
    """One client's connection."""

    transport: asyncio.Transport
    client: Client | None = None

    def __init__(self, server: Server) -> None:
        self._server = server
        self._office = server.office
        self._frames = Frames(server.limit)
        self._paused = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        if self._server.closed:  # it was accepted just before
            self.transport.abort()
            return
        uid = peer_uid(transport.get_extra_info("socket"))
        if uid not in (os.getuid(), 0, None):
            log.warning("a process of another user is not let in", extra={"fields": {"uid": uid}})
            self.transport.abort()
            return
        self._server.connections.add(self)
        self.transport.set_write_buffer_limits(SLOW)
        self.client = self._office.enter(self._send)

    def data_received(self, data: bytes) -> None:
        client, office = self.client, self._office
        if client is None or client.gone:
            return
        try:
            for message in self._frames.feed(data):
                office.receive(client, message)
        except WireError as error:
            self._part(str(error))
        finally:
            office.flush()

    def connection_lost(self, error: Exception | None) -> None:
        self._server.connections.discard(self)
        if self.client is not None and not self.client.gone:
            self._office.leave(self.client)
            self._office.flush()

    def pause_writing(self) -> None:
        self._paused = True
        if self.client is not None:
            self._office.slow(self.client)

    def resume_writing(self) -> None:
        self._paused = False
        if self.client is not None and not self.client.gone:
            self._office.caught_up(self.client)
            self._office.flush()

    def _send(self, data: bytes) -> None:
        self.transport.write(data)
        if self._paused and self.transport.get_write_buffer_size() > self._server.bound:
            self._part("it does not read")

    def _part(self, why: str) -> None:
        """Be rid of the client now, whatever is on its way to it."""
        client = self.client
        assert client is not None
        fields = {"client": client.who, "pid": client.pid, "error": why}
        log.error("a client of the hub is disconnected", extra={"fields": fields})
        self.transport.abort()
        self._office.leave(client)


def peer_uid(sock: socket.socket) -> int | None:
    """As which user the process at the other end runs; None where the system does not tell."""
    if not hasattr(socket, "SO_PEERCRED"):
        return None
    _, uid, _ = _PEER.unpack(sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEER.size))
    return int(uid)
