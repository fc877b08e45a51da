"""From the options to the one handler that serves: applications, mounts, folders of files, and hooks around them.

In two steps, so that a spawner can take the first for all of its workers: :func:`load` imports what is the
application's, :func:`handler` puts together what serves.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from hornbeamd.apps import development, hooks, loader
from hornbeamd.apps.asgi import AsgiHandler
from hornbeamd.apps.hooks import Hooked, Hooks, Passage
from hornbeamd.apps.mounts import Mounted, Mounts, NotFound
from hornbeamd.apps.static import StaticFiles
from hornbeamd.apps.wsgi import WsgiHandler
from hornbeamd.config.mounts import Mount, mounted
from hornbeamd.config.options import Options
from hornbeamd.errors import AppLoadError
from hornbeamd.http.exchange import Exchange, Handler


@dataclass(frozen=True, slots=True)
class Site:
    """What was loaded: the application of each mount, None for a folder, in their order; and the hooks."""

    apps: tuple[Any, ...]
    hooks: Hooks | None = None

    @property
    def watch(self) -> Callable[[Exchange], None] | None:
        """Let the hooks see the answer to an exchange that comes to no handler; None where there are no hooks."""
        return None if self.hooks is None else self._watch

    def _watch(self, exchange: Exchange) -> None:
        assert self.hooks is not None
        exchange.hooks = Passage(self.hooks, exchange)


def load(options: Options) -> Site:
    """Import all applications and hooks. Raises AppLoadError, which names the mount or the hook."""
    mounts = mounted(options)
    apps = tuple(_load(mount, options) for mount in mounts)
    threads = any(mount.app and mount.worker_class == "wsgi" for mount in mounts)
    found = hooks.load(options.hooks, threads)
    return Site(apps, development.around(found) if options.reload.development else found)


def _load(mount: Mount, options: Options) -> Any:
    if not mount.app:
        return None
    try:
        app = loader.load(mount.app)
        if mount.worker_class == "wsgi" and _is_asynchronous(app):
            raise AppLoadError(f"{mount.app!r} is an ASGI application, and worker_class is wsgi: set it to asgi")
        return app
    except AppLoadError as error:
        if not options.mounts:
            raise
        raise AppLoadError(f"the mount {mount.prefix}: {error}") from error.__cause__


def _is_asynchronous(app: Any) -> bool:
    return inspect.iscoroutinefunction(app) or inspect.iscoroutinefunction(type(app).__call__)


def handler(site: Site, options: Options) -> Handler:
    """Put together what serves. A single application at "/" without hooks is served by its own handler alone."""
    mounts = mounted(options)
    handlers = [_handler(mount, app, site.hooks, options) for mount, app in zip(mounts, site.apps, strict=True)]
    if len(mounts) == 1 and mounts[0].prefix == "/" and mounts[0].timeout in (None, options.timeout):
        return handlers[0]
    bounds = [each.capacity for mount, each in zip(mounts, handlers, strict=True) if mount.app]
    return Mounts(
        [
            Mounted(mount.prefix, each, mount.timeout if mount.timeout != options.timeout else None)
            for mount, each in zip(mounts, handlers, strict=True)
        ],
        _behind(NotFound(), site.hooks, None),
        capacity=sum(bounds) if all(bounds) else 0,
    )


def _handler(mount: Mount, app: Any, found: Hooks | None, options: Options) -> Handler:
    prefix = mount.prefix.rstrip("/")
    if mount.directory is not None:
        return _behind(StaticFiles(mount.directory, prefix, options.root_path), found, mount.prefix)
    assert mount.timeout is not None
    assert mount.lifespan is not None
    own = replace(options, timeout=mount.timeout, lifespan=mount.lifespan)
    if mount.worker_class == "asgi":
        app = development.held(app) if options.reload.development else app
        return _behind(AsgiHandler(app, own, prefix), found, mount.prefix)
    return _behind(WsgiHandler(app, own, prefix), found, mount.prefix, in_thread=True)


def _behind(inner: Handler, found: Hooks | None, mount: str | None, *, in_thread: bool = False) -> Handler:
    return inner if found is None else Hooked(inner, found, mount, in_thread=in_thread)
