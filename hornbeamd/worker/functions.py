"""The functions of the configuration, which every web worker offers to all processes."""

from __future__ import annotations

from hornbeamd.apps import loader
from hornbeamd.config.options import Options
from hornbeamd.errors import AppLoadError
from hornbeamd.node.offers import Offers


def register(options: Options, offers: Offers) -> None:
    """Import the functions and register them. Raises AppLoadError."""
    for name, spec in options.functions:
        try:
            offers.register_function(name, loader.load(spec))
        except AppLoadError as error:
            raise AppLoadError(f"functions.{name}: {error}") from error.__cause__
