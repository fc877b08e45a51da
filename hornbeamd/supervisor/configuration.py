"""The configuration as it runs, where each value of it comes from, and what a reload would change."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from hornbeamd.config import plan
from hornbeamd.config.options import TABLE, Options
from hornbeamd.config.resolve import Loaded
from hornbeamd.errors import ConfigError


class Configuration:
    """*loaded* is what the daemon started with; *read* gives it as it is now, and raises ConfigError."""

    def __init__(self, loaded: Loaded, read: Callable[[], Loaded]) -> None:
        self.file = loaded.file
        self._sources = dict(loaded.provenance)
        self._look = read
        self._latest = loaded

    def read(self) -> Loaded:
        """The configuration as it is now, for a reload. Raises ConfigError."""
        self._latest = self._look()
        return self._latest

    def adopt(self, kept: Iterable[str]) -> None:
        """What was read last is what runs now, but for the options *kept*."""
        kept = {key: self._sources[key] for key in kept}
        self._sources = {**self._latest.provenance, **kept}

    def shown(self, options: Options) -> list[dict[str, Any]]:
        """Each option: what it is in *options*, its default, where it comes from, and how a change applies."""
        return [
            {
                "key": option.key,
                "value": option.plain(option.of(options)),
                "default": None if option.required else option.plain(option.default),
                "source": self._sources[option.key],
                "apply": option.apply.name.lower(),
            }
            for option in TABLE
        ]

    def difference(self, options: Options) -> dict[str, Any]:
        """What a reload would change in *options*, and how; or what is wrong with the configuration."""
        try:
            wanted = self._look().options
        except ConfigError as error:
            return {"changes": [], "problems": list(error.problems)}
        changed = plan.plan(options, wanted)
        keys = {*changed.live, *changed.workers, *changed.restart}
        changes = [
            {
                "key": option.key,
                "from": option.plain(option.of(options)),
                "to": option.plain(option.of(wanted)),
                "apply": option.apply.name.lower(),
            }
            for option in TABLE
            if option.key in keys
        ]
        return {"changes": changes, "problems": []}
