"""How a connection of HTTP/2 ends: with GOAWAY (RFC 9113, section 6.8), and with TLS by its goodbye."""

import asyncio
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.support.applications import Served, answer, asgi
from tests.support.h2client import H2Client
from tests.support.raw import DEADLINE
from tests.support.tls import Authority
from tests.support.waiting import wait_until

BODY = bytes(60000)  # less than the windows of a connection that says nothing of them

pytestmark = pytest.mark.parametrize("loop", ["asyncio", "uvloop"])


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("certificates"))


@contextmanager
def connected(authority: Authority, tls: bool, loop: str) -> Iterator[tuple[Served, H2Client, list[bool]]]:
    """A server of BODY, a client whose receive buffer holds a small part of it, and the answers given."""

    async def app(scope, receive, send):
        await answer(send, BODY, headers=[(b"content-length", b"%d" % len(BODY))])
        answered.append(True)

    answered: list[bool] = []
    options = authority.options() if tls else {}
    with asgi(app, loop, **options) as served, socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.settimeout(DEADLINE)
        sock.connect(served.running.address)
        if tls:
            sock = authority.trusting(alpn=("h2",)).wrap_socket(sock, server_hostname="localhost")
        with H2Client(served.running.address, sock=sock) as client:
            yield served, client, answered


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
def test_a_client_that_says_no_goodbye_does_not_hold_up_the_drain(authority, tls, loop):
    with connected(authority, tls, loop) as (served, client, _):
        assert client.get() == (200, BODY)
        assert served.running.call(lambda: served.running.server.drain(5.0, 0.1))
        client.read_to_end()
        assert [code for _, code in client.goaways] == [0, 0]


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
def test_an_answer_that_is_read_late_is_whole(authority, tls, loop):
    """While it reads, it sends updates of its windows. Behind a closed socket these would bring it a reset."""
    with connected(authority, tls, loop) as (served, client, answered):
        stream = client.start()
        server = served.running.server
        wait_until(lambda: answered)
        draining = asyncio.run_coroutine_threadsafe(server.drain(8.0, 0.1), served.running.loop)
        wait_until(lambda: server.draining)
        ends_at = server.idle_deadline + 1.0
        wait_until(lambda: server.now > ends_at)
        client.finish(stream)
        assert client.bodies[stream] == BODY
        client.sock.close()
        assert draining.result(DEADLINE)
