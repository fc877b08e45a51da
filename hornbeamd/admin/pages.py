"""What is found at the paths of the admin listener, and nothing else is."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol
from urllib.parse import parse_qs

from hornbeamd.admin.conversation import Answer, Question, words

_ALLOWED = ("GET", "HEAD")


@dataclass(frozen=True, slots=True)
class Check:
    """One of the things that the answer depends on; *text* says how it is, for people."""

    name: str
    passed: bool
    text: str


class Health(Protocol):
    """How the daemon is. Asked in the event loop, so it is known at once."""

    def alive(self) -> Sequence[Check]:
        """Whether it is worth having: where one of these fails, only a restart helps."""

    def ready(self) -> Sequence[Check]:
        """Whether requests are answered, and are to be sent here."""


class Pages:
    """Answers by *health*, and /metrics by *expose*, which gets the header Accept."""

    def __init__(self, health: Health, expose: Callable[[str], Awaitable[Answer]]) -> None:
        self._health = health
        self._expose = expose

    async def respond(self, question: Question) -> Answer:
        """The answer to a request; HEAD is that of GET."""
        if question.path not in ("/livez", "/readyz", "/metrics"):
            return words(404, "there is nothing here but /livez, /readyz and /metrics")
        if question.method not in _ALLOWED:
            return words(405, "only GET and HEAD", ("allow", ", ".join(_ALLOWED)))
        if question.path == "/metrics":
            return await self._expose(question.accept)
        verbose = "verbose" in parse_qs(question.query, keep_blank_values=True)
        if question.path == "/livez":
            return _verdict(self._health.alive(), "alive", verbose)
        return _verdict(self._health.ready(), "ready", verbose)


def _verdict(checks: Sequence[Check], word: str, verbose: bool) -> Answer:
    """200 or 503: in a word, or with what is wrong; with all that was looked at where that is asked for."""
    passed = all(check.passed for check in checks)
    told = [check for check in checks if verbose or not check.passed]
    lines = [f"[{'+' if check.passed else '-'}] {check.name}: {check.text}" for check in told]
    return words(200 if passed else 503, "\n".join((*lines, word if passed else f"not {word}")))
