"""All processes that serve: the pools of the configuration, and the web workers, which call them.

One ``Workers`` for each; here is only what concerns several of them, in the order that follows from who calls whom:

    start     pools, until each has a process that serves; then web workers
    reload    a canary in each pool, then one web worker; when all of these serve, all of the rest.
              Whatever fails brings everybody back to the generation before
    end       web workers; when they are gone, pools

A spawner lives as long as a process of its generation does, or may be wanted.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict
from functools import partial

import anyio
from anyio.abc import TaskGroup

from hornbeamd.config.log import LogOptions
from hornbeamd.config.options import Options
from hornbeamd.errors import SupervisionError
from hornbeamd.supervisor import actions
from hornbeamd.supervisor.intensity import Intensity
from hornbeamd.supervisor.outcome import Progress, Step
from hornbeamd.supervisor.pool import STOP_IDLE, Pool
from hornbeamd.supervisor.process import WorkerProcess
from hornbeamd.supervisor.reaper import Reaper
from hornbeamd.supervisor.spawner import Spawner
from hornbeamd.supervisor.spec import ChildSpec
from hornbeamd.supervisor.swapping import Signs, Swap, Unable
from hornbeamd.supervisor.tree import Tree
from hornbeamd.supervisor.trial import Trial
from hornbeamd.supervisor.undertaking import Undertaking
from hornbeamd.supervisor.workers import TICK, Workers
from hornbeamd.worker.channel import Message
from hornbeamd.worker.scoreboard import MOST_WORKERS, Scoreboard

log = logging.getLogger("hornbeamd.supervisor")

SPAWNER_SHUTDOWN = 2.0
# What pools have to end in, when the web workers have used up the time.
LEAST_DRAIN = 1.0


class Fleet:
    """The processes, seen together. ``options`` are those that all of them run, or go back to.

    ``launch`` makes a spawner for a generation and its options, ``give_up`` is called when nothing serves and
    nothing will, ``changed`` again and again, since ``summary`` may say something else.
    """

    def __init__(
        self,
        group: TaskGroup,
        options: Options,
        tree: Tree,
        board: Scoreboard,
        reaper: Reaper,
        *,
        launch: Callable[[int, Options], Spawner],
        give_up: Callable[[str], None],
        changed: Callable[[], None],
        generation: int,
    ) -> None:
        self.options = options
        self.generation = generation
        self._group = group
        self._tree = tree
        self._reaper = reaper
        self._launch = launch
        self._give_up = give_up
        self._changed = changed
        self._spawners: dict[int, Spawner] = {}
        self._undertaking: Undertaking | None = None
        self._latest = generation
        self._deadline = 0.0
        self._web = self._workers("", options.workers, self.generation, options, board)
        self._pools = {
            pool.name: self._workers(pool.name, pool.processes, self.generation, options) for pool in options.pools
        }
        self._leaving: list[Workers] = []
        self._trials: list[Trial] = []

    def _workers(
        self, name: str, wanted: int, generation: int, options: Options, board: Scoreboard | None = None
    ) -> Workers:
        intensity = Intensity(options.restart_intensity, options.restart_period)
        pool = Pool(options, intensity, wanted, generation, most=MOST_WORKERS, essential=not name)
        return Workers(
            self._group, pool, self._spawners, self._reaper, self._decided, self._ready, name=name, board=board
        )

    # What can be asked.

    @property
    def serving(self) -> bool:
        """Whether requests are answered."""
        return bool(self._web.pool.serving)

    @property
    def wanted(self) -> int:
        """How many web workers there should be."""
        return self._web.pool.wanted

    @property
    def whole(self) -> tuple[Workers, ...]:
        """The web workers, and then the pools of the configuration."""
        return self._web, *self._pools.values()

    @property
    def groups(self) -> tuple[Workers, ...]:
        """The same, and then pools that are about to end, for they are configured no more."""
        return *self.whole, *self._leaving

    @property
    def spawners(self) -> Iterator[tuple[int, int]]:
        """The generation, and the process id, of each spawner that is up."""
        for generation, spawner in self._spawners.items():
            if spawner.pid is not None:
                yield generation, spawner.pid

    @property
    def summary(self) -> str:
        """One line about all: ``4 workers, pool embeddings 2/2, generation 1``."""
        pools = (f"pool {each.name} {len(each.pool.serving)}/{each.pool.wanted}" for each in self._pools.values())
        return ", ".join((f"{self.wanted} workers", *pools, f"generation {self.generation}"))

    # What is done with all of them.

    async def start(self) -> None:
        """Return when requests are answered. Raises SupervisionError when something cannot boot."""
        self._undertaking = Undertaking()
        await self._start_spawner(self.generation, self.options)
        self._group.start_soon(self._look_around)
        try:
            for stage in ([*self._pools.values()], [self._web]):
                for workers in stage:
                    self._group.start_soon(workers.run)
                await self._undertaking.all_reach(actions.Proven, map(_name, stage))
        finally:
            self._undertaking = None

    async def wait_complete(self) -> None:
        """Return when all processes that are wanted serve. Raises SupervisionError when that takes too long."""
        whole = [self._web, *self._pools.values()]
        for _ in range(round(self.options.boot_timeout / TICK) + 1):
            if all(len(workers.pool.serving) >= workers.pool.wanted for workers in whole):
                return
            await anyio.sleep(TICK)
        raise SupervisionError(f"not all processes were ready within {self.options.boot_timeout:g} s")

    async def swap(self, options: Options, *, everything: bool, progress: Progress) -> bool:
        """Have all that serve exchange their code in place; whether there was something to exchange.

        Raises Unable, and SupervisionError when the new code fails; nobody has moved then.
        """
        whole, others = self.whole, options != self.options
        try:
            for workers in whole:
                workers.pool.frozen = True
            await self._all_settled(options.boot_timeout)
            swap = Swap(
                self.generation,
                self._latest + 1,
                options,
                others=others,
                everything=everything,
                attempt=partial(self._attempt, options.boot_timeout),
                progress=progress,
            )
            moved = await swap.run([process for workers in whole for process in workers.current])
            generation = swap.generation
            if moved or others:
                self._spawners[generation] = spawner = self._spawners.pop(self.generation)
                spawner.adopt(generation, options)
                self._latest = max(self._latest, generation)
            for workers in whole:
                workers.swapped(generation)
        finally:
            for workers in whole:
                workers.pool.frozen = False
        self._adopt(generation, options)
        return moved

    async def _attempt(self, timeout: float, pool: str, modules: Sequence[str]) -> Signs:
        """Try the code as it is now in a process of its own; gives what it has loaded. Raises SupervisionError."""
        try:
            trial = Trial(pool, modules, self._spawners[self.generation], self._reaper, timeout)
        except OSError as error:
            raise SupervisionError(f"the new code could not be tried: {error}") from None
        self._trials.append(trial)
        self._group.start_soon(self._see_through, trial)
        return await trial.verdict()

    async def _see_through(self, trial: Trial) -> None:
        try:
            await trial.live()
        finally:
            self._trials.remove(trial)

    async def _all_settled(self, timeout: float) -> None:
        """Wait until nobody boots: whoever does may have read the old code or the new."""
        for _ in range(round(timeout / TICK) + 1):
            if not any(workers.pool.booting for workers in self._all()):
                return
            await anyio.sleep(TICK)
        raise Unable("processes are still booting")

    async def replace(self, options: Options, progress: Progress) -> None:
        """Have all run ``options`` in new processes, or, with a SupervisionError, nobody."""
        self._latest += 1
        generation, undertaking = self._latest, Undertaking(progress)
        names = {pool.name: pool.processes for pool in options.pools}
        staying = [workers for name, workers in self._pools.items() if name in names]
        new = {
            name: self._workers(name, processes, generation, options)
            for name, processes in names.items()
            if name not in self._pools
        }
        self._undertaking = undertaking
        self._pools |= new
        try:
            await self._start_spawner(generation, options)
            if self._web.pool.stopping:
                raise SupervisionError("the server is told to end")
            await self._replace(generation, options.boot_timeout, undertaking, staying, list(new.values()))
        except SupervisionError:
            self._go_back(staying, new)
            raise
        finally:
            self._undertaking = None
        self._adopt(generation, options)

    async def _replace(
        self,
        generation: int,
        boot_timeout: float,
        undertaking: Undertaking,
        staying: list[Workers],
        new: list[Workers],
    ) -> None:
        """Carry a reload through. Raises SupervisionError at whatever fails."""
        for stage in ([*staying, *new], [self._web]):
            for workers in stage:
                if workers in new:
                    self._group.start_soon(workers.run)
                else:
                    workers.pool.replace(generation, boot_timeout)
                    workers.settle()
            await undertaking.all_reach(actions.Proven, map(_name, stage))
        for workers in (*staying, self._web):
            workers.pool.proceed()
            workers.settle()
        await undertaking.all_reach(actions.Settled, map(_name, (*staying, self._web)))

    def _go_back(self, staying: list[Workers], new: Iterable[str]) -> None:
        now = time.monotonic()
        for workers in (*staying, self._web):
            workers.pool.go_back(self.generation, now)
            workers.settle()
        for name in new:
            workers = self._dismiss(name)
            workers.pool.quit(now)
            workers.settle()

    def _adopt(self, generation: int, options: Options) -> None:
        self.generation, self.options = generation, options
        self._web.pool.adopt(options, options.workers)
        for pool in options.pools:
            self._pools[pool.name].pool.adopt(options, pool.processes)
        for name in self._pools.keys() - {pool.name for pool in options.pools}:
            self._dismiss(name)
        for workers in self._all():
            workers.settle()

    def _dismiss(self, name: str) -> Workers:
        """Have a pool end, now or when nobody may call it any more."""
        workers = self._pools.pop(name)
        self._leaving.append(workers)
        return workers

    def scale(self, by: int) -> int:
        """Want more or fewer web workers, from the next tick on; gives their new number."""
        return self._web.pool.scale(by)

    def reopen_logs(self) -> None:
        """Have all processes open their log files anew."""
        for spawner in self._spawners.values():
            spawner.reopen_logs()
        for workers in self._all():
            workers.tell({"do": "reopen"})

    def change_log(self, log: LogOptions) -> None:
        """Have all processes log as *log* says."""
        for spawner in self._spawners.values():
            spawner.change_log(log)
        for workers in self._all():
            workers.tell({"do": "log", "options": asdict(log)})

    def tell_web(self, message: Message) -> None:
        """Send *message* to all web workers."""
        for process in self._web.processes.values():
            process.send(message)

    # The end.

    def stop(self, why: str = "shutdown", *, idle: float = STOP_IDLE) -> None:
        """Begin the ordered end: nobody new is let in, and those inside finish. Idle connections are kept for ``idle``
        seconds."""
        now = time.monotonic()
        self._deadline = now + self.options.graceful_timeout
        self._web.pool.stop(now, why=why, idle=idle)
        self._web.settle()

    def quit(self) -> None:
        """Begin the end at once."""
        for workers in self._all():
            workers.pool.quit(time.monotonic())
            workers.settle()

    async def wait_empty(self) -> None:
        """See the end through: return when the last process is gone."""
        await self._web.wait_empty()
        now = time.monotonic()
        others = (*self._pools.values(), *self._leaving)
        for workers in others:
            workers.pool.stop(now, within=max(LEAST_DRAIN, self._deadline - now))
            workers.settle()
        for workers in others:
            await workers.wait_empty()

    # What goes on by itself.

    def _all(self) -> Iterator[Workers]:
        yield from self._leaving
        yield from self._pools.values()
        yield self._web

    async def _look_around(self) -> None:
        """See, again and again, what nobody needs any more, and what has changed."""
        while True:
            await anyio.sleep(TICK)
            self._let_go()
            self._retire()
            self._changed()

    def _let_go(self) -> None:
        """Have pools end that are not configured any more, when those are gone who may still call them."""
        others = (self._web, *self._pools.values())
        generations = {member.generation for workers in others for member in workers.pool.members.values()}
        for workers in self._leaving:
            if not workers.pool.stopping and generations <= {self.generation}:
                workers.pool.stop(time.monotonic(), why="no longer configured")
        self._leaving = [workers for workers in self._leaving if workers.processes or not workers.pool.stopping]

    async def _start_spawner(self, generation: int, options: Options) -> None:
        spawner = self._spawners[generation] = self._launch(generation, options)
        try:
            await self._tree.start_child(ChildSpec(id=spawner.id, shutdown=SPAWNER_SHUTDOWN), spawner)
        except SupervisionError as error:
            del self._spawners[generation]
            fields = {"generation": generation, "traceback": str(error)}
            log.error("the spawner could not start", extra={"fields": fields})
            raise

    def _retire(self) -> None:
        """End the spawners that nobody needs any more. While a reload goes on, it may need all of them."""
        if self._undertaking is not None or self._web.pool.stopping:
            return
        needed = {generation for workers in self._all() for generation in workers.pool.generations}
        for generation in self._spawners.keys() - needed:
            spawner = self._spawners.pop(generation)
            self._group.start_soon(self._tree.stop_child, spawner.id)

    def collected(self, pool: str, number: int, pid: int, status: int) -> None:
        """A spawner has collected a process."""
        alike = [each for workers in self._all() if workers.name == pool for each in workers.processes.values()]
        alike += [trial.process for trial in self._trials if trial.process.pool == pool]
        # A pool that was dismissed and one that came with the same name may have the same numbers for a while.
        for process in alike:
            if process.pid == pid:
                process.over(status)
                return
        for process in alike:
            if process.pid is None and process.number == number:
                process.over(status)

    def _ready(self, process: WorkerProcess, boot_ms: int) -> None:
        if self._undertaking is not None:
            self._undertaking.progress(Step(process.pool, process.number, process.pid or 0, "started", (), boot_ms))

    def _decided(self, workers: Workers, action: actions.Action) -> None:
        who = f"pool {workers.name}: " if workers.name else ""
        match action:
            case actions.Proven() | actions.Settled():
                if self._undertaking is not None:
                    self._undertaking.reached(workers.name, type(action))
            case actions.Reverted(_, why):
                if self._undertaking is not None:
                    self._undertaking.fail(workers.whole_story(who + why))
            case actions.Hold(seconds):
                fields = {"pause_s": round(seconds, 1)}
                noun = "processes" if workers.name else "workers"
                log.error(f"{who}{noun} die too often, pausing restarts", extra={"fields": fields})
            case actions.GiveUp(why):
                if workers is self._web:
                    self._give_up(workers.whole_story(why))
                elif self._undertaking is not None:
                    self._undertaking.fail(workers.whole_story(who + why))


def _name(workers: Workers) -> str:
    return workers.name
