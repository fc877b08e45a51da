"""`python -m benchmarks.reload.load PORT`: the checking client, a process of its own. It asks until its standard input
ends, then prints what it has seen as JSON."""

import argparse
import asyncio
import json
import sys
from collections.abc import Coroutine

from .counts import Counts
from .http1 import downloading, fresh, kept, pipelined, uploading
from .http2 import multiplexed
from .sockets import echoing

KEPT = 8
FRESH = 2
PIPELINED = 2
MULTIPLEXED = 2
SLOW = 2


async def ask(port: int, sockets: int, http2: bool) -> Counts:
    """Put on the load until standard input ends."""
    counts = Counts()
    clients: list[Coroutine[object, object, None]] = [echoing(port, counts) for _ in range(sockets)]
    clients += [kept(port, counts) for _ in range(KEPT)]
    clients += [fresh(port, counts) for _ in range(FRESH)]
    clients += [pipelined(port, counts) for _ in range(PIPELINED)]
    clients += [slow(port, counts) for slow in (uploading, downloading) for _ in range(SLOW)]
    if http2:
        clients += [multiplexed(port, counts) for _ in range(MULTIPLEXED)]
    tasks = [asyncio.create_task(client) for client in clients]
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    over = asyncio.create_task(reader.read())
    done, _ = await asyncio.wait([over, *tasks], return_when=asyncio.FIRST_COMPLETED)
    for task in done - {over}:
        task.result()  # a client that has ended has a defect
    for task in tasks:
        task.cancel()
    return counts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("port", type=int)
    parser.add_argument("--sockets", type=int, default=200)
    parser.add_argument("--no-http2", action="store_true")
    arguments = parser.parse_args()
    counts = asyncio.run(ask(arguments.port, arguments.sockets, not arguments.no_http2))
    json.dump(counts.plain(), sys.stdout)


if __name__ == "__main__":
    main()
