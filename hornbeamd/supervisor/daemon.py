"""The running daemon, seen from the supervisor: here comes together what each of the others does alone.

tree                  keeps the hub alive, and a spawner per generation
fleet                 the web workers and the pools: their start, their reload, their end
reloading             which road a reload takes
watching              reloads by themselves
signals, notify       what the outside says, and is told
"""

from __future__ import annotations

import gc
import logging
import os
import time
from collections.abc import AsyncIterable, Callable
from functools import partial
from signal import Signals

import anyio
from anyio.abc import TaskGroup

from hornbeamd.config.log import LogOptions
from hornbeamd.config.options import Options
from hornbeamd.config.resolve import Loaded
from hornbeamd.control.operations import Plain
from hornbeamd.errors import GivenUp, SupervisionError
from hornbeamd.observe import logs
from hornbeamd.supervisor import keeper
from hornbeamd.supervisor.admin import Admin
from hornbeamd.supervisor.binds import Changes
from hornbeamd.supervisor.census import Census
from hornbeamd.supervisor.configuration import Configuration
from hornbeamd.supervisor.control import Control
from hornbeamd.supervisor.fdstore import Store
from hornbeamd.supervisor.fleet import Fleet
from hornbeamd.supervisor.handover import Estate, plain_options
from hornbeamd.supervisor.hub import Hub
from hornbeamd.supervisor.intensity import Intensity
from hornbeamd.supervisor.keeper import Heirs
from hornbeamd.supervisor.notify import Notifier
from hornbeamd.supervisor.operations import DaemonOperations
from hornbeamd.supervisor.outcome import Outcome, Road
from hornbeamd.supervisor.predecessor import Predecessor
from hornbeamd.supervisor.reaper import Reaper
from hornbeamd.supervisor.reloading import Reloading
from hornbeamd.supervisor.resources import Resources, open_logs, try_logs
from hornbeamd.supervisor.signals import ORDERS, Order
from hornbeamd.supervisor.spawner import Spawner
from hornbeamd.supervisor.spec import ChildSpec, Strategy
from hornbeamd.supervisor.tree import Tree
from hornbeamd.supervisor.upgrade import Lineage, Upgrading
from hornbeamd.supervisor.watching import Watching
from hornbeamd.supervisor.workers import gist

log = logging.getLogger("hornbeamd.supervisor")

HUB = "hub"
HUB_SHUTDOWN = 2.0
# Wrappers pass on a SIGTERM that the whole process group got already; only a later one means impatience.
SAME_SIGTERM = 1.0
# Until signals that have come are passed on.
PASSED_ON = 0.05


class Daemon:
    """The running server, seen from the supervisor."""

    def __init__(
        self,
        loaded: Loaded,
        reload: Callable[[], Loaded],
        resources: Resources,
        lineage: Lineage,
    ) -> None:
        self._first_options = options = loaded.options
        self._configuration = Configuration(loaded, reload)
        self._resources = resources
        self._listeners = resources.listeners
        self._admin_listeners = resources.admin
        self._board = resources.board
        self._runtime = resources.runtime
        self._notifier = Notifier(os.environ, resources.runtime.place.directory)
        self._store = Store(self._notifier, os.environ, resources.listeners.found)
        self._reaper = Reaper()
        self._hub = Hub(options, resources.runtime, self._reaper)
        self._predecessor = lineage.predecessor
        self._notifier.silent = self._hub.standby = self._predecessor is not None
        self._upgrading = Upgrading(self, self._reaper, lineage)
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
        self._control: Control

    async def run(self) -> Heirs | int:
        """Serve until told to end; gives the exit status, or those who serve now and need a keeper. Raises
        SupervisionError when it had to give up, whose gist says why: GivenUp, if it has served before."""
        with anyio.open_signal_receiver(*ORDERS) as signals:
            async with anyio.create_task_group() as group:
                self._build(group)
                group.start_soon(self._reaper.run)
                group.start_soon(self._notifier.keep_watchdog)
                group.start_soon(self._follow_orders, signals)
                group.start_soon(self._start)
                await self._over.wait()
                await self._tree.shutdown()
                if self._failure is None:
                    keeper.hold_signals()  # nothing cuts short what is cleared up now
                if self._upgrading.heirs is not None:
                    await anyio.sleep(PASSED_ON)
                group.cancel_scope.cancel()
        self._notifier.close()
        if self._failure is not None:
            served = self._watching.serving.is_set()
            raise GivenUp(self._failure) if served else SupervisionError(self._failure)
        log.info("ended")
        return self._upgrading.heirs or self._upgrading.status or 0

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
            generation=1 if self._predecessor is None else self._predecessor.estate.generation + 1,
        )
        self._reloading = Reloading(group, self, self._fleet, self._configuration.read)
        self._watching = Watching(group, self._reloading, self._configuration.file)
        self._census = Census(self, self._fleet, self._hub, self._board)
        self._admin = Admin(group, self._admin_listeners, self._census, self._board)
        operations = DaemonOperations(
            self, self._fleet, self._hub, self._board, self._listeners, self._reloading, self._configuration
        )
        self._control = Control(group, self._resources.control, operations, options.control)
        if self._predecessor is None:
            self._attend()

    def _attend(self) -> None:
        """Answer those who ask how the daemon is, and tell it what to do."""
        self._admin.attend()
        self._control.attend()

    async def _start(self) -> None:
        self._watching.adopt(self._first_options)
        if self._predecessor is not None:
            self._group.start_soon(self._predecessor.listen, partial(self._give_up, "the old daemon is gone"))
        try:
            await self._start_hub()
            await self._fleet.start()
            if self._predecessor is not None:
                await self._take_over(self._predecessor)
        except SupervisionError as error:
            self._give_up(str(error))
            return
        log.info("serving", extra={"fields": {"pid": os.getpid(), "workers": self._fleet.wanted}})
        self._notifier.ready(self._summary())
        self._store.follow(self._listeners.current)
        self._watching.serving.set()
        gc.collect()
        gc.freeze()  # it stays; to look at it again and again would make collections rare, and long

    async def _start_hub(self) -> None:
        await self._tree.start_child(ChildSpec(id=HUB, shutdown=HUB_SHUTDOWN), self._hub)

    async def _take_over(self, predecessor: Predecessor) -> None:
        """Take the place of the daemon before this one; nothing can fail from here on but that one."""
        await self._fleet.wait_complete()
        await predecessor.hand_over()
        self._resources.take()
        self._hub.serve()
        self._attend()
        if self._resources.changes is not None:
            self._group.start_soon(self._resources.changes.commit)
        await predecessor.part()
        self._notifier.silent = False

    def _launch(self, generation: int, options: Options) -> Spawner:
        ended = self._fleet.collected
        return Spawner(generation, options, self._listeners.sockets, self._board.fd, self._runtime, self._reaper, ended)

    # What the operator says.

    async def _follow_orders(self, signals: AsyncIterable[Signals]) -> None:
        async for number in signals:
            order = ORDERS[number]
            log.info(f"{number.name}: {order.value}")
            self._upgrading.forward(number)
            if self._upgrading.successor is not None and order is not Order.QUIT:
                continue
            match order:
                case Order.STOP:
                    self._stop()
                case Order.QUIT:
                    self.end(at_once=True)
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
            self.end(at_once=False)
        elif now > self._stopped_at + SAME_SIGTERM:
            self.end(at_once=True)

    def end(self, *, at_once: bool) -> None:
        """Begin to end: nobody new is let in, and those inside finish, or not."""
        self._upgrading.abort()
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

    def change_log(self, options: LogOptions) -> None:
        """Have all processes log as *options* say."""
        logs.change(options, "supervisor")
        self._hub.adopt(self._fleet.options)
        self._fleet.change_log(options)

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
        """Why the server has given up, in a line, if it has."""
        return None if self._failure is None else gist(self._failure)

    # Reload.

    @property
    def unreloadable(self) -> str:
        """Why nothing can be reloaded now; "" when it can."""
        if self._ending:
            return "the daemon is about to end"
        if self._upgrading.running:
            return "the daemon is being upgraded; ask again when that is over"
        if not self._fleet.serving:
            return "no worker serves; those that start read the code as it is then, and the log says what keeps them"
        return ""

    def reload_begins(self) -> None:
        """Tell the service manager."""
        self._notifier.reloading()

    def reload_is_impossible(self) -> None:
        """Tell the service manager, which may have asked for it, that it is over, unless it waits for a start or an
        end."""
        if self._watching.serving.is_set() and not self._ending:
            self._notifier.reloading()
            self._notifier.ready(self._summary())

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
            self._configuration.adopt(kept=outcome.changed.restart)
            self._watching.adopt(self._fleet.options)
            self._admin.attend()
            self._store.follow(self._listeners.current)
        self._census.reloaded(outcome)
        if self._fleet.options.reload.development:
            self._fleet.tell_web({"do": "refused", "text": "\n".join(outcome.problems)})
        if not self._ending:
            self._notifier.ready(self._summary())
        gc.collect()  # a reload leaves cycles behind

    # Upgrade.

    async def upgrade(self) -> Plain:
        """Have a new daemon take over. Raises ControlError when there cannot be one, or it did not come up."""
        return await self._upgrading.upgrade(self._fleet.options.boot_timeout)

    @property
    def unready(self) -> str:
        """Why this daemon cannot be upgraded now; "" when it can."""
        if self._reloading.running:
            return "a reload is under way; try again when it is over"
        return self.unreloadable

    def estate(self, announce: int | None) -> Estate:
        """What there is to hand over."""
        pidfile = self._resources.pidfile
        return Estate(
            generation=self._fleet.generation,
            sockets=self._resources.sockets(),
            runtime=self._runtime.plain(),
            pidfile=None if pidfile is None else pidfile.plain(),
            options=plain_options(self._fleet.options),
            announce=announce,
        )

    async def part_with_hub(self) -> None:
        """End the hub: another one is about to serve."""
        await self._tree.stop_child(HUB)

    async def take_hub_back(self) -> None:
        """Have a hub again."""
        try:
            await self._start_hub()
        except SupervisionError as error:
            log.error("the hub could not be started again", extra={"fields": {"traceback": str(error)}})

    def retire(self, pid: int) -> None:
        """Drain and end: all that was handed over is the process *pid*'s."""
        self._resources.leave()
        self._admin.leave()
        self._control.leave()
        self._notifier.main_is(pid)
        self._ending = True
        self._group.start_soon(self._end_when_empty)
        self._fleet.stop("upgrade", idle=self._fleet.options.keepalive)  # others serve: there is time to find them

    def _give_up(self, why: str) -> None:
        """End because nothing serves and nothing will: *why* is a line, or a traceback."""
        if not self._ending:
            self._failure = why
            self.end(at_once=True)

    def _tell_status(self) -> None:
        if not self._reloading.running and not self._ending:
            self._notifier.status(self._summary())

    def _summary(self) -> str:
        text = self._fleet.summary
        failure = self._reloading.failure
        return f"{text}; last reload failed: {failure.why}" if failure else text
