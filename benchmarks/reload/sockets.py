"""WebSockets that are held open, each with some traffic."""

from __future__ import annotations

import asyncio
import random

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake

from .counts import Counts

INTERVAL = 1.0
SERVICE_RESTART = 1012


async def echoing(port: int, counts: Counts) -> None:
    """Hold a WebSocket, and open another where it ends: counted as told (1012, "service restart") or cut.

    What comes back states the version that answers; on one WebSocket it stays the same.
    """
    while True:
        try:
            async with connect(f"ws://127.0.0.1:{port}/echo", compression=None, ping_interval=None) as websocket:
                await _echo(websocket, counts)
        except ConnectionClosed as error:
            told = error.rcvd is not None and error.rcvd.code == SERVICE_RESTART
            counts.fail("told" if told else "dead", f"WebSocket: {error}")
        except InvalidHandshake as error:
            counts.fail("wrong", f"WebSocket: {error}")
        except ConnectionRefusedError as error:
            counts.fail("refused", f"WebSocket: {error}")
        except (OSError, EOFError, TimeoutError) as error:
            counts.fail("reset", f"WebSocket: {error!r}")
        await asyncio.sleep(random.uniform(0, 0.2))


async def _echo(websocket, counts: Counts) -> None:
    await asyncio.sleep(random.uniform(0, INTERVAL))
    first, number = "", 0
    while True:
        number += 1
        await websocket.send(str(number))
        async with asyncio.timeout(20):
            version, _, back = (await websocket.recv()).partition(" ")
        counts.answers += 1
        first = first or version
        if back != str(number):
            counts.fail("wrong", f"WebSocket: {back}, not {number}")
        elif version != first:
            counts.fail("mixed", f"WebSocket: {version} after {first}")
        await asyncio.sleep(INTERVAL)
