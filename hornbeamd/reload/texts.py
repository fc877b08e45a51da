"""The texts of modules, read once for what they refer to."""

from __future__ import annotations

from collections.abc import Mapping

from hornbeamd.reload import graph
from hornbeamd.reload.noting import Stamp, digest


class Texts:
    """What texts refer to, remembered by their digests."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, bytes], graph.References] = {}

    def of(self, name: str, stamp: Stamp) -> graph.References:
        """What the module's text refers to, when it has not changed since that *stamp*."""
        known = self._known.get((name, stamp.sign))
        return self.read(name, stamp) if known is None else known

    def read(self, name: str, stamp: Stamp) -> graph.References:
        """What the text that is there now refers to. One that cannot be read will say why when it is loaded."""
        if stamp.path is None or not stamp.path.endswith(".py"):
            return graph.References()
        try:
            with open(stamp.path, "rb") as file:
                text = file.read()
            found = graph.references(text, name, package=stamp.is_package)
        except (OSError, SyntaxError, ValueError):
            return graph.References()
        self._known[name, digest(text)] = found
        return found

    def forget(self, loaded: Mapping[str, Stamp]) -> None:
        """Remember only what is loaded."""
        wanted = {(name, stamp.sign) for name, stamp in loaded.items()}
        self._known = {key: found for key, found in self._known.items() if key in wanted}
