"""From listening sockets to connections.

The sockets are shared with the other workers. One connection is accepted per turn of the loop and socket, so that a
burst spreads over the workers that are idle, where the loop's own accept would take all of it at once. A worker that
has more connections than its share, or whose threads are all taken, lets the others go first.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
import ssl
from typing import TYPE_CHECKING

from hornbeamd.errors import ProtocolError
from hornbeamd.http import proxy_protocol
from hornbeamd.http.h1.connection import H1Connection
from hornbeamd.http.opening import Opening
from hornbeamd.http.peer import ClientAddress, Peer, ServerAddress
from hornbeamd.http.tls import handshaking
from hornbeamd.http.trust import Trust

if TYPE_CHECKING:
    from hornbeamd.http.server import Server

log = logging.getLogger("hornbeamd.http")

# For so long, in seconds, a worker that is so many connections ahead of its share leaves new ones to the others; then
# it takes what it gets for a while, or clients of many short connections would wait for nothing.
_AHEAD = 2
_PATIENCE = 0.002
_IMPATIENCE = 0.03
# The loops' limit for a farewell in TLS, in seconds, counts from before what is still to be sent. Connections look
# after that themselves, by what the client takes: theirs is the deadline, and this one never comes.
_GOODBYE = 86400.0
_OUT_OF_DESCRIPTORS = frozenset((errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM))


class Acceptor:
    """Accepts connections for *server*, and makes the protocol that each begins with."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self._proxies = Trust(server.options.proxy_protocol)
        self._sockets: list[socket.socket] = []
        self._adopting: set[asyncio.Task[object]] = set()
        self.stepped_back = False
        """New connections are left to the other workers."""
        self._back_at = 0.0
        self._impatient_until = 0.0
        self._short_of_descriptors = False
        # What a connection begins with: where there is nothing to choose, the choice is saved.
        choice = "HTTP/2" in server.options.http_version
        self._first: type[Opening] | type[H1Connection] = Opening if choice else H1Connection

    # --- life ----------------------------------------------------------------------------------------------------

    def start(self, sockets: list[socket.socket]) -> None:
        """Begin to accept from *sockets* in the server's loop."""
        for listener in sockets:
            listener.setblocking(False)
            self._sockets.append(listener)
            self._listen(listener)

    def stop(self) -> None:
        """Accept no more."""
        self._step_back(0.0)
        for listener in self._sockets:  # held open by nobody, it lets the address go and clients go elsewhere
            listener.close()
        self._sockets.clear()

    def relocate(self) -> None:
        """Accept in the context that the server has now, for a handler that may be free."""
        self._step_forward()
        for listener in self._sockets:
            self.server.loop.remove_reader(listener)
            self._listen(listener)

    async def settle(self, timeout: float) -> None:
        """Let those accepted become connections; who has not shown its protocol after *timeout* seconds is cut.

        They were taken from the backlog, where another worker would have found them, so they are ours to serve.
        """
        if self._adopting:
            _, late = await asyncio.wait(self._adopting, timeout=timeout)
            for task in late:
                task.cancel()

    def tick(self, now: float) -> None:
        """Look again whether to accept: the others may have become busy, too."""
        if now >= self._back_at:
            self._step_forward()

    def reconsider(self) -> None:
        """An exchange is over: accept again, where that was what we waited for."""
        if self.server.in_flight < self.server.handler.capacity and self.server.loop.time() >= self._back_at:
            self._step_forward()

    # --- accepting -----------------------------------------------------------------------------------------------

    def _accept(self, listener: socket.socket) -> None:
        if self._yield_to_others():
            return
        try:
            connection, _ = listener.accept()
        except (BlockingIOError, InterruptedError, ConnectionAbortedError):
            return  # another worker was faster, or the client gave up
        except OSError as error:
            if error.errno == errno.EINVAL:  # the supervisor has shut it down: the server ends, or listens elsewhere
                self.server.loop.remove_reader(listener)
                self._sockets.remove(listener)
                listener.close()
                return
            if error.errno not in _OUT_OF_DESCRIPTORS:
                raise
            self._accept_failed(error)
            return
        if self._short_of_descriptors:
            self._short_of_descriptors = False
            log.info("accepting connections again")
        connection.setblocking(False)
        if connection.family != socket.AF_UNIX:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        task = self.server.loop.create_task(self._adopt(connection))
        self._adopting.add(task)
        task.add_done_callback(self._adopting.discard)

    def _accept_failed(self, error: OSError) -> None:
        if not self._short_of_descriptors:
            self._short_of_descriptors = True
            fields = {"error": str(error), "connections": len(self.server.connections)}
            log.error("cannot accept connections, trying again each second", extra={"fields": fields})
        # The socket stays readable: without a pause the loop would spin until a descriptor is free.
        self._step_back(1.0)

    async def _adopt(self, connection: socket.socket) -> None:
        try:
            peer: Peer | None
            peer = self._peer(connection)
            if self._proxies and self._proxies.peer(peer.client):
                peer = await self._introduced(connection, peer)
            if peer is None:
                connection.close()
            elif self.server.tls is None:
                await self._connect(connection, peer)
            else:
                await self._shake_hands(connection, peer, self.server.tls)
        except OSError:  # reset before it was served
            connection.close()

    async def _connect(self, connection: socket.socket, peer: Peer) -> None:
        await self.server.loop.connect_accepted_socket(lambda: self._first(self.server, peer), connection)

    async def _shake_hands(self, connection: socket.socket, peer: Peer, context: ssl.SSLContext) -> None:
        """Begin with TLS; the connection exists when the handshake is over."""
        server = self.server
        peer.scheme = "https"
        handshaking.set(connection)
        try:
            await server.loop.connect_accepted_socket(
                lambda: Opening(server, peer),
                connection,
                ssl=context,
                ssl_handshake_timeout=server.options.header_timeout,
                ssl_shutdown_timeout=_GOODBYE,
            )
        except OSError as error:
            client = "unix" if peer.client is None else peer.client[0]
            reason = getattr(error, "reason", None) or error.strerror or str(error) or type(error).__name__
            log.info("TLS handshake failed", extra={"fields": {"client": client, "reason": reason}})
            raise

    def _peer(self, connection: socket.socket) -> Peer:
        """Who is at the other end. Raises OSError where nobody is any more."""
        client: ClientAddress = None
        own: ServerAddress
        if connection.family == socket.AF_UNIX:
            own = (str(connection.getsockname()), None)
        else:
            client = connection.getpeername()[:2]
            own = connection.getsockname()[:2]
        return Peer(client, own, self.server.trust.peer(client))

    async def _introduced(self, connection: socket.socket, proxy: Peer) -> Peer | None:
        """The peer that *proxy* tells with a PROXY header; None where it does not.

        Who is believed about the requests is asked for the address that was told: what comes on the connection was
        written there, and the proxy has not looked into it.
        """
        server = self.server
        try:
            async with asyncio.timeout(server.options.header_timeout):
                header = await proxy_protocol.receive(server.loop, connection)
        except TimeoutError:
            reason = "it did not arrive within header_timeout"
        except ProtocolError as error:
            reason = str(error)
        except asyncio.CancelledError:
            connection.close()
            raise
        else:
            if header is None:
                return None
            if not header.tells:
                return proxy
            return Peer(header.client, header.server, server.trust.peer(header.client))
        fields = {"client": proxy.client[0] if proxy.client else "unix", "reason": reason}
        log.warning("no valid PROXY header, connection closed", extra={"fields": fields})
        return None

    # --- fairness ------------------------------------------------------------------------------------------------

    def _yield_to_others(self) -> bool:
        """Step back where another worker can take the next connection sooner, or has fewer of them."""
        server = self.server
        capacity = server.handler.capacity
        if capacity and server.in_flight >= capacity and server.total() < capacity * server.options.workers:
            self._step_back(0.0)  # until a thread is free
            return True
        workers, connections = server.crowd()
        mine = len(server.connections) + len(self._adopting)
        everybodys = connections - server.counted_connections + mine
        if mine * workers > everybodys + _AHEAD * workers and server.loop.time() >= self._impatient_until:
            # Not again and again: the others may be busier than they look.
            self._impatient_until = server.loop.time() + _IMPATIENCE
            self._step_back(_PATIENCE)
            return True
        return False

    def _step_back(self, seconds: float) -> None:
        """Leave new connections to the other workers, or in the queue of the kernel, for *seconds* at least."""
        self.stepped_back = True
        self._back_at = self.server.loop.time() + seconds
        for listener in self._sockets:
            self.server.loop.remove_reader(listener)
        if seconds:
            self.server.loop.call_later(seconds, self._step_forward)

    def _step_forward(self) -> None:
        # No look at the clock: uvloop's stands still within a turn, and its timers may ring a moment early.
        if self.stepped_back:
            self.stepped_back = False
            for listener in self._sockets:
                self._listen(listener)

    def _listen(self, listener: socket.socket) -> None:
        # Connections inherit the context. Who brings us here may be an application that has just answered.
        self.server.context.copy().run(self.server.loop.add_reader, listener, self._accept, listener)
