"""What the body of an answer says of the version."""

import asyncio
from collections.abc import AsyncIterator

import sizes

VERSION = 1

PIECES = 30
PAUSE = 0.05


def text() -> bytes:
    return f"version {VERSION} ".encode().ljust(sizes.size(), b".")


async def pieces() -> AsyncIterator[bytes]:
    """A slow download."""
    for number in range(PIECES):
        yield f"version {VERSION} piece {number}\n".encode()
        await asyncio.sleep(PAUSE)
