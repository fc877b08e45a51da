"""A client over HTTP/2 with prior knowledge, which does as RFC 9113, section 6.8, says when the server goes away."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field

import h2.config
import h2.connection
import h2.errors
import h2.events

from .answers import judge
from .counts import Counts, Cut, Refused
from .http1 import PATIENCE, PAUSE

STREAMS = 8
GOAWAY = 7


@dataclass(slots=True)
class Stream:
    began: float
    version: bytes | None = None
    body: bytearray = field(default_factory=bytearray)


class Connection:
    """One connection, from its first stream until the server has announced its end and all streams have ended."""

    def __init__(self, counts: Counts) -> None:
        self._counts = counts
        self._h2 = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True, header_encoding=None))
        self._streams: dict[int, Stream] = {}
        self._leaving = False
        self._rest = b""

    async def run(self, port: int) -> None:
        """Ask until the connection is over. Raises Refused and Cut."""
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError as error:
            raise Refused(str(error)) from error
        self._h2.initiate_connection()
        try:
            while not self._leaving or self._streams:
                while not self._leaving and len(self._streams) < STREAMS:
                    self._ask()
                writer.write(self._h2.data_to_send())
                async with asyncio.timeout(PATIENCE):
                    data = await reader.read(65536)
                if not data:
                    raise Cut(f"the end, with {len(self._streams)} streams")
                self._receive(data)
                await asyncio.sleep(4 * PAUSE)
        except (OSError, TimeoutError) as error:
            raise Cut(repr(error)) from error
        finally:
            writer.close()

    def _ask(self) -> None:
        number = self._h2.get_next_available_stream_id()
        fields = [(b":method", b"GET"), (b":scheme", b"http"), (b":authority", b"here"), (b":path", b"/")]
        self._h2.send_headers(number, fields, end_stream=True)
        self._streams[number] = Stream(time.monotonic())

    def _receive(self, data: bytes) -> None:
        self._rest += data
        while len(self._rest) >= 9 and len(self._rest) >= (end := 9 + int.from_bytes(self._rest[:3], "big")):
            frame, self._rest = self._rest[:end], self._rest[end:]
            if frame[3] == GOAWAY:  # behind which the library takes nothing, although streams go on
                self._leave(int.from_bytes(frame[9:13], "big"))
                continue
            for event in self._h2.receive_data(frame):
                self._take(event)

    def _leave(self, last: int) -> None:
        """Ask no more here. What is above the *last* stream was not served, and is asked again elsewhere."""
        self._leaving = True
        self._streams = {number: stream for number, stream in self._streams.items() if number <= last}

    def _take(self, event: h2.events.Event) -> None:
        match event:
            case h2.events.ResponseReceived():
                self._streams[event.stream_id].version = dict(event.headers).get(b"x-version")
            case h2.events.DataReceived():
                self._streams[event.stream_id].body += event.data
                self._h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            case h2.events.StreamEnded():
                stream = self._streams.pop(event.stream_id)
                self._counts.latencies.append((stream.began, time.monotonic() - stream.began))
                self._counts.take(judge(stream.version, bytes(stream.body)), f"h2: {stream}")
            case h2.events.StreamReset():
                self._streams.pop(event.stream_id, None)
                if event.error_code != h2.errors.ErrorCodes.REFUSED_STREAM:  # which may be asked again
                    self._counts.fail("reset", f"h2: stream reset with {event.error_code}")


async def multiplexed(port: int, counts: Counts) -> None:
    """Keep several requests in hand on one connection at a time."""
    while True:
        try:
            await Connection(counts).run(port)
        except (Refused, Cut) as error:
            counts.failed(error, "h2")
            await asyncio.sleep(PAUSE)
