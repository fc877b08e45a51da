"""Which generation of the application's code something belongs to: what it registers, and what it is subscribed to.

A process begins with one. A reload in place prepares another beside it, and then commits or drops it:

=========  =======================================================================================
prepared   what it registers is seen by itself alone
committed  it is the current one: its names are taken over at once; those that only older ones have stay offered
finished   what nobody took over from it is offered no more, and the calls in hand are done
retired    nothing of it is left; its code may still run somewhere, and can harm nobody
=========  =======================================================================================

Code is told by its context: a context variable says whose it is, and Tasks, ``asyncio.to_thread`` and the server's own
threads hand that on. A thread that the application has started itself has no such mark, and acts for the generation
that is current when it does something.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import Context, ContextVar
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from hornbeamd.node.offers import Offer, Offers
    from hornbeamd.node.serving import Serving
    from hornbeamd.node.subscriptions import Subscriptions

T = TypeVar("T")

_running: ContextVar[Generation | None] = ContextVar("hornbeamd_generation", default=None)


class Generation:
    """One loaded version of the application's code, with the *number* that people know it by; see :class:`Generations`.

    Its methods are for the thread of the event loop.
    """

    def __init__(self, all: Generations, number: int) -> None:
        self.number = number
        self.all = all
        self.offers: dict[str, Offer] = {}
        """What it has registered, by the names on the wire."""
        self.over = False
        """It is retired, or was dropped."""
        self._context = Context()
        self._context.run(_running.set, self)

    @property
    def first(self) -> bool:
        """Whether it is what the process began with."""
        return self is self.all.first

    @contextmanager
    def running(self) -> Iterator[None]:
        """Have what runs in the block, and the Tasks that are made there, belong to this generation."""
        token = _running.set(self)
        try:
            yield
        finally:
            _running.reset(token)

    def bound(self, function: Callable[[T], None]) -> Callable[[T], None]:
        """*function* as it is called in the block of :meth:`running`."""
        get, set, reset = _running.get, _running.set, _running.reset

        def call(argument: T) -> None:
            if get() is self:
                function(argument)
                return
            token = set(self)
            try:
                function(argument)
            finally:
                reset(token)

        return call

    def context(self) -> Context:
        """A new context in which nothing is set but that what runs there belongs to this generation."""
        return self._context.copy()

    # --- its life ------------------------------------------------------------------------------------------------

    def commit(self) -> None:
        """Be the current one from now on. Does not fail, and waits for nobody."""
        self.all.commit(self)

    def drop(self) -> None:
        """Undo the preparation: what was registered is forgotten, and subscriptions are closed."""
        self.all.end(self)

    async def finish(self, timeout: float) -> bool:
        """Take no more calls of what nobody took over, and finish those in hand; then close subscriptions.

        Gives whether *timeout* seconds were enough. For an older generation, before the shutdown of its application.
        """
        return await self.all.finish(self, timeout)

    def retire(self) -> None:
        """Let go of all that is left, behind the shutdown of the application; calls in hand are cancelled."""
        self.all.end(self)


class Generations:
    """The generations that live in a process; the last that was committed is :attr:`current`."""

    offers: Offers
    serving: Serving | None = None
    subscriptions: Subscriptions | None = None

    def __init__(self) -> None:
        self.lasting = Generation(self, 0)
        """For what is not the application's: it is older than all, and stays."""
        self.first = self.current = Generation(self, 1)
        self.living: tuple[Generation, ...] = (self.lasting, self.first)
        """Those that were committed and whose names are offered, the oldest first."""
        self.several = False
        """There has been more than one: whose code is running has to be looked at."""

    def acting(self) -> Generation:
        """The one whose code is running; the current one where nobody knows."""
        running = _running.get()
        return self.current if running is None or running.all is not self else running

    def prepare(self, number: int) -> Generation:
        """A new one, to be committed or dropped; its code is to be loaded and started as its own (``running``)."""
        self.several = True
        return Generation(self, number)

    def commit(self, generation: Generation) -> None:
        """Make *generation* the current one."""
        before, self.current = self.current, generation
        self.living = (*self.living, generation)
        self.offers.commit(before, generation)

    async def finish(self, generation: Generation, timeout: float) -> bool:
        """See :meth:`Generation.finish`."""
        self._withdraw(generation)
        try:
            async with asyncio.timeout(timeout):
                if self.serving is not None:
                    await self.serving.finished(generation)
        except TimeoutError:
            return False
        finally:
            if self.subscriptions is not None:
                self.subscriptions.close(generation)
        return True

    def end(self, generation: Generation) -> None:
        """Let go of all that *generation* has."""
        generation.over = True
        self._withdraw(generation)
        generation.offers = {}
        if self.serving is not None:
            self.serving.close(generation)
        if self.subscriptions is not None:
            self.subscriptions.close(generation)

    def _withdraw(self, generation: Generation) -> None:
        assert generation not in (self.current, self.lasting)
        self.living = tuple(each for each in self.living if each is not generation)
        self.offers.withdraw(generation)


def own_context() -> Context:
    """A new context in which nothing is set but whose code is running: for threads that are started for it."""
    running = _running.get()
    return Context() if running is None else running.context()
