"""Drives an HTTP/1.1 connection without a socket: exact chunking, no waiting, thousands of cases a second."""

import asyncio
from collections.abc import Iterable
from typing import Any

from hornbeamd.http.h1.connection import H1Connection
from hornbeamd.http.peer import Peer
from hornbeamd.http.server import Server

_TURNS = 200


class _Socket:
    """What the server asks of a transport's socket."""

    family = 2  # AF_INET


class MemoryTransport(asyncio.Transport):
    """Collects what is written; keeps to the rules that asyncio's transports keep to."""

    def __init__(self) -> None:
        super().__init__({"socket": _Socket(), "peername": ("192.0.2.1", 4711), "sockname": ("192.0.2.2", 80)})
        self.output = bytearray()
        self.paused = False
        self.closing = False
        self.reset = False
        self.ended = False
        """The connection has said that nothing more comes from its side."""
        self.protocol: asyncio.Protocol | None = None

    def write(self, data: bytes | bytearray | memoryview) -> None:
        assert isinstance(data, bytes | bytearray | memoryview)
        assert not self.ended
        if not self.closing:
            self.output += data

    def writelines(self, list_of_data: Iterable[Any]) -> None:
        for data in list_of_data:
            self.write(data)

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        self.ended = True

    def is_closing(self) -> bool:
        return self.closing

    def is_reading(self) -> bool:
        return not (self.paused or self.closing)

    def pause_reading(self) -> None:
        assert not self.paused
        self.paused = True

    def resume_reading(self) -> None:
        assert self.paused
        self.paused = False

    def get_write_buffer_size(self) -> int:
        return 0

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        pass

    def close(self) -> None:
        if not self.closing:
            self.closing = self.ended = True
            asyncio.get_running_loop().call_soon(self._lose)

    def abort(self) -> None:
        self.reset = True
        self.close()

    def _lose(self) -> None:
        protocol, self.protocol = self.protocol, None
        if protocol is not None:
            protocol.connection_lost(None)


async def converse(server: Server, chunks: Iterable[bytes], *, fin: bool) -> MemoryTransport:
    """Feed *chunks* to a new connection of *server*, each in a turn of the loop; with *fin*, then the end.

    The transport that is returned has all that came back, and the connection is over; ``ended`` tells whether
    that was of its own doing. What a callback of the loop raised is raised here.
    """
    failures: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: failures.append(context))
    transport = MemoryTransport()
    protocol = H1Connection(server, Peer(("127.0.0.1", 1), ("127.0.0.1", 2), trusted=False))
    transport.protocol = protocol
    protocol.connection_made(transport)
    for chunk in chunks:
        await _readable(transport)
        if transport.closing:
            break
        protocol.data_received(chunk)
    await _readable(transport)
    if fin and not transport.closing and not protocol.eof_received():
        transport.close()
    await _settle()
    ended = transport.ended
    transport.abort()
    await _settle()
    transport.ended = ended
    for failure in failures:
        raise failure.get("exception") or AssertionError(failure["message"])
    return transport


async def _settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def _readable(transport: MemoryTransport) -> None:
    """Wait, by turns of the loop, until the connection reads again."""
    for _ in range(_TURNS):
        await asyncio.sleep(0)
        if transport.closing or not transport.paused:
            return
    raise AssertionError("reading stays paused")
