"""What is mounted where: the tables of the option ``mounts``, and ``app`` among them."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from hornbeamd.config.amounts import Duration
from hornbeamd.config.kind import Kind
from hornbeamd.config.kinds import Choice, Matching, Maybe, Path, app_spec
from hornbeamd.config.tables import key

if TYPE_CHECKING:
    from hornbeamd.config.options import Options

# No percent sign and no dot segments: a prefix is compared with paths that are decoded already.
_PREFIX = re.compile(r"/|(/(?!\.{1,2}(/|$))[^/?#%\\]+)+")


def _prefix() -> Kind:
    return Matching('a path such as "/api", or "/"; it begins with "/" and does not end with it', _PREFIX)


@dataclass(frozen=True, slots=True, kw_only=True)
class Mount:
    """A table of ``mounts``; as :func:`mounted` gives it, nothing that an application needs is None."""

    prefix: str = key(_prefix(), "The path below which it is: /api also serves /api/ and /api/x, not /apiv2.")
    app: str = key(app_spec(), "The application, as in the option app.", "")
    directory: str | None = key(
        Maybe(Path("the path of a folder")), "In place of an application: a folder whose files are served.", None
    )
    worker_class: Literal["wsgi", "asgi"] | None = key(
        Maybe(Choice(("wsgi", "asgi"))), "The interface of the application; when empty, the option worker_class.", None
    )
    timeout: float | None = key(
        Maybe(Duration("ms")), "How long a request may take to begin its answer; when empty, the option timeout.", None
    )
    lifespan: Literal["auto", "on", "off"] | None = key(
        Maybe(Choice(("auto", "on", "off"))),
        "As the option lifespan, for this application; when empty, that one.",
        None,
    )


def mounted(options: Options) -> tuple[Mount, ...]:
    """All that is served, ``app`` as the mount at "/", each with the options that it takes from the server."""
    mounts = options.mounts
    if options.app:
        mounts = (Mount(prefix="/", app=options.app), *mounts)
    return tuple(
        replace(
            mount,
            worker_class=mount.worker_class or options.worker_class,
            timeout=mount.timeout or options.timeout,
            lifespan=mount.lifespan or options.lifespan,
        )
        for mount in mounts
    )
