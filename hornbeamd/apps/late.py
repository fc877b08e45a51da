"""What a framework leaves for the first request to import, imported before a process serves.

Else a process that has had no request yet would import what is on disk by then: a file that is just being edited, or
one that a reload has refused.
"""

from __future__ import annotations

import importlib
import sys

from hornbeamd.errors import AppLoadError


def load() -> None:
    """Import the URLs of Django, where it has made an application. Raises AppLoadError."""
    if not {"django.core.wsgi", "django.core.asgi"} & sys.modules.keys():
        return
    try:
        if not importlib.import_module("django.apps").apps.ready:  # who makes the application later has no settings yet
            return
        if getattr(importlib.import_module("django.conf").settings, "ROOT_URLCONF", None):
            _ = importlib.import_module("django.urls").get_resolver().url_patterns
    except (Exception, SystemExit) as error:
        raise AppLoadError(f"the URLs of Django could not be imported: {type(error).__name__}: {error}") from error
