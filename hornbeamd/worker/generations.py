"""The generations of the application's code that are at work in this process: how one comes, takes over, and goes.

prepare   fresh modules beside the old, imported in a thread; the startup, on the loop; nobody sees anything of it
commit    what begins from now on runs on it
revert    nothing of it is left
retire    nothing runs on an old one any more: its shutdown; what it registered goes, and so do its modules
"""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import sys
import threading
import time
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import suppress
from contextvars import copy_context
from dataclasses import dataclass, field
from traceback import format_exception_only
from typing import Any, Protocol, TypeVar

from hornbeamd import node
from hornbeamd.config.mounts import mounted
from hornbeamd.config.options import Options
from hornbeamd.errors import AppLoadError, CannotSwap
from hornbeamd.node.generations import Generation as Registrations
from hornbeamd.reload import bound
from hornbeamd.reload.code import Code
from hornbeamd.reload.swap import Swap, import_all

log = logging.getLogger("hornbeamd.worker")

T = TypeVar("T")

# While new code is imported in a thread, the loop gets the interpreter back so soon; in seconds.
_SWITCH_INTERVAL = 0.0005

# For so many seconds at once the loop is at what need not be done now.
_TURN = 0.001

# A generation that was replaced has so many seconds to finish what is short, before it counts as one that is at work.
_MOMENT = 0.5

# So many hexadecimal digits of a digest tell a text from what it was a moment ago.
_SIGN = 16


class Version(Protocol):
    """What a process serves, made of one generation of the code. All of it is called on the event loop."""

    async def startup(self) -> None:
        """Get ready to serve."""

    async def finished(self) -> None:
        """Return when nothing runs on it any more."""

    def drain(self, seconds: float) -> None:
        """Have what would go on for ever end within so many *seconds*."""

    async def shutdown(self) -> None:
        """Cut what is left, and end what :meth:`startup` began."""


@dataclass(slots=True)
class Generation:
    """One generation: *swap* is how its modules came, None for the first. An old one is *at_work* when it has had time
    to finish what is short, and has something in hand all the same; one that is *overdue* is waited for no more."""

    number: int
    options: Options
    version: Version
    registered: Registrations
    swap: Swap | None = None
    frozen: bool = False
    at_work: bool = False
    overdue: asyncio.Event = field(default_factory=asyncio.Event)


class Generations:
    """All that live in this process, the newest last. *build* imports what is the application's."""

    def __init__(self, build: Callable[[Options], Version]) -> None:
        self._build = build
        self._living: list[Generation] = []
        self._next: Generation | None = None
        self._code: Code
        self._trial = False
        self._importing = False
        self._buried = False
        """Modules of an old generation are among what was set apart from collections."""
        self._retiring: set[asyncio.Task[None]] = set()

    @property
    def current(self) -> Generation:
        """The one that serves."""
        return self._living[-1]

    @property
    def numbers(self) -> list[int]:
        """Those that live, oldest first."""
        return [each.number for each in self._living]

    def load(self, number: int, options: Options, *, trial: bool) -> None:
        """Load the first; before the loop runs. Of a *trial* nobody sees what it registers."""
        registrations = node.current().generations
        self._code = Code([os.path.abspath(folder) for folder in options.pythonpath], registrations.acting)
        self._code.watch()
        self._trial = trial
        registered = registrations.prepare(number) if trial else registrations.first
        registered.number, self._code.current.mark = number, registered
        with registered.running():
            version = self._build(options)
        self._living.append(Generation(number, options, version, registered))

    async def startup(self) -> None:
        """Run the startup of the first, and find out what its registries hold before requests leave anything there."""
        with self.current.registered.running():
            await self.current.version.startup()
        options = self.current.options
        if options.reload.in_place and not (options.preload_app or self._trial):
            try:
                await self._in_thread(self._code.settle)
            except Exception:  # the first reload tries it again
                log.exception("what registries hold could not be found out")

    async def load_also(self, modules: Sequence[str]) -> None:
        """Import *modules*, too, as the application may at any time."""
        with self.current.registered.running():
            await self._in_thread(lambda: import_all(modules))

    @property
    def signs(self) -> dict[str, str]:
        """What the modules of the newest one, be it only prepared, were loaded from: digests of their texts."""
        swap = self._next.swap if self._next is not None else None
        view = self._code.current if swap is None else swap.view
        return {name: stamp.sign.hex()[:_SIGN] for name, stamp in view.stamps.copy().items()}

    # --- a swap --------------------------------------------------------------------------------------------------

    async def look(self, *, everything: bool) -> tuple[str, ...]:
        """The modules that a swap would load anew. Raises CannotSwap."""
        return tuple((await self._begin(everything)).modules)

    async def prepare(self, number: int, options: Options, *, everything: bool) -> tuple[str, ...]:
        """Bring a generation up beside the one that serves; gives the modules that it has loaded anew.

        Raises CannotSwap, and whatever its import and its startup raise, as an Exception; nothing of it is left then.
        """
        swap = await self._begin(everything)
        if not swap.modules:
            self._next = Generation(number, options, self.current.version, self.current.registered)
            return ()
        registered = swap.view.mark = node.current().generations.prepare(number)
        try:
            with registered.running():
                version, connections = await self._load(swap, options)
                try:
                    if _runs_on_loop(options):
                        bound.judge(connections)
                    await version.startup()
                except BaseException:
                    self._revert(swap)
                    raise
        except BaseException:
            registered.drop()
            raise
        self._next = Generation(number, options, version, registered, swap)
        try:
            await self._in_thread(lambda: self._code.settle(swap))
        except BaseException:
            await self.revert()
            raise
        return tuple(swap.modules)

    async def _begin(self, everything: bool) -> Swap:
        if self._importing:
            raise CannotSwap("the import of an earlier reload has not ended")
        return await self._in_thread(lambda: self._code.begin(everything))

    async def _load(self, swap: Swap, options: Options) -> tuple[Version, set[int]]:
        """Load the new modules; gives what is built of them, and the connections that were made (``bound.py``)."""

        def load() -> Version:
            return swap.load(lambda: self._build(options))

        return await self._in_thread(lambda: bound.noting(load), lambda: self._revert(swap))

    async def _in_thread(self, work: Callable[[], T], undo: Callable[[], object] = lambda: None) -> T:
        """Have *work* done in a thread of its own: the loop serves on. What was given up is undone when it is done."""
        loop, context = asyncio.get_running_loop(), copy_context()
        done: asyncio.Future[Callable[[], T]] = loop.create_future()

        def run() -> None:
            asyncio.set_event_loop(loop)  # as it is set for the modules that are imported at boot
            try:
                result = context.run(work)
            except Exception as error:
                outcome = _raiser(error)
            except BaseException as error:  # SystemExit, say: it would end the event loop, and all that is served
                outcome = _raiser(_failure(error))
            else:
                outcome = lambda: result  # noqa: E731
            with suppress(RuntimeError):  # the loop is closed: the process ends
                loop.call_soon_threadsafe(tell, outcome)

        def tell(result: Callable[[], T]) -> None:
            self._importing = False
            if done.done():
                undo()
            else:
                done.set_result(result)

        before = sys.getswitchinterval()
        sys.setswitchinterval(_SWITCH_INTERVAL)
        try:
            thread = threading.Thread(target=run, name="reload", daemon=True)
            thread.start()
            self._importing = True
            result = await done
            thread.join(1)  # with it goes what it has in a threading.local, unless that waits for this loop
            return result()
        finally:
            sys.setswitchinterval(before)

    def commit(self) -> Generation:
        """Have the prepared one take over; gives it. What runs on the old one ends there."""
        assert self._next is not None, "nothing is prepared"
        new, self._next = self._next, None
        old = self.current
        if new.version is old.version:  # there was nothing to load
            old.number, old.options = new.number, new.options
            return old
        assert new.swap is not None
        new.swap.commit()
        new.registered.commit()
        self._living.append(new)
        self._go_on(self._retire(old, new.swap))
        return new

    def _count(self, old: Generation) -> None:
        """Count an *old* one, and have the oldest end where too many are at work."""
        old.at_work = True
        options = self.current.options
        at_work = [each for each in self._living if each.at_work]
        for extra in at_work[: max(0, len(at_work) + 1 - options.reload.generations)]:
            extra.version.drain(options.graceful_timeout)
            asyncio.get_running_loop().call_later(options.graceful_timeout, extra.overdue.set)

    def _revert(self, swap: Swap) -> None:
        swap.revert()
        self._go_on(_in_turns(swap.forget()))

    async def revert(self) -> None:
        """Have nothing left of the prepared one."""
        if self._next is None:
            return
        new, self._next = self._next, None
        if new.swap is not None:
            await _shut_down(new)
            new.registered.drop()
            self._revert(new.swap)

    # --- the garbage ---------------------------------------------------------------------------------------------

    def freeze(self) -> None:
        """Set apart all that is there from collections: it stays, and need not be looked at again and again.

        Generations that come later are not, so that to free their modules is a matter of milliseconds, until the next
        :meth:`tidy`, which sets apart what is there then.
        """
        gc.collect()
        gc.freeze()
        for generation in self._living:
            generation.frozen = True

    def tidy(self) -> None:
        """Free what is left of old generations that were set apart, by a full collection, when nothing is in hand."""
        if self._buried:
            self._buried = False
            gc.unfreeze()
            self.freeze()

    # --- the end -------------------------------------------------------------------------------------------------

    async def _retire(self, old: Generation, successor: Swap) -> None:
        """Wait for the end of all that runs on an old one, and let it go."""
        counting = asyncio.get_running_loop().call_later(_MOMENT, self._count, old)
        await _first(old.version.finished(), old.overdue.wait())
        counting.cancel()
        old.at_work = False
        await old.registered.finish(0 if old.overdue.is_set() else old.options.graceful_timeout)
        await _shut_down(old)
        old.registered.retire()
        successor.retire()
        await _in_turns(successor.forget())
        self._living.remove(old)
        log.info("an old generation has ended", extra={"fields": {"generation": old.number}})
        if old.frozen:
            self._buried = True
        else:
            del old
            asyncio.get_running_loop().call_soon(gc.collect)  # modules refer to each other

    def _go_on(self, work: Coroutine[Any, Any, None]) -> None:
        """Have *work* done that ends by itself, at the latest when the process does."""
        task = asyncio.get_running_loop().create_task(work)
        self._retiring.add(task)
        task.add_done_callback(self._retiring.discard)

    async def shutdown(self) -> None:
        """Run the shutdown of all that live, side by side: none has to wait for one that hangs."""
        await self.revert()
        for generation in self._living:
            generation.overdue.set()
        with self.current.registered.running():
            await asyncio.gather(self.current.version.shutdown(), *self._retiring)

    def forked(self) -> None:
        """To be called in a child that the application forks: it goes on with the generation whose code does."""
        self._code.forked()

    def unwatch(self) -> None:
        """Note nothing of what is imported any more."""
        self._code.unwatch()


def _runs_on_loop(options: Options) -> bool:
    """Whether an application does: one that is WSGI has to be ready for many threads."""
    return any(mount.app and mount.worker_class == "asgi" for mount in mounted(options))


async def _first(*either: Coroutine[Any, Any, object]) -> None:
    """Wait until one of *either* is done."""
    tasks = [asyncio.get_running_loop().create_task(each) for each in either]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()


async def _in_turns(steps: Iterator[None]) -> None:
    """Take *steps*, and let others have their turn all the time."""
    turn = time.perf_counter() + _TURN
    for _ in steps:
        if time.perf_counter() > turn:
            await asyncio.sleep(0)
            turn = time.perf_counter() + _TURN


async def _shut_down(generation: Generation) -> None:
    """Run a shutdown; what goes wrong there concerns nobody who serves."""
    try:
        with generation.registered.running():
            await generation.version.shutdown()
    except Exception:
        log.exception("the application's shutdown failed", extra={"fields": {"generation": generation.number}})


def _failure(error: BaseException) -> AppLoadError:
    failure = AppLoadError(f"the code raised {''.join(format_exception_only(error)).strip()}")
    failure.__cause__ = error
    return failure


def _raiser(error: Exception) -> Callable[[], Any]:
    def throw() -> Any:
        raise error

    return throw
