"""Draining a server: who was let in is served, whoever comes later finds another worker."""

from __future__ import annotations

import asyncio
import socket

from hornbeamd.config.options import Options
from hornbeamd.http.server import Server
from tests.support.echo import Echo

REQUEST = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


def test_a_connection_accepted_in_the_last_moment_is_served() -> None:
    async def scenario() -> bytes:
        with socket.create_server(("127.0.0.1", 0)) as listener, socket.socket() as client:
            listener.setblocking(False)
            server = Server(Options(), Echo())
            server.start([listener])
            client.connect(listener.getsockname())
            client.sendall(REQUEST)
            client.setblocking(False)
            # Accepted, but the loop has not made a connection of it yet.
            server.acceptor._accept(listener)
            assert await server.drain(5.0, 2.0)
            return client.recv(65536)  # now: the worker ends after this, and its loop does not turn any more

    answer = asyncio.run(scenario())
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"\r\nconnection: close\r\n" in answer


def test_a_listener_that_was_shut_down_is_let_go_of() -> None:
    async def scenario() -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            server = Server(Options(), Echo())
            server.start([listener])
            fd = listener.fileno()
            # As the supervisor does at SIGTERM, or when the address was removed; it stays readable from now on.
            listener.shutdown(socket.SHUT_RDWR)
            server.acceptor._accept(listener)
            assert not asyncio.get_running_loop().remove_reader(fd), "the loop would spin"
            assert listener.fileno() == -1, "the descriptor would stay for as long as the worker lives"
            assert await server.drain(1.0, 0.0)

    asyncio.run(scenario())
