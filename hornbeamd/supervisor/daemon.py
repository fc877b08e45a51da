"""The running daemon, seen from the supervisor: here comes together what each of the others does alone.

tree                  keeps the hub alive, and a spawner per generation
fleet                 the web workers and the pools: their start, their reload, their end
reloading             which road a reload takes
watching              reloads by themselves
signals, notify       what the outside says, and is told
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import AsyncIterable, Callable
from signal import Signals

import anyio
from anyio.abc import TaskGroup

from hornbeamd.config.options import Options
from hornbeamd.config.resolve import Loaded
from hornbeamd.errors import SupervisionError
from hornbeamd.supervisor.admin import Admin
from hornbeamd.supervisor.binds import Changes
from hornbeamd.supervisor.census import Census
from hornbeamd.supervisor.fleet import Fleet
from hornbeamd.supervisor.hub import Hub
from hornbeamd.supervisor.intensity import Intensity
from hornbeamd.supervisor.notify import Notifier
from hornbeamd.supervisor.outcome import Outcome, Road
from hornbeamd.supervisor.reaper import Reaper
from hornbeamd.supervisor.reloading import Reloading
from hornbeamd.supervisor.resources import Resources, open_logs, try_logs
from hornbeamd.supervisor.signals import ORDERS, Order
from hornbeamd.supervisor.spawner import Spawner
from hornbeamd.supervisor.spec import ChildSpec, Strategy
from hornbeamd.supervisor.tree import Tree
from hornbeamd.supervisor.watching import Watching
from hornbeamd.supervisor.workers import last_line

log = logging.getLogger("hornbeamd.supervisor")

HUB_SHUTDOWN = 2.0
# Wrappers pass on a SIGTERM that the whole process group got already; only a later one means impatience.
SAME_SIGTERM = 1.0


class Daemon:
    """The running server, seen from the supervisor."""

    def __init__(
        self,
        options: Options,
        reload: Callable[[], Loaded],
        resources: Resources,
        file: str | None = None,
    ) -> None:
        self._first_options = options
        self._file = file
        self._reload_config = reload
        self._listeners = resources.listeners
        self._admin_listeners = resources.admin
        self._board = resources.board
        self._runtime = resources.runtime
        self._notifier = Notifier(os.environ, resources.runtime.place.directory)
        self._reaper = Reaper()
        self._hub = Hub(options, resources.runtime, self._reaper)
        self._over = anyio.Event()
        self._failure: str | None = None
        self._ending = False
        self._stopped_at: float | None = None
        self._group: TaskGroup
        self._tree: Tree
        self._fleet: Fleet
        self._reloading: Reloading
        self._watching: Watching
        self._census: Census
        self._admin: Admin

    async def run(self) -> None:
        """Serve until told to end. Raises SupervisionError when it had to give up."""
        with anyio.open_signal_receiver(*ORDERS) as signals:
            async with anyio.create_task_group() as group:
                self._build(group)
                group.start_soon(self._reaper.run)
                group.start_soon(self._notifier.keep_watchdog)
                group.start_soon(self._follow_orders, signals)
                group.start_soon(self._start)
                await self._over.wait()
                await self._tree.shutdown()
                group.cancel_scope.cancel()
        self._notifier.close()
        if self._failure is not None:
            raise SupervisionError(self._failure)
        log.info("ended")

    def _build(self, group: TaskGroup) -> None:
        options = self._first_options
        self._group = group
        self._tree = Tree(
            group,
            Strategy.ONE_FOR_ONE,
            Intensity(options.restart_intensity, options.restart_period),
            serving=lambda: self._fleet.serving,
            give_up=self._give_up,
        )
        self._fleet = Fleet(
            group,
            options,
            self._tree,
            self._board,
            self._reaper,
            launch=self._launch,
            give_up=self._give_up,
            changed=self._tell_status,
        )
        self._reloading = Reloading(group, self, self._fleet, self._reload_config)
        self._watching = Watching(group, self._reloading, self._file)
        self._census = Census(self, self._fleet, self._hub, self._board)
        self._admin = Admin(group, self._admin_listeners, self._census, self._board)
        self._admin.attend()

    async def _start(self) -> None:
        self._watching.adopt(self._first_options)
        try:
            await self._tree.start_child(ChildSpec(id="hub", shutdown=HUB_SHUTDOWN), self._hub)
            await self._fleet.start()
        except SupervisionError as error:
            self._give_up(last_line(str(error)))
            return
        log.info("serving", extra={"fields": {"pid": os.getpid(), "workers": self._fleet.wanted}})
        self._notifier.ready(self._summary())
        self._watching.serving.set()

    def _launch(self, generation: int, options: Options) -> Spawner:
        ended = self._fleet.collected
        return Spawner(generation, options, self._listeners.sockets, self._board.fd, self._runtime, self._reaper, ended)

    # What the operator says.

    async def _follow_orders(self, signals: AsyncIterable[Signals]) -> None:
        async for number in signals:
            order = ORDERS[number]
            log.info(f"{number.name}: {order.value}")
            match order:
                case Order.STOP:
                    self._stop()
                case Order.QUIT:
                    self._end(at_once=True)
                case Order.RELOAD:
                    self._reloading.ask()
                case Order.REOPEN:
                    self._reopen_logs()
                case Order.MORE:
                    self._scale(1)
                case Order.FEWER:
                    self._scale(-1)

    def _stop(self) -> None:
        """SIGTERM drains; another one, later, ends at once."""
        now = time.monotonic()
        if self._stopped_at is None:
            self._stopped_at = now
            self._end(at_once=False)
        elif now > self._stopped_at + SAME_SIGTERM:
            self._end(at_once=True)

    def _end(self, *, at_once: bool) -> None:
        """Begin to end: nobody new is let in, and those inside finish, or not."""
        if not self._ending:
            self._ending = True
            self._notifier.stopping()
            self._group.start_soon(self._end_when_empty)
        if at_once:
            self._fleet.quit()
        else:
            self._fleet.stop()
        self._listeners.refuse()

    async def _end_when_empty(self) -> None:
        await self._fleet.wait_empty()
        self._over.set()

    def _scale(self, by: int) -> None:
        wanted = self._fleet.scale(by)
        log.info("pool resized", extra={"fields": {"workers": wanted}})

    def _reopen_logs(self) -> None:
        self._open_logs()
        self._hub.reopen_logs()
        self._fleet.reopen_logs()

    def _open_logs(self) -> None:
        try:
            open_logs(self._fleet.options)
        except (OSError, LookupError) as error:
            log.error("cannot open the log files, the old ones stay", extra={"fields": {"error": str(error)}})

    @property
    def ending(self) -> bool:
        """Whether the end has begun."""
        return self._ending

    @property
    def failure(self) -> str | None:
        """Why the server has given up, if it has."""
        return self._failure

    # Reload.

    @property
    def reloadable(self) -> bool:
        """Whether there is something to reload."""
        return self._fleet.serving and not self._ending

    def reload_begins(self) -> None:
        """Tell the service manager."""
        self._notifier.reloading()

    def prepare(self, options: Options) -> Changes:
        """Have what is held here follow *options*: the listening sockets. The log files are tried."""
        if options.log != self._fleet.options.log:
            try_logs(options)
        return Changes((self._listeners, self._admin_listeners), options)

    def reload_ends(self, outcome: Outcome) -> None:
        """Take over what a reload has changed, and tell how it went."""
        if outcome.road is not Road.REFUSED:
            self._open_logs()
            self._hub.adopt(self._fleet.options)
            self._fleet.change_log(self._fleet.options.log)
            self._watching.adopt(self._fleet.options)
            self._admin.attend()
        self._census.reloaded(outcome)
        if self._fleet.options.reload.development:
            self._fleet.tell_web({"do": "refused", "text": "\n".join(outcome.problems)})
        if not self._ending:
            self._notifier.ready(self._summary())

    def _give_up(self, why: str) -> None:
        """End because nothing serves and nothing will."""
        if not self._ending:
            self._failure = why
            self._end(at_once=True)

    def _tell_status(self) -> None:
        if not self._reloading.running and not self._ending:
            self._notifier.status(self._summary())

    def _summary(self) -> str:
        text = self._fleet.summary
        failure = self._reloading.failure
        return f"{text}; last reload failed: {failure.why}" if failure else text
