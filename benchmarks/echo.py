"""WebSocket load: `python -m benchmarks.echo PORT CONNECTIONS SECONDS`. The result is one JSON line, as load.lua's.

Each connection sends a message, waits for its echo, compares it byte by byte, and sends the next. Frames are built
beforehand, and nothing but an equal frame is understood, so that this end costs less than any server.
"""

import asyncio
import base64
import hashlib
import json
import os
import random
import sys
import time
from functools import partial
from typing import Any

import uvloop

LENGTH = 64
"""Bytes of text in a message; below 126, so that one byte of the frame tells it (RFC 6455, section 5.2)."""
LAST_ECHO_SECONDS = 5.0
_MESSAGES = 256  # different ones, so that a server which mixes connections up is found out
_TEXT, _CLOSE, _FINAL, _MASKED = 0x1, 0x8, 0x80, 0x80
_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


def frame(opcode: int, payload: bytes, mask: bytes = b"") -> bytes:
    """A whole frame; a client's with a *mask* of four bytes, a server's without."""
    if not mask:
        return bytes((_FINAL | opcode, len(payload))) + payload
    masked = bytes(byte ^ mask[index % 4] for index, byte in enumerate(payload))
    return bytes((_FINAL | opcode, _MASKED | len(payload))) + mask + masked


def exchanges() -> list[tuple[bytes, bytes]]:
    """What is sent, and what has to come back."""
    source = random.Random(6455)
    texts = [source.randbytes(LENGTH // 2).hex().encode() for _ in range(_MESSAGES)]
    return [(frame(_TEXT, text, source.randbytes(4)), frame(_TEXT, text)) for text in texts]


class Handshake:
    """The opening of one connection (RFC 6455, section 4.1)."""

    def __init__(self, nonce: bytes) -> None:
        """*nonce*: 16 bytes."""
        key = base64.b64encode(nonce)
        self._accept = base64.b64encode(hashlib.sha1(key + _GUID).digest())
        lines = (b"GET / HTTP/1.1", b"Host: 127.0.0.1", b"Upgrade: websocket", b"Connection: Upgrade")
        more = (b"Sec-WebSocket-Version: 13", b"Sec-WebSocket-Key: " + key, b"", b"")
        self.request = b"\r\n".join((*lines, *more))

    def accepted(self, head: bytes) -> bool:
        status, *fields = head.split(b"\r\n")
        named = {name.lower(): value.strip() for name, _, value in (field.partition(b":") for field in fields)}
        return status.startswith(b"HTTP/1.1 101 ") and named.get(b"sec-websocket-accept") == self._accept


class Connection(asyncio.Protocol):
    """One client: first the handshake, then, from *start* until *finish*, message after message."""

    _transport: asyncio.Transport

    def __init__(self, first: int, all_exchanges: list[tuple[bytes, bytes]]) -> None:
        loop = asyncio.get_running_loop()
        self.opened: asyncio.Future[None] = loop.create_future()
        self.ended: asyncio.Future[None] = loop.create_future()
        self.echoes = 0
        self._exchanges = all_exchanges[first:] + all_exchanges[:first]
        self._handshake = Handshake(os.urandom(16))
        self._received = b""
        self._expected = b""
        self._goes_on = True

    def start(self) -> None:
        sent, self._expected = self._exchanges[self.echoes % _MESSAGES]
        self._transport.write(sent)

    def finish(self) -> None:
        """Send nothing more; `ended` has a result as soon as the last echo is there."""
        self._goes_on = False

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        self._transport.write(self._handshake.request)

    def data_received(self, data: bytes) -> None:
        if self._received:
            data = self._received + data
            self._received = b""
        if data == self._expected:
            self.echoes += 1
            if self._goes_on:
                self.start()
            else:
                self._transport.write(frame(_CLOSE, b"\x03\xe8", b"\0\0\0\0"))
                self._transport.close()
                self._end(None)
        elif not self._expected and b"\r\n\r\n" in data:
            head, _, rest = data.partition(b"\r\n\r\n")
            if rest or not self._handshake.accepted(head):
                self._end(f"no WebSocket: {data[:200]!r}")
            else:
                self.opened.set_result(None)
        elif self._expected.startswith(data) or not self._expected:
            self._received = data
        else:
            self._end(f"{data[:80]!r} is not the echo")

    def connection_lost(self, error: Exception | None) -> None:
        self._end(f"closed: {error}")

    def _end(self, why: str | None) -> None:
        for future in (self.opened, self.ended):
            if future.done():
                continue
            if why is None:
                future.set_result(None)
            else:
                future.set_exception(ConnectionError(why))
                self._transport.abort()


async def load(port: int, connections: int, seconds: float) -> dict[str, float]:
    """All connections first, then *seconds* of messages. Raises when not every connection opens."""
    loop, prepared = asyncio.get_running_loop(), exchanges()
    clients: list[Connection] = []
    for number in range(connections):
        protocol = partial(Connection, number * _MESSAGES // connections, prepared)
        _, client = await loop.create_connection(protocol, "127.0.0.1", port)
        clients.append(client)
    await asyncio.wait_for(asyncio.gather(*(client.opened for client in clients)), LAST_ECHO_SECONDS)
    began = time.monotonic()
    for client in clients:
        client.start()
    await asyncio.sleep(seconds)
    echoes, took = sum(client.echoes for client in clients), time.monotonic() - began
    for client in clients:
        client.finish()
    await asyncio.wait([client.ended for client in clients], timeout=LAST_ECHO_SECONDS)
    broken = [client.ended for client in clients if not client.ended.done() or client.ended.exception()]
    for future in broken:
        print(future, file=sys.stderr)
    return {"requests": echoes, "seconds": took, "errors": len(broken)}


if __name__ == "__main__":
    print(json.dumps(uvloop.run(load(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])))))
