"""Who gets what is published: subscriptions by topic, and by pattern.

A topic is any text. A pattern is a topic in which ``*`` stands for a segment; segments are what is between colons. So
``room:*`` gets what is published to ``room:5`` and to ``room:``, but not what goes to ``room`` or to ``room:5:typing``.

Used by the hub, and by its clients to find who of their own subscribers gets a message.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping
from typing import Any, Generic, TypeVar

S = TypeVar("S", bound=Hashable)

ANY = "*"
SEPARATOR = ":"

REMEMBERED = 4096
"""For how many topics it is remembered who gets them by pattern; topics are chosen by clients, so there is a bound."""


def is_pattern(text: str) -> bool:
    """Whether *text* stands for more topics than itself."""
    return ANY in text and ANY in text.split(SEPARATOR)


def matches(pattern: str, topic: str) -> bool:
    """Whether a subscriber of *pattern*, which may be a plain topic, gets what is published to *topic*."""
    if pattern == topic:
        return True
    if ANY not in pattern:
        return False
    wanted, given = pattern.split(SEPARATOR), topic.split(SEPARATOR)
    return len(wanted) == len(given) and all(want in (ANY, have) for want, have in zip(wanted, given, strict=True))


class Topics(Generic[S]):
    """Which subscribers have how many subscriptions of which topics and patterns."""

    def __init__(self) -> None:
        self.subscriptions = 0
        """How many there are, of all topics and patterns."""
        self._exact: dict[str, dict[S, int]] = {}
        self._patterns: dict[str, dict[S, int]] = {}
        self._tree: dict[str, Any] = {}
        """The patterns, a level for each segment; what is at the last one stands under the separator."""
        self._of: dict[S, set[str]] = {}
        self._remembered: dict[str, dict[S, int]] = {}

    def __iter__(self) -> Iterator[str]:
        """All topics and patterns that somebody is subscribed to."""
        yield from self._exact
        yield from self._patterns

    def __len__(self) -> int:
        return len(self._exact) + len(self._patterns)

    def subscribers(self) -> list[S]:
        """All who are subscribed to something."""
        return list(self._of)

    def of(self, who: S, topic: str | None = None) -> list[str]:
        """What *who* is subscribed to, or what of it gets *topic*."""
        return [pattern for pattern in self._of.get(who, ()) if topic is None or matches(pattern, topic)]

    def count(self, pattern: str) -> int:
        """How many subscriptions of just this topic or pattern there are."""
        return sum((self._exact.get(pattern) or self._patterns.get(pattern, {})).values())

    def receivers(self, topic: str) -> Mapping[S, int]:
        """Who gets what is published to *topic*, and by how many subscriptions. Only to be looked at, and now."""
        found = (self._remembered if self._tree else self._exact).get(topic)
        if found is None:
            return self._find(topic) if self._tree else _NOBODY
        return found

    def set(self, who: S, pattern: str, number: int) -> None:
        """From now on *who* has so many subscriptions of *pattern*; 0 is none."""
        wild = is_pattern(pattern)
        table = self._patterns if wild else self._exact
        self.subscriptions += number - table.get(pattern, _NOBODY).get(who, 0)
        if number:
            table.setdefault(pattern, {})[who] = number
            self._of.setdefault(who, set()).add(pattern)
        elif pattern in self._of.get(who, ()):
            self._remove(table, who, pattern)
            self._of[who].discard(pattern)
            if not self._of[who]:
                del self._of[who]
        if wild:
            self._plant(pattern)
            self._remembered.clear()
        else:
            self._remembered.pop(pattern, None)

    def leave(self, who: S) -> None:
        """*who* has no subscriptions any more."""
        for pattern in self.of(who):
            self.set(who, pattern, 0)

    def _find(self, topic: str) -> dict[S, int]:
        found = dict(self._exact.get(topic, _NOBODY))
        nodes = [self._tree]
        for segment in topic.split(SEPARATOR):
            keys = (segment,) if segment == ANY else (segment, ANY)
            nodes = [node[key] for node in nodes for key in keys if key in node]
        for node in nodes:
            for who, number in node.get(SEPARATOR, _NOBODY).items():
                found[who] = found.get(who, 0) + number
        if len(self._remembered) >= REMEMBERED:
            self._remembered.clear()
        self._remembered[topic] = found
        return found

    def _remove(self, table: dict[str, dict[S, int]], who: S, pattern: str) -> None:
        del table[pattern][who]
        if not table[pattern]:
            del table[pattern]

    def _plant(self, pattern: str) -> None:
        """Have the tree agree with the table of patterns."""
        segments = pattern.split(SEPARATOR)
        path = [self._tree]
        for segment in segments:
            path.append(path[-1].setdefault(segment, {}))
        if pattern in self._patterns:
            path[-1][SEPARATOR] = self._patterns[pattern]
            return
        path[-1].pop(SEPARATOR, None)
        for node, segment in zip(reversed(path[:-1]), reversed(segments), strict=True):
            if node[segment]:
                break
            del node[segment]


_NOBODY: dict[Any, int] = {}
