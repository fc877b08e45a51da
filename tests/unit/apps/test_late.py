"""What is imported before the first request (apps/late.py), with a stand-in for Django."""

import sys
from types import ModuleType, SimpleNamespace

import pytest

from hornbeamd.apps import late
from hornbeamd.errors import AppLoadError


class Resolver:
    def __init__(self) -> None:
        self.asked = 0

    @property
    def url_patterns(self) -> list[str]:
        self.asked += 1
        if self.asked > 1:
            raise SyntaxError("never closed")
        return []


class Unconfigured:
    def __getattr__(self, name: str) -> str:
        raise RuntimeError("settings are not configured")


def install(monkeypatch: pytest.MonkeyPatch, *names: str, ready: bool = True, **settings: str) -> Resolver:
    """Have a Django of which the modules *names* were imported; gives what has its URLs. It is *ready* when it has made
    an application."""
    resolver = Resolver()
    contents = {
        "django.apps": {"apps": SimpleNamespace(ready=ready)},
        "django.conf": {"settings": SimpleNamespace(**settings) if ready else Unconfigured()},
        "django.urls": {"get_resolver": lambda: resolver},
    }
    for name in ("django.core.wsgi", "django.core.asgi"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    for name in ("django", "django.apps", "django.conf", "django.urls", *names):
        module = ModuleType(name)
        vars(module).update(contents.get(name, {}))
        monkeypatch.setitem(sys.modules, name, module)
    return resolver


@pytest.mark.parametrize("interface", ["django.core.wsgi", "django.core.asgi"])
def test_the_urls_of_django_are_and_what_they_raise_is_told(monkeypatch: pytest.MonkeyPatch, interface: str) -> None:
    resolver = install(monkeypatch, interface, ROOT_URLCONF="site.urls")
    late.load()
    assert resolver.asked == 1
    with pytest.raises(AppLoadError, match="the URLs of Django could not be imported: SyntaxError: never closed"):
        late.load()


def test_they_are_not_where_django_answers_no_requests_or_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    for resolver in (
        install(monkeypatch, ROOT_URLCONF="site.urls"),
        install(monkeypatch, "django.core.wsgi"),
        install(monkeypatch, "django.core.wsgi", ready=False),
    ):
        late.load()
        assert resolver.asked == 0
