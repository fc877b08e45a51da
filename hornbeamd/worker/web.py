"""What a web worker is for: the application, served over HTTP on the sockets that all workers share."""

from __future__ import annotations

from collections.abc import Iterator, MutableSequence
from typing import cast

from hornbeamd import node
from hornbeamd.apps import late, site, threads
from hornbeamd.apps.owned import Owned
from hornbeamd.apps.site import Site
from hornbeamd.config.options import Options
from hornbeamd.http.server import Server
from hornbeamd.observe.access import AccessLog
from hornbeamd.observe.meter import Meter
from hornbeamd.worker import functions
from hornbeamd.worker.birth import Birth
from hornbeamd.worker.life import Tell


class WebVersion:
    """The :class:`~hornbeamd.worker.generations.Version` of a web worker: a site, and the handler that serves it."""

    def __init__(self, loaded: Site, options: Options) -> None:
        self.site = loaded
        self.handler = Owned(site.handler(loaded, options), node.current().generations.acting())

    async def startup(self) -> None:
        """Run the startup of the application."""
        await self.handler.startup()

    async def finished(self) -> None:
        """Return when no request, stream or WebSocket runs on it any more."""
        await self.handler.finished()

    def drain(self, seconds: float) -> None:
        """Have WebSockets end."""
        self.handler.drain(seconds)

    async def shutdown(self) -> None:
        """Cut what is left, and run the shutdown of the application."""
        await self.handler.shutdown()


class Web:
    """The :class:`~hornbeamd.worker.life.Service` of a web worker."""

    def __init__(self, birth: Birth) -> None:
        self._birth = birth
        self._options = birth.options
        self._access: AccessLog | None = None
        self._server: Server | None = None
        self._version: WebVersion

    def build(self, options: Options) -> WebVersion:
        """Import the application, unless the spawner has, and the functions of the configuration."""
        loaded = self._birth.site or site.load(options)
        late.load()
        functions.register(options, node.current().offers)
        return WebVersion(loaded, options)

    def serve(self, version: WebVersion, tell: Tell) -> None:
        """Accept connections."""
        board = self._birth.board
        row = cast(MutableSequence[int], board.row(self._birth.number))
        if self._options.log.access != "off":
            self._access = AccessLog(self._options.log)
        self._version = version
        self._server = Server(
            self._options,
            version.handler,
            tls=self._birth.tls,
            row=row,
            total=board.in_flight,
            crowd=board.crowd,
            access=self._access,
            meter=Meter(row, lambda: board.measured, threads.waiting),
            on_recycle=lambda: tell({"event": "recycle", "why": "max_requests"}),
            on_refuse=version.site.watch,
        )
        with version.handler.running():
            self._server.start(self._birth.listeners)

    def adopt(self, version: WebVersion, options: Options) -> None:
        """Serve *version* from now on; connections stay."""
        assert self._server is not None
        self._version, self._options = version, options
        with version.handler.running():
            self._server.adopt(version.handler, version.site.watch, options)

    @property
    def idle(self) -> bool:
        """Whether no request is in hand."""
        return self._server is not None and not self._server.in_flight

    def stuck(self, now: float) -> str | None:
        """Say why the application cannot serve any more, or None."""
        return self._version.handler.stuck(now)

    def refuse(self) -> None:
        """Accept no more."""
        assert self._server is not None
        self._server.stop_accepting()

    async def drain(self, timeout: float, idle: float) -> bool:
        """Let the requests in hand finish."""
        assert self._server is not None
        return await self._server.drain(timeout, idle)

    def cut(self) -> None:
        """Cut what is left."""
        if self._server is not None:
            self._server.abort()

    def reopen_logs(self) -> None:
        """Open the access log anew."""
        if self._access is not None:
            self._access.reopen()

    def descriptors(self) -> Iterator[int]:
        """Those that lead to clients."""
        for sock in self._birth.listeners:
            yield sock.fileno()
        if self._server is not None:
            for connection in self._server.connections:
                client = connection.transport.get_extra_info("socket")
                if client is not None:  # else it is closed, and the loop has yet to say so
                    yield client.fileno()
