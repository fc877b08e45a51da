"""Makes the daemon out of its parts and runs it: the only module that knows them all.

Here comes together what each of the others does alone:

    listeners, scoreboard, pidfile     opened first; an error here ends the start
    tree                               keeps the hub alive, and a spawner per generation
    fleet                              the web workers and the pools: their start, their reload, their end
    signals, notify                    what the outside says, and is told
"""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import time
from collections.abc import AsyncIterable, Callable, Iterator
from dataclasses import dataclass, replace
from signal import Signals

import anyio
from anyio.abc import TaskGroup

from hornbeamd.config import plan as changes
from hornbeamd.config.options import Options
from hornbeamd.config.resolve import Loaded
from hornbeamd.errors import ConfigError, SupervisionError
from hornbeamd.observe import logs
from hornbeamd.observe.sink import Sink
from hornbeamd.supervisor.fleet import Fleet
from hornbeamd.supervisor.hub import Hub
from hornbeamd.supervisor.intensity import Intensity
from hornbeamd.supervisor.listeners import Listener, open_listeners
from hornbeamd.supervisor.notify import Notifier
from hornbeamd.supervisor.pidfile import Pidfile
from hornbeamd.supervisor.reaper import Reaper, become_subreaper
from hornbeamd.supervisor.runtime import Runtime
from hornbeamd.supervisor.signals import ORDERS, Order
from hornbeamd.supervisor.spawner import Spawner
from hornbeamd.supervisor.spec import ChildSpec, Strategy
from hornbeamd.supervisor.tree import Tree
from hornbeamd.supervisor.workers import last_line
from hornbeamd.worker.identity import owner_ids
from hornbeamd.worker.scoreboard import Scoreboard

log = logging.getLogger("hornbeamd.supervisor")

EXIT_OK = 0
EXIT_FAILED = 1

HUB_SHUTDOWN = 2.0
# Wrappers pass on a SIGTERM that the whole process group got already; only a later one means impatience.
SAME_SIGTERM = 1.0


def run(loaded: Loaded, reload: Callable[[], Loaded]) -> int:
    """Serve until told to end; gives the exit status of the process.

    ``reload`` reads the configuration anew, from the sources that ``loaded`` came from; it raises
    ConfigError.
    """
    options = loaded.options
    logs.setup(replace(options.log, file=None), role="supervisor")  # until the log file is open, or cannot be
    in_file = False
    try:
        open_logs(options)
        in_file = options.log.file is not None
        become_subreaper()
        with _resources(options) as resources:
            return anyio.run(_serve, options, reload, resources)
    except (SupervisionError, LookupError, OSError) as error:
        log.critical("cannot start", extra={"fields": {"error": str(error)}})
        Notifier(os.environ, "").status(f"cannot start: {error}")
        if in_file:  # whoever watches the start sees no more of it than this
            sys.stderr.write(f"hornbeamd: {error}\n")
        return EXIT_FAILED


@dataclass(frozen=True, slots=True)
class Resources:
    """What the daemon opens before anything runs, and closes after everything has ended."""

    listeners: list[Listener]
    board: Scoreboard
    runtime: Runtime


async def _serve(options: Options, reload: Callable[[], Loaded], resources: Resources) -> int:
    return await Daemon(options, reload, resources).run()


@contextlib.contextmanager
def _resources(options: Options) -> Iterator[Resources]:
    with contextlib.ExitStack() as stack:
        if options.pidfile is not None:
            stack.callback(Pidfile(options.pidfile).remove)
        listeners = open_listeners(
            options.bind,
            backlog=options.backlog,
            unix_mode=options.unix_socket_mode,
            unix_owner=options.unix_socket_owner,
            environ=os.environ,
        )
        for listener in listeners:
            stack.callback(listener.close)
            log.info(f"listening on {listener.url(tls=options.ssl)}")
        if options.certfile is not None and not options.ssl:
            log.warning("certfile is set, but ssl is false: nothing is encrypted")
        board = Scoreboard.create()
        stack.callback(board.close)
        runtime = Runtime(options)
        stack.callback(runtime.close)
        yield Resources(listeners, board, runtime)


def open_logs(options: Options) -> None:
    """Open the event log, and see to it that the user the workers run as can open the logs as well.

    Raises OSError when a file cannot be opened, LookupError when there is no such user.
    """
    owner = None
    if options.user is not None or options.group is not None:
        owner = owner_ids(options.user, options.group)
        if options.log.access not in ("off", "-"):
            Sink(options.log.access, owner=owner).close()  # only workers write to it, but they may not make it
    logs.setup(options.log, role="supervisor", owner=owner)


class Daemon:
    """The running server, seen from the supervisor."""

    def __init__(
        self,
        options: Options,
        reload: Callable[[], Loaded],
        resources: Resources,
    ) -> None:
        self._first_options = options
        self._reload_config = reload
        self._listeners = resources.listeners
        self._board = resources.board
        self._runtime = resources.runtime
        self._notifier = Notifier(os.environ, resources.runtime.place.directory)
        self._reaper = Reaper()
        self._hub = Hub(options, resources.runtime, self._reaper)
        self._over = anyio.Event()
        self._failure: str | None = None
        self._ending = False
        self._stopped_at: float | None = None
        self._reloading = False
        self._reload_again = False
        self._refused: str | None = None
        self._group: TaskGroup
        self._tree: Tree
        self._fleet: Fleet

    async def run(self) -> int:
        """Serve until told to end; gives the exit status. Raises SupervisionError when it had to give up."""
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
        return EXIT_OK

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

    async def _start(self) -> None:
        try:
            await self._tree.start_child(ChildSpec(id="hub", shutdown=HUB_SHUTDOWN), self._hub)
            await self._fleet.start()
        except SupervisionError as error:
            self._give_up(last_line(str(error)))
            return
        log.info("serving", extra={"fields": {"pid": os.getpid(), "workers": self._fleet.wanted}})
        self._notifier.ready(self._summary())

    def _launch(self, generation: int, options: Options) -> Spawner:
        sockets = [listener.socket for listener in self._listeners]
        ended = self._fleet.collected
        return Spawner(generation, options, sockets, self._board.fd, self._runtime, self._reaper, ended)

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
                    self._ask_reload()
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
        for listener in self._listeners:
            listener.refuse()

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

    # Reload.

    def _ask_reload(self) -> None:
        """Reload, or, while a reload runs, once more after it: what it read may be old by now."""
        if self._ending or not self._fleet.serving:
            log.warning("not serving, so there is nothing to reload")
        elif self._reloading:
            self._reload_again = True
        else:
            self._reloading = True
            self._group.start_soon(self._reload)

    async def _reload(self) -> None:
        self._reload_again = True
        while self._reload_again and not self._ending:
            self._reload_again = False
            self._notifier.reloading()
            self._refused = await self._reload_once()
            if not self._ending:
                self._notifier.ready(self._summary())
        self._reloading = False

    async def _reload_once(self) -> str | None:
        """Replace all processes; when that fails at any point the old ones serve on, and this gives why."""
        try:
            wanted = self._reload_config().options
        except ConfigError as error:
            for problem in error.problems:
                log.error("reload refused", extra={"fields": {"problem": problem}})
            return "the configuration has errors"
        try:
            await self._fleet.replace(self._applicable(wanted))
        except SupervisionError as error:
            return last_line(str(error))
        self._open_logs()
        self._hub.adopt(self._fleet.options)
        return None

    def _applicable(self, wanted: Options) -> Options:
        """The new options, but for those that only a restart can change: these stay, and are named."""
        needed = changes.plan(self._fleet.options, wanted)
        if needed.restart:
            names = sorted(needed.restart)
            log.warning("changed options need a restart", extra={"fields": {"options": names}})
            return changes.keep(self._fleet.options, wanted, names)
        return wanted

    def _give_up(self, why: str) -> None:
        """End because nothing serves and nothing will."""
        if not self._ending:
            self._failure = why
            self._end(at_once=True)

    def _tell_status(self) -> None:
        if not self._reloading and not self._ending:
            self._notifier.status(self._summary())

    def _summary(self) -> str:
        text = self._fleet.summary
        return f"{text}; last reload failed: {self._refused}" if self._refused else text
