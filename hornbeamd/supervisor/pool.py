"""A pool of processes: which are there, which should be, and what to do about the difference.

No process is started here and no clock is read. What happened is told to the pool by one method per kind of
event, with the time; ``plan`` then gives the actions that bring it nearer to what is wanted. There is one
rule:

    *replacement first, then removal*

Web workers are one pool, and each table of the option ``pools`` is another; here all of them are called workers.

A worker that should go (it is worn, stuck, or runs old code) stays until there is one more worker serving
than wanted. Then the pool is too large by one, and of too many the least useful drains. Recycling, reload,
roll-back and scaling are this rule and nothing else. Only a vacancy, left by a crash, is filled without one.

A reload starts with a canary: one worker of the new generation, next to the old ones. It goes on when it is told to:
other pools may have to prove themselves first. Until then vacancies are filled from the old generation. When
a new worker cannot boot, the old generation is wanted again, and the rule brings it back.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from enum import Enum
from itertools import count
from math import inf

from hornbeamd.config.options import Options
from hornbeamd.supervisor.actions import (
    Action,
    Drain,
    Dump,
    GiveUp,
    Hold,
    Kill,
    Proven,
    Quit,
    Reverted,
    Settled,
    Start,
)
from hornbeamd.supervisor.endings import Ending, told_to_end
from hornbeamd.supervisor.intensity import Intensity

# After the drain's time is over a worker has this long to run the app's shutdown before it is killed.
LAST_SECOND = 1.0
# A worker told to end at once is killed when it has not done so by then.
QUIT_TIMEOUT = 2.0
# How long idle connections are kept when the whole server ends: nobody else could take them anyway.
STOP_IDLE = 0.25
# When the pool was not asked for so long, the supervisor itself stood still; no worker is to blame for that.
STANDSTILL = 3.0


class State(Enum):
    """The life of a worker: each state is entered once, in this order, and may end in death."""

    BOOTING = "booting"
    SERVING = "serving"
    DRAINING = "draining"


@dataclass(slots=True)
class Member:
    """A worker as the pool sees it.

    ``deadline``: when booting or draining must be over; ``worn``: why it should be replaced; ``killed``: why it is
    killed; ``leaves``: why it was told to end; ``closed``: it lets nothing new in any more.
    """

    number: int
    generation: int
    deadline: float
    state: State = State.BOOTING
    beat: float = 0.0
    worn: str | None = None
    stuck: bool = False
    killed: str | None = None
    leaves: str = ""
    closed: bool = False

    @property
    def ending(self) -> Ending:
        """What its end, now, is counted as."""
        if self.stuck:
            return Ending.STUCK
        if self.state is State.DRAINING:
            return told_to_end(self.leaves)
        return Ending.BOOT if self.state is State.BOOTING else Ending.CRASH


@dataclass(slots=True)
class Pool:
    """Wanted against actual: ``wanted`` workers of ``generation``; ``previous`` is set while a reload runs.

    ``most`` is the highest number that a worker may have. Without an ``essential`` pool the server is none: it gives up
    when too many die and none serves, where another tries on, more and more slowly. While it is ``frozen`` nobody is
    started, for the code on disk may be new and those who serve have not agreed on it yet; and nobody of these is told
    to go. ``endings`` counts those who have ended, by why.
    """

    options: Options
    intensity: Intensity
    wanted: int
    generation: int = 1
    most: int = 4095
    essential: bool = True
    previous: int | None = None
    members: dict[int, Member] = field(default_factory=dict)
    stopping: bool = False
    frozen: bool = False
    endings: Counter[Ending] = field(default_factory=lambda: Counter(dict.fromkeys(Ending, 0)))
    _boot_timeout: float = field(init=False)
    _proven: bool = False
    _moving: bool = False
    _ever_served: bool = False
    _hold_until: float = 0.0
    _asked: float | None = None
    _notices: list[Action] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._boot_timeout = self.options.boot_timeout

    # What the outside asks for.

    def adopt(self, options: Options, wanted: int) -> None:
        """Take over the options of a reload that succeeded."""
        self.options = options
        self._boot_timeout = options.boot_timeout
        self.wanted = wanted
        self.intensity.limit = options.restart_intensity
        self.intensity.period = options.restart_period

    def scale(self, by: int) -> int:
        """Want more or fewer workers, at least one, at most half of ``most``; gives the new number."""
        self.wanted = min(max(1, self.wanted + by), self.most // 2)
        return self.wanted

    def replace(self, generation: int, boot_timeout: float | None = None) -> None:
        """Begin a reload: all workers shall be of this generation. One reload at a time.

        *boot_timeout* is how long they may take to boot, where that is about to change.
        """
        assert self.previous is None, "a reload is running"
        self.previous, self.generation = self.generation, generation
        if boot_timeout is not None:
            self._boot_timeout = boot_timeout
        self._proven = self._moving = False
        self._hold_until = 0.0

    def proceed(self) -> None:
        """Go on with the reload, which has proven itself."""
        self._moving = True

    def go_back(self, generation: int, now: float) -> None:
        """Want ``generation`` again, which the reload came from; the rule does the rest."""
        failed, self.generation, self.previous = self.generation, generation, None
        self._boot_timeout = self.options.boot_timeout
        for member in self.members.values():
            if member.generation == failed != generation and member.state is State.BOOTING:
                self._quit(member, "reload failed", now)

    def swapped(self, generation: int) -> None:
        """The current ones have moved to *generation* by themselves; no pause of before holds it up."""
        for member in self.current:
            member.generation = generation
        self.generation = generation
        self._hold_until = 0.0

    def stop(self, now: float, within: float | None = None, why: str = "shutdown", *, idle: float = STOP_IDLE) -> None:
        """Begin the ordered end: everybody drains, ``within`` graceful_timeout if not said, and nobody is replaced.

        Idle connections are kept for ``idle`` seconds.
        """
        self.stopping = True
        for member in list(self.members.values()):
            if member.state is State.SERVING:
                self._drain(member, why, now, idle=idle, within=within)
            elif member.state is State.BOOTING:
                self._quit(member, why, now)

    def quit(self, now: float) -> None:
        """Begin the end at once."""
        self.stopping = True
        for member in self.members.values():
            self._quit(member, "shutdown at once", now)

    # What happened.

    def ready(self, number: int, now: float) -> None:
        """A worker accepts connections."""
        member = self.members[number]
        if member.state is not State.BOOTING:
            return
        member.state, member.beat = State.SERVING, now
        self._ever_served = True
        if member.generation == self.generation and not self._proven:
            self._proven = True
            self._notices.append(Proven(self.generation))

    def heard(self, number: int, now: float) -> None:
        """A worker's loop turns."""
        self.members[number].beat = now

    def wear(self, number: int, why: str, *, stuck: bool = False) -> None:
        """A worker should be replaced; a stuck one is of no use until then."""
        member = self.members[number]
        if member.state is State.SERVING and not member.stuck:
            member.worn, member.stuck = why, stuck
            if stuck:
                self._notices.append(Dump(number, why))

    def leaving(self, number: int, now: float) -> None:
        """A worker drains without having been asked to."""
        member = self.members[number]
        if member.state is not State.DRAINING:
            member.state, member.leaves = State.DRAINING, "SIGTERM"
            member.deadline = now + self.options.graceful_timeout + LAST_SECOND

    def closed(self, number: int) -> None:
        """A worker that drains lets nothing new in any more."""
        self.members[number].closed = True

    def exited(self, number: int, how: str, now: float) -> None:
        """A worker is dead; ``how`` says what is known of it."""
        member = self.members.pop(number)
        self.endings[member.ending] += 1
        how = member.killed or how
        if self.stopping or member.state is State.DRAINING:
            return
        if member.state is State.BOOTING and not self._ever_served:
            self._give_up(f"the first workers could not boot: {how}")
        elif member.state is State.BOOTING and self.previous is not None and member.generation == self.generation:
            self._notices.append(Reverted(self.generation, how))
            self.go_back(self.previous, now)
        elif self.intensity.record(now):
            self._too_many(how, now)

    def tick(self, now: float) -> None:
        """Time passed: look for what did not happen."""
        stood_still = now - self._asked if self._asked is not None else 0.0
        self._asked = now
        for member in self.members.values():
            if stood_still > STANDSTILL:
                member.beat += stood_still
            elif member.state is State.SERVING:
                if now - member.beat > self.options.heartbeat_timeout:
                    self.wear(member.number, f"no heartbeat for {now - member.beat:.1f} s", stuck=True)
            elif now > member.deadline:
                self._overdue(member)

    # What to do.

    def plan(self, now: float) -> list[Action]:
        """The actions that are due. Each is given once; the pool takes it that they are carried out."""
        if not self.stopping:
            if not self.frozen:
                if now >= self._hold_until:
                    self._fill(now)
                self._trim(now)
            self._conclude()
        actions, self._notices = self._notices, []
        return actions

    @property
    def booting(self) -> bool:
        """Whether somebody boots."""
        return any(member.state is State.BOOTING for member in self.members.values())

    @property
    def serving(self) -> list[Member]:
        """The workers that accept connections, oldest first."""
        return [member for member in self.members.values() if member.state is State.SERVING]

    @property
    def current(self) -> list[Member]:
        """Those of them that are of the generation that is wanted: a reload that failed may have left others."""
        return [member for member in self.serving if member.generation == self.generation]

    @property
    def generations(self) -> set[int]:
        """Those whose spawners are needed here."""
        needed = {member.generation for member in self.members.values()} | {self.generation, self.previous}
        return {generation for generation in needed if generation is not None}

    @property
    def _trusted(self) -> int:
        """The generation that the pool runs; in a reload that has not proven itself, the one before."""
        return self.generation if self.previous is None or self._moving else self.previous

    def _worn(self, member: Member) -> bool:
        return member.worn is not None or member.generation != self._trusted

    def _split(self) -> tuple[list[Member], list[Member]]:
        """Those that do not drain, but the canaries; and the canaries, which fill no vacancy, for they may go again."""
        active = [member for member in self.members.values() if member.state is not State.DRAINING]
        if self._trusted == self.generation:
            return active, []
        return (
            [member for member in active if member.generation != self.generation],
            [member for member in active if member.generation == self.generation],
        )

    def _fill(self, now: float) -> None:
        """Start what is missing, and replacements of those that should go, of healthy ones one at a time."""
        settled, canaries = self._split()
        missing = max(0, self.wanted - len(settled))
        spare = max(0, len(settled) - self.wanted)
        stuck = sum(member.stuck for member in settled)
        worn = any(self._worn(member) and not member.stuck for member in settled)
        for _ in range(missing + max(0, stuck + worn - spare)):
            self._start(self._trusted, now)
        if self._trusted != self.generation and not canaries:
            self._start(self.generation, now)

    def _start(self, generation: int, now: float) -> None:
        number = next(number for number in count(1) if number not in self.members)
        if number > self.most:
            return  # some that drain still hold their numbers; the next plan tries again
        self.members[number] = Member(number, generation, deadline=now + self._boot_timeout)
        self._notices.append(Start(number, generation))

    def _trim(self, now: float) -> None:
        """Let the least useful of too many go: the stuck, then the worn, then the youngest."""
        serving = [member for member in self._split()[0] if member.state is State.SERVING]
        while len(serving) > self.wanted:
            leaver = next(
                (member for member in serving if member.stuck),
                next((member for member in serving if self._worn(member)), serving[-1]),
            )
            serving.remove(leaver)
            if now - leaver.beat > self.options.heartbeat_timeout:
                leaver.state, leaver.deadline = State.DRAINING, inf
                self._notices.append(Kill(leaver.number, leaver.worn or "no heartbeat"))
            else:
                why = leaver.worn or ("reload" if self._worn(leaver) else "fewer workers wanted")
                self._drain(leaver, why, now, idle=self.options.keepalive)

    def _conclude(self) -> None:
        """See whether a reload is complete."""
        active = [member for member in self.members.values() if member.state is not State.DRAINING]
        if (
            self.previous is not None
            and self._moving
            and len(active) >= self.wanted
            and all(m.state is State.SERVING and m.generation == self.generation for m in active)
            # One that is told to drain lets new ones in until it has read that.
            and all(m.closed or m.generation == self.generation for m in self.members.values())
        ):
            self.previous = None
            self._notices.append(Settled(self.generation))

    def _drain(self, member: Member, why: str, now: float, *, idle: float, within: float | None = None) -> None:
        timeout = self.options.graceful_timeout if within is None else within
        member.state, member.leaves = State.DRAINING, why
        member.deadline = now + timeout + LAST_SECOND
        self._notices.append(Drain(member.number, why, timeout, idle))

    def _quit(self, member: Member, why: str, now: float) -> None:
        member.state, member.leaves = State.DRAINING, why
        member.deadline = now + QUIT_TIMEOUT
        self._notices.append(Quit(member.number, why))

    def _overdue(self, member: Member) -> None:
        """Booting or draining took too long. A booting worker keeps its state: its death is a failed boot."""
        member.deadline = inf
        if member.state is State.BOOTING:
            why = f"not ready within {self._boot_timeout:g} s"
        else:
            why = "did not end in time"
        self._notices.append(Dump(member.number, why))
        member.killed = why
        self._notices.append(Kill(member.number, why))

    def _too_many(self, how: str, now: float) -> None:
        if not self.essential or any(not member.stuck for member in self.serving):
            seconds = self.intensity.pause(now)
            if now + seconds > self._hold_until:
                self._hold_until = now + seconds
                self._notices.append(Hold(seconds))
        else:
            self._give_up(
                f"more than {self.intensity.limit} workers died within {self.intensity.period:g} s"
                f" and none serves; the last one: {how}"
            )

    def _give_up(self, why: str) -> None:
        self.stopping = True
        self._notices.append(GiveUp(why))
