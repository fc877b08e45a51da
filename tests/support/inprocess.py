"""The HTTP server inside the test process: a thread with a loop of its own, on a port of its own."""

import asyncio
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

from hornbeamd.apps.owned import Owned
from hornbeamd.config.options import Options
from hornbeamd.http.exchange import Handler
from hornbeamd.http.server import Server
from hornbeamd.http.tls import server_context

DEADLINE = 10.0


@dataclass(slots=True)
class InProcess:
    """A running server."""

    server: Server
    address: Any
    """(host, port), or the path of a Unix socket."""
    loop: asyncio.AbstractEventLoop

    def call(self, function: Callable[[], Any]) -> Any:
        """Run *function*, which may return a coroutine, in the server's loop; return its result."""

        async def run() -> Any:
            result = function()
            return await result if asyncio.iscoroutine(result) else result

        return asyncio.run_coroutine_threadsafe(run(), self.loop).result(DEADLINE)


@contextmanager
def serving(
    handler: Handler,
    options: Options | None = None,
    *,
    loop: str = "asyncio",
    listener: socket.socket | None = None,
    **more: Any,
) -> Iterator[InProcess]:
    """Serve *handler* until the block is left. *loop* is "asyncio" or "uvloop"; *more* goes to the Server.

    An exception of the server's thread is raised at the end of the block.
    """
    listener = listener or socket.create_server(("127.0.0.1", 0))
    address = listener.getsockname()
    started: list[InProcess] = []
    failed: list[BaseException] = []
    ready, stop = threading.Event(), asyncio.Event()

    async def main() -> None:
        running = asyncio.get_running_loop()
        chosen = options or Options()
        server = Server(chosen, handler, tls=server_context(chosen), **more)
        await handler.startup()
        with handler.running() if isinstance(handler, Owned) else nullcontext():
            server.start([listener])
        started.append(InProcess(server, address[:2] if isinstance(address, tuple) else address, running))
        ready.set()
        await stop.wait()
        server.abort()
        await server.handler.shutdown()

    def run() -> None:
        try:
            with asyncio.Runner(loop_factory=_factory(loop)) as runner:
                runner.run(main())
        except BaseException as error:  # raised again in the thread of the test
            failed.append(error)
        finally:
            ready.set()

    thread = threading.Thread(target=run, name="server", daemon=True)
    with listener:
        thread.start()
        if not ready.wait(DEADLINE):
            raise TimeoutError("the server did not start")
        try:
            if started:
                yield started[0]
        finally:
            if started:
                started[0].loop.call_soon_threadsafe(stop.set)
            thread.join(DEADLINE)
            if thread.is_alive():
                raise TimeoutError("the server did not stop")
        if failed:
            raise failed[0]


def _factory(loop: str) -> Callable[[], asyncio.AbstractEventLoop]:
    if loop == "uvloop":
        import uvloop

        return uvloop.new_event_loop
    return asyncio.new_event_loop
