"""A worker's life: boot, serve, drain, end. What it serves is a :class:`Service`.

It begins right after the fork, in an interpreter that has the application's ``sys.path`` and user already,
and ends with the exit status that the supervisor gets:

======  ========================================================
status  meaning
======  ========================================================
0       drained, or told to quit
1       its event loop ended while it served
3       could not boot: the application, or its startup, failed
======  ========================================================

A worker never decides to end by itself, but for one case: its channel is closed because the supervisor is
gone. Then it drains, since nobody could replace or stop it any more.
"""

from __future__ import annotations

import asyncio
import contextlib
import faulthandler
import logging
import os
import signal
import time
from collections.abc import Callable, Coroutine, Iterable, Iterator
from dataclasses import dataclass
from types import FrameType
from typing import Any, Protocol

from hornbeamd import node
from hornbeamd.apps import development
from hornbeamd.config.log import LogOptions
from hornbeamd.config.options import Options
from hornbeamd.errors import HubGone
from hornbeamd.observe import logs
from hornbeamd.worker import inspection
from hornbeamd.worker.answers import Answers
from hornbeamd.worker.birth import Birth
from hornbeamd.worker.channel import Inbox, Message, Outbox
from hornbeamd.worker.forks import let_children_go
from hornbeamd.worker.generations import Generation, Generations
from hornbeamd.worker.loops import loop_factory
from hornbeamd.worker.swapping import Swapping
from hornbeamd.worker.tracebacks import blame

log = logging.getLogger("hornbeamd.worker")

EXIT_LOOP_ENDED = 1
EXIT_BOOT_FAILED = 3
BEAT = 1.0
# A trial gives way to those who serve.
TRIAL_NICENESS = 5
# What the application's shutdown gets when the worker is told to end at once.
QUICK_SHUTDOWN = 1.0
# With less than this left of the drain's time, the application's shutdown still gets this much.
LEAST_SHUTDOWN = 0.5


Tell = Callable[[Message], None]
"""How a service speaks to the supervisor, in the messages of ``channel.py``."""


class Service(Protocol):
    """What a worker is for. Its methods are called on the thread of the event loop, but for :meth:`build`."""

    def build(self, options: Options) -> Any:
        """Import what is the application's, and make a :class:`~hornbeamd.worker.generations.Version` of it.

        First called at boot, when the loop is there, but does not run yet; later, in a thread, for each reload in
        place. What this or the version's startup raises is a failed boot, or a failed reload.
        """

    def serve(self, version: Any, tell: Tell) -> None:
        """Begin to serve *version*."""

    def adopt(self, version: Any, options: Options) -> None:
        """Serve *version* from now on, and let what runs end on the one before."""

    @property
    def idle(self) -> bool:
        """Whether nothing is in hand just now."""

    def stuck(self, now: float) -> str | None:
        """Asked with each beat: why nothing can be served any more (*now* as ``time.monotonic`` has it), or None."""

    def refuse(self) -> None:
        """Let nothing new in, from this moment on. Not called when the end is to come at once."""

    async def drain(self, timeout: float, idle: float) -> bool:
        """Finish what is in hand within *timeout* seconds; whether that was enough.

        Idle connections stay open for *idle* seconds. Not called when the end is to come at once.
        """

    def cut(self) -> None:
        """Cut what is left, before the versions are shut down. May be called of one that has not served."""

    def reopen_logs(self) -> None:
        """Open log files of its own anew."""

    def descriptors(self) -> Iterable[int]:
        """Those that children which the application forks must not keep."""


@dataclass(frozen=True, slots=True)
class End:
    """How to end: drain for ``timeout`` seconds at most, keeping idle connections ``idle``, or at once."""

    timeout: float = 0.0
    idle: float = 0.0
    at_once: bool = False


class _Interrupted(BaseException):
    """Told to quit while the application was being imported."""


class Life:
    """The life of one process, which is known to people as *role*, and serves *service*."""

    def __init__(self, birth: Birth, role: str, service: Service) -> None:
        self._birth = birth
        self._role = role
        self._service = service
        self._options = birth.options
        self._generations = Generations(service.build)
        self._began = time.monotonic()
        self._outbox = Outbox(birth.channel)
        self._swapping = Swapping(self._generations, self._adopt)
        self._answers = Answers(birth.channel, self._outbox, {"stacks": inspection.stacks, **self._swapping.subjects})
        self._inbox = Inbox()
        self._serving = False
        self._told_stuck = False
        self._loop: asyncio.AbstractEventLoop
        self._end: asyncio.Future[End]
        self._quit: asyncio.Future[None]
        self._proof: asyncio.Future[list[str]]
        self._deadline = 0.0

    def run(self) -> int:
        """Boot, serve and end; gives the exit status."""
        self._take_early_signals()
        if self._birth.trial:
            os.nice(TRIAL_NICENESS)
        self._tell({"event": "born", "pid": os.getpid()})
        try:
            logs.setup(self._options.log, role=self._role)
            node.current().rename(self._role)
            with asyncio.Runner(loop_factory=loop_factory(self._options.loop)) as runner:
                # The loop is the current one but does not run yet: both asyncio.get_event_loop() and
                # asyncio.run() work in the application's modules, as they do outside a server.
                self._loop = runner.get_loop()
                self._generations.load(self._birth.generation, self._options, trial=self._birth.trial)
                return runner.run(self._live())
        except _Interrupted:
            return 0
        except BaseException as error:
            if self._serving:
                # The application has stopped the loop, cancelled our task, or raised SystemExit in a callback.
                log.critical("the event loop ended", exc_info=error)
                return EXIT_LOOP_ENDED
            self._tell({"event": "failed", "text": blame(error)})
            return EXIT_BOOT_FAILED

    async def _live(self) -> int:
        self._end, self._quit = self._loop.create_future(), self._loop.create_future()
        self._proof = self._loop.create_future()
        self._take_signals()
        self._loop.set_exception_handler(_unhandled)
        let_children_go(self._descriptors)
        os.register_at_fork(after_in_child=self._generations.forked)
        self._birth.channel.setblocking(False)
        self._loop.add_reader(self._birth.channel, self._receive)
        if not await self._before_quit(self._begin()):
            return 0
        # What the application has loaded stays: the collector need not go through it again and again.
        self._generations.freeze()
        if self._birth.trial:
            return await self._prove()
        self._serve()
        end = await self._end
        if not end.at_once:
            self._service.refuse()
            self._tell({"event": "draining"})
        drained = not end.at_once and await self._before_quit(self._drain(end))
        node.current().retire()
        await self._shut_down(end)
        await node.current().leave()
        self._tell({"event": "drained", "cut": not drained})
        return 0

    async def _drain(self, end: End) -> bool:
        """Finish what is in hand, for clients and for other processes."""
        calls = node.current().finish(end.timeout)
        return all(await asyncio.gather(self._service.drain(end.timeout, end.idle), calls))

    async def _begin(self) -> None:
        """Connect to the hub, which the application's startup may want to use, and start up."""
        try:
            await node.current().connect()
        except HubGone:
            log.error("there is no hub; the worker goes on without")
        await self._generations.startup()

    def _serve(self) -> None:
        self._service.serve(self._generations.current.version, self._tell)
        self._serving = True
        self._tell({"event": "ready", "boot_ms": round((time.monotonic() - self._began) * 1000)})
        self._beat()

    async def _prove(self) -> int:
        """Import what those who serve have imported meanwhile, say that it could serve, and end."""
        try:
            await asyncio.wait((self._proof, self._end), return_when=asyncio.FIRST_COMPLETED)
            if self._proof.done():
                await self._generations.load_also(self._proof.result())
                self._tell({"event": "proven", "signs": self._generations.signs})
        finally:
            await self._shut_down(End(at_once=True))
            await node.current().leave()
        return 0

    def _descriptors(self) -> Iterator[int]:
        """All that lead to the supervisor and to clients."""
        yield self._birth.channel.fileno()
        yield from self._service.descriptors()

    async def _before_quit(self, work: Coroutine[Any, Any, bool | None]) -> bool:
        """Do ``work`` unless told to quit before it is done; whether it was done, and did not give False."""
        task = self._loop.create_task(work)
        either: set[asyncio.Future[Any]] = {task, self._quit}
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            return task.result() is not False
        task.cancel()
        return False

    async def _shut_down(self, end: End) -> None:
        """Cut what is left and run the application's shutdown, in what is left of the drain's time."""
        self._swapping.give_up()
        self._service.cut()
        limit = QUICK_SHUTDOWN if end.at_once else max(LEAST_SHUTDOWN, self._deadline - self._loop.time())
        try:
            await asyncio.wait_for(self._generations.shutdown(), limit)
        except TimeoutError:
            log.error("the application's shutdown took too long", extra={"fields": {"limit_s": round(limit, 1)}})
        except Exception:
            log.exception("the application's shutdown failed")

    def _beat(self) -> None:
        """Show that the loop turns, and ask whether that is still of use."""
        self._loop.call_later(min(BEAT, self._options.heartbeat_timeout / 4), self._beat)
        self._tell({"event": "beat"}, important=False)
        if self._service.idle:
            self._generations.tidy()
        if not self._told_stuck and (why := self._service.stuck(time.monotonic())):
            self._told_stuck = True
            self._tell({"event": "stuck", "why": why})

    def _finish(self, end: End) -> None:
        """Begin to end, or hurry."""
        if end.at_once and not self._quit.done():
            self._quit.set_result(None)
        if not self._end.done():
            self._deadline = self._loop.time() + end.timeout
            self._end.set_result(end)

    # What the outside says.

    def _receive(self) -> None:
        """Read commands; the end of the channel is the end of the supervisor."""
        try:
            data = self._birth.channel.recv(65536)
        except BlockingIOError:
            return
        except ConnectionError:
            data = b""
        if not data:
            self._loop.remove_reader(self._birth.channel)
            log.warning("the supervisor is gone, draining")
            self._finish(End(self._options.graceful_timeout))
            return
        for message in self._inbox.feed(data):
            self._obey(message)

    def _obey(self, message: Message) -> None:
        match message["do"]:
            case "drain":
                self._finish(End(message["timeout"], message["idle"]))
            case "quit":
                self._finish(End(at_once=True))
            case "prove":
                self._proof.set_result(message["modules"])
            case "reopen":
                self._reopen_logs()
            case "log":
                logs.change(LogOptions(**message["options"]), self._role)
            case "refused":
                development.note_refusal(message["text"])
            case "ask":
                self._answers.asked(message)

    def _adopt(self, new: Generation) -> None:
        """Serve the new code from now on."""
        self._options = new.options
        self._service.adopt(new.version, new.options)

    def _reopen_logs(self) -> None:
        logs.reopen()
        self._service.reopen_logs()

    def _leave(self) -> None:
        """SIGTERM came straight to this worker: it drains, and says so, that it be replaced now."""
        if not self._end.done():
            self._tell({"event": "leaving", "why": "SIGTERM"})
            self._finish(End(self._options.graceful_timeout, self._options.keepalive))

    def _tell(self, message: Message, *, important: bool = True) -> None:
        # A supervisor that is gone shows by the end of the channel, where it is dealt with.
        with contextlib.suppress(OSError):
            (self._outbox.send if important else self._outbox.offer)(message)

    # Signals.

    def _take_early_signals(self) -> None:
        """For the time before the loop runs. From now on crashes explain themselves."""
        faulthandler.enable(self._birth.stacks)
        faulthandler.register(signal.SIGUSR2, self._birth.stacks)
        for number in (signal.SIGTERM, signal.SIGQUIT):
            signal.signal(number, _interrupt)
        # Not SIG_IGN, which programs that the application starts would inherit.
        for number in (signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGTTIN, signal.SIGTTOU):
            signal.signal(number, _disregard)

    def _take_signals(self) -> None:
        self._loop.add_signal_handler(signal.SIGTERM, self._leave)
        self._loop.add_signal_handler(signal.SIGQUIT, self._finish, End(at_once=True))
        self._loop.add_signal_handler(signal.SIGUSR1, self._reopen_logs)


def _unhandled(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Log what nobody waits for any more: a background task that raised, a callback that did."""
    log.error(context["message"], exc_info=context.get("exception"))


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise _Interrupted


def _disregard(number: int, frame: FrameType | None) -> None:
    """Sent to the whole group by a terminal or an operator: the supervisor acts on it."""
