"""From the options to the handler that serves (apps/site.py), and how hooks are loaded (apps/hooks.py)."""

import sys

import pytest

from hornbeamd.apps import site
from hornbeamd.apps.asgi import AsgiHandler
from hornbeamd.apps.hooks import Hooked
from hornbeamd.apps.mounts import Mounts
from hornbeamd.apps.static import StaticFiles
from hornbeamd.apps.wsgi import WsgiHandler
from hornbeamd.config.mounts import Mount
from hornbeamd.config.options import HookOptions, Options
from hornbeamd.errors import AppLoadError

MODULE = """
def wsgi(environ, start_response): ...
async def asgi(scope, receive, send): ...
def hook(*arguments): ...
async def later(*arguments): ...
class Object:
    def __call__(self, *arguments): ...
class Later:
    async def __call__(self, *arguments): ...
thing, later_thing = Object(), Later()
"""


@pytest.fixture(autouse=True)
def shop(tmp_path, monkeypatch):
    (tmp_path / "shop.py").write_text(MODULE)
    (tmp_path / "broken.py").write_text("import nothing_like_this")
    monkeypatch.syspath_prepend(tmp_path)
    yield
    for name in ("shop", "broken"):
        sys.modules.pop(name, None)


def handler(**options):
    chosen = Options(**options)
    return site.handler(site.load(chosen), chosen)


def test_a_single_application_is_served_by_its_own_handler_alone():
    assert type(handler(app="shop:wsgi")) is WsgiHandler
    assert type(handler(app="shop:asgi", worker_class="asgi")) is AsgiHandler
    assert type(handler(mounts=(Mount(prefix="/", directory="/"),))) is StaticFiles
    assert site.load(Options(app="shop:wsgi")).watch is None


def test_with_hooks_they_stand_before_it():
    options = Options(app="shop:wsgi", hooks=HookOptions(on_request="shop:hook"))
    loaded = site.load(options)
    assert type(site.handler(loaded, options)) is Hooked
    assert loaded.watch is not None


def test_several_are_mounts():
    mount = Mount(prefix="/a", app="shop:asgi", worker_class="asgi")
    assert type(handler(app="shop:wsgi", mounts=(mount,))) is Mounts
    assert type(handler(mounts=(Mount(prefix="/a", app="shop:wsgi"),))) is Mounts


@pytest.mark.parametrize("name", ["asgi", "later_thing"])
def test_an_asgi_application_is_not_served_as_wsgi(name):
    with pytest.raises(AppLoadError, match=rf"^'shop:{name}' is an ASGI application"):
        site.load(Options(app=f"shop:{name}"))
    with pytest.raises(AppLoadError, match=rf"^the mount /a: 'shop:{name}' is an ASGI application"):
        site.load(Options(mounts=(Mount(prefix="/a", app=f"shop:{name}"),)))
    assert site.load(Options(app="shop:wsgi")).apps


@pytest.mark.parametrize(
    ("kinds", "capacity"),
    [(("wsgi",), 3), (("wsgi", "wsgi"), 6), (("wsgi", "asgi"), 0), (("asgi",), 0), (("wsgi", None), 3), ((None,), 0)],
)
def test_what_can_be_served_at_once(kinds, capacity):
    """Where every application has threads, all of them; folders need none."""
    mounts = tuple(
        Mount(prefix=f"/{number}", app=f"shop:{kind}", worker_class=kind)
        if kind
        else Mount(prefix=f"/{number}", directory="/")
        for number, kind in enumerate(kinds)
    )
    assert handler(mounts=mounts, threads=3).capacity == capacity


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"app": "nothing"}, "there is no module 'nothing'"),
        ({"mounts": (Mount(prefix="/a", app="nothing"),)}, "the mount /a: there is no module 'nothing'"),
        ({"app": "shop:wsgi", "mounts": (Mount(prefix="/a", app="shop:wsgj"),)}, "the mount /a: .*did you mean 'wsgi'"),
        ({"app": "nothing", "mounts": (Mount(prefix="/a", app="shop:wsgi"),)}, "the mount /: there is no module"),
    ],
)
def test_an_application_that_cannot_be_loaded_is_named(options, error):
    with pytest.raises(AppLoadError, match=error):
        site.load(Options(**options))


def test_the_applications_own_error_is_the_cause():
    with pytest.raises(AppLoadError) as caught:
        site.load(Options(mounts=(Mount(prefix="/a", app="broken:app"),)))
    assert isinstance(caught.value.__cause__, ModuleNotFoundError)


@pytest.mark.parametrize("name", ["on_request", "on_response", "on_error"])
@pytest.mark.parametrize(
    ("spec", "error"),
    [
        ("nothing:hook", "there is no module 'nothing'"),
        ("shop:hok", "did you mean 'hook'"),
        ("shop:MODULE", "has no attribute"),
    ],
)
def test_a_hook_that_cannot_be_loaded_is_named(name, spec, error):
    with pytest.raises(AppLoadError, match=rf"hooks\.{name}: .*{error}"):
        site.load(Options(app="shop:wsgi", hooks=HookOptions(**{name: spec})))


@pytest.mark.parametrize("spec", ["shop:later", "shop:later_thing"])
def test_coroutine_functions_are_refused_where_they_cannot_be_awaited(spec):
    for name in ("on_request", "on_response", "on_error"):
        hooks = HookOptions(**{name: spec})
        with pytest.raises(AppLoadError, match=rf"hooks\.{name}: '{spec}' is a coroutine function"):
            site.load(Options(app="shop:wsgi", hooks=hooks))
        mixed = Options(app="shop:asgi", worker_class="asgi", hooks=hooks)
        if name == "on_response":
            with pytest.raises(AppLoadError, match="expected a plain one"):
                site.load(mixed)
        else:
            assert site.load(mixed).hooks is not None
    mounts = (Mount(prefix="/a", app="shop:wsgi", worker_class="wsgi"),)
    with pytest.raises(AppLoadError, match="threads of a WSGI application"):
        site.load(Options(app="shop:asgi", worker_class="asgi", mounts=mounts, hooks=HookOptions(on_request=spec)))


@pytest.mark.parametrize("spec", ["shop:hook", "shop:thing"])
def test_plain_functions_and_objects_are_hooks(spec):
    assert site.load(Options(app="shop:wsgi", hooks=HookOptions(on_request=spec))).hooks.on_request is not None
