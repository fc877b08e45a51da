"""Clients over HTTP/1.1 that ask one after the other, many at once (pipelined), slowly, and over fresh connections."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import cycle

from .answers import judge, judge_download
from .counts import Counts, Cut, Refused

PAUSE = 0.01
"""Between two requests of a client: the load is steady, and not as much as the machine can do."""
DEPTH = 8
"""Requests that are sent at once where they are pipelined."""
UPLOAD = 64
PIECE = bytes(4096)
PATIENCE = 20.0


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    fields: dict[bytes, bytes]
    body: bytes

    @property
    def version(self) -> bytes | None:
        return self.fields.get(b"x-version")

    @property
    def last(self) -> bool:
        """Whether the connection ends behind it (RFC 9112, section 9.6)."""
        return self.fields.get(b"connection", b"").lower() == b"close"


class Connection:
    """One connection, from the first request on."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._reader: asyncio.StreamReader
        self._writer: asyncio.StreamWriter | None = None

    async def send(self, data: bytes) -> None:
        """Send, on a new connection where there is none. Raises Refused and Cut."""
        if self._writer is None:
            try:
                self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port)
            except OSError as error:
                raise Refused(str(error)) from error
        try:
            self._writer.write(data)
            await self._writer.drain()
        except OSError as error:
            raise Cut(str(error)) from error

    async def answer(self) -> Answer:
        """Read the next answer. Raises Cut."""
        try:
            async with asyncio.timeout(PATIENCE):
                head, *lines = (await self._reader.readuntil(b"\r\n\r\n")).split(b"\r\n")
                fields = {name.lower(): value.strip() for name, _, value in (line.partition(b":") for line in lines)}
                body = await self._body(fields)
        except (OSError, asyncio.IncompleteReadError, TimeoutError) as error:
            raise Cut(repr(error)) from error
        return Answer(int(head.split()[1]), fields, body)

    async def _body(self, fields: dict[bytes, bytes]) -> bytes:
        if b"content-length" in fields:
            return await self._reader.readexactly(int(fields[b"content-length"]))
        body = b""
        while size := int(await self._reader.readuntil(b"\r\n"), 16):
            body += (await self._reader.readexactly(size + 2))[:-2]
        await self._reader.readexactly(2)
        return body

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer = None


def request(path: str, *fields: str, method: str = "GET") -> bytes:
    return "\r\n".join([f"{method} {path} HTTP/1.1", "Host: here", *fields, "", ""]).encode()


def _paths() -> Iterator[str]:
    return cycle(["/", "/waits", "/", "/thread"])


async def kept(port: int, counts: Counts) -> None:
    """Ask again and again over a connection that is kept for as long as the server lets it be."""
    connection = Connection(port)
    for path in _paths():
        began = time.monotonic()
        try:
            await connection.send(request(path))
            answer = await connection.answer()
        except (Refused, Cut) as error:
            counts.failed(error, f"kept {path}")
            connection.close()
            continue
        if path != "/waits":
            counts.latencies.append((began, time.monotonic() - began))
        _take(counts, answer, f"kept {path}")
        if answer.last:
            connection.close()
        await asyncio.sleep(PAUSE)


async def fresh(port: int, counts: Counts) -> None:
    """Ask over a connection of its own each time."""
    while True:
        connection = Connection(port)
        try:
            await connection.send(request("/", "Connection: close"))
            _take(counts, await connection.answer(), "fresh")
        except (Refused, Cut) as error:
            counts.failed(error, "fresh")
        connection.close()
        await asyncio.sleep(PAUSE)


async def pipelined(port: int, counts: Counts) -> None:
    """Send several requests at once. Those behind an answer that is the last were not served, and are sent again."""
    connection = Connection(port)
    while True:
        try:
            await connection.send(request("/") * DEPTH)
            for _ in range(DEPTH):
                answer = await connection.answer()
                _take(counts, answer, "pipelined")
                if answer.last:
                    connection.close()
                    break
        except (Refused, Cut) as error:
            counts.failed(error, "pipelined")
            connection.close()
        await asyncio.sleep(DEPTH * PAUSE)


async def uploading(port: int, counts: Counts) -> None:
    """Send a body slowly."""
    size = UPLOAD * len(PIECE)
    while True:
        connection = Connection(port)
        try:
            await connection.send(request("/upload", f"Content-Length: {size}", "Connection: close", method="POST"))
            for _ in range(UPLOAD):
                await connection.send(PIECE)
                await asyncio.sleep(0.03)
            answer = await connection.answer()
        except (Refused, Cut) as error:
            counts.failed(error, "upload")
        else:
            _take(counts, answer, "upload")
            if answer.fields.get(b"x-size") != str(size).encode():
                counts.fail("wrong", f"upload: {answer.fields}")
        connection.close()


async def downloading(port: int, counts: Counts) -> None:
    """Take an answer that the application gives slowly."""
    while True:
        connection = Connection(port)
        try:
            await connection.send(request("/download", "Connection: close"))
            answer = await connection.answer()
        except (Refused, Cut) as error:
            counts.failed(error, "download")
        else:
            counts.take(judge_download(answer.version, answer.body), f"download: {answer.status} {answer.body[:60]!r}")
        connection.close()


def _take(counts: Counts, answer: Answer, what: str) -> None:
    counts.take(judge(answer.version, answer.body), f"{what}: {answer.status} {answer.version!r} {answer.body[:60]!r}")
