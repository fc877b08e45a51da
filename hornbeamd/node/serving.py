"""Who works on the calls that come from other processes, and which of them are in hand."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from hornbeamd.node.generations import Generation
from hornbeamd.node.offers import Offer, Offers
from hornbeamd.node.post import HeldJob, Job
from hornbeamd.node.threads import Threads
from hornbeamd.node.work import Held, Work


class Serving:
    """The :class:`~hornbeamd.node.post.Servant` for what is in *offers*."""

    def __init__(self, offers: Offers, threads: Threads) -> None:
        self._offers = offers
        self._threads = threads
        self._at_work: set[Work] = set()
        self._held: set[Held] = set()
        self._waiting: set[_News] = set()
        offers.generations.serving = self

    def take(self, job: Job) -> None:
        """Begin to work on *job*; on the event loop."""
        offer = self._offers.offered(job.name)
        if offer is None:  # the call was on its way when it was unregistered
            job.unknown()
            return
        work = Work(job, offer, self._threads, self._discard)
        self._at_work.add(work)
        job.on_cancel(work.cancel)
        work.begin(offer.target)

    def work(self, job: HeldJob) -> None:
        """Work on *job* here, in the thread that has read it."""
        offer = self._offers.offered(job.name)
        if offer is None:
            job.unknown()
            return
        held = Held(job, offer)
        self._held.add(held)
        job.on_cancel(held.cancel)
        result = held.run(offer.target)
        if result is None:
            self._let_go(held)
        else:
            job.move(lambda job: self._go_on(job, offer, held, result))

    def _go_on(self, job: Job, offer: Offer, held: Held, result: object) -> None:
        """On the event loop: await *result*, which a thread has come to."""
        work = Work(job, offer, self._threads, self._discard)
        self._at_work.add(work)
        self._let_go(held)
        job.on_cancel(work.cancel)
        work.go_on(held, result)

    @property
    def idle(self) -> bool:
        """Whether no call is in hand."""
        return not (self._at_work or self._held)

    def given_up(self) -> float | None:
        """When the call was given up that goes on for the longest time since (``time.monotonic``); None without one."""
        return min((work.given_up for work in self._of(None) if work.given_up is not None), default=None)

    async def finished(self, generation: Generation | None = None) -> None:
        """Return when no call is in hand, be it one that was given up; or none of the code of *generation*."""
        news = _News()
        self._waiting.add(news)
        try:
            while self._of(generation):
                await news.wait()
        finally:
            self._waiting.discard(news)

    def close(self, generation: Generation | None = None) -> None:
        """Stop what can be stopped; on the event loop."""
        for work in self._of(generation):
            work.cancel()

    def _of(self, generation: Generation | None) -> list[Work | Held]:
        every: list[Work | Held] = [*self._at_work, *self._held.copy()]  # threads change the latter meanwhile
        return [work for work in every if generation is None or work.generation is generation]

    def _discard(self, work: Work) -> None:
        self._at_work.discard(work)
        self._tell_news()

    def _let_go(self, held: Held) -> None:
        self._held.discard(held)
        self._tell_news()

    def _tell_news(self) -> None:
        if self._waiting:
            for news in self._waiting.copy():
                news.tell()


class _News:
    """That some call is over, for the coroutine that has made this; told from any thread."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._event = asyncio.Event()

    def tell(self) -> None:
        """Wake the coroutine."""
        with suppress(RuntimeError):  # the loop is closed: the process ends
            self._loop.call_soon_threadsafe(self._event.set)

    async def wait(self) -> None:
        """Return when it was told since the last time."""
        await self._event.wait()
        self._event.clear()
