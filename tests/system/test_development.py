"""``hornbeamd --reload``: what is saved is loaded, what is broken is shown, and a repair heals it."""

from __future__ import annotations

import os
import urllib.error
import urllib.request
from pathlib import Path

from tests.support.daemon import Daemon

APP = """\
from views import greeting

async def application(scope, receive, send):
    if scope["type"] != "http":
        raise NotImplementedError
    broken = scope["path"] == "/broken"
    body = b"sorry" if broken else greeting().encode()
    await send({"type": "http.response.start", "status": 500 if broken else 200, "headers": []})
    await send({"type": "http.response.body", "body": body})
    if broken:  # frameworks raise behind their answer what was the reason
        raise RuntimeError("<b>what the <page> tells</b>")
"""

PAGE = {"Accept": "text/html,*/*;q=0.8", "Sec-Fetch-Mode": "navigate"}
SCRIPT = {"Accept": "text/html,*/*;q=0.8", "Sec-Fetch-Mode": "cors"}


def get(url: str, headers: dict[str, str] | None = None) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers or {}), timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def views(folder: Path, text: str) -> None:
    """Save the module as careful editors do, so that nobody reads a half of it."""
    (folder / "views.py.new").write_text(text)
    os.replace(folder / "views.py.new", folder / "views.py")


def test_writing_an_application_while_it_runs(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(APP)
    views(tmp_path, "def greeting():\n    return 'one'\n")
    with Daemon("app", "--worker-class", "asgi", "--reload", folder=tmp_path, ready=1) as daemon:
        assert get(daemon.url) == (200, "one")
        daemon.wait_log("watching")

        views(tmp_path, "def greeting():\n    return 'two'\n")
        daemon.wait(lambda: get(daemon.url) == (200, "two"), "the new code does not serve")

        # What the application raises: a page for who reads one, the application's own answer for all others.
        status, page = get(f"{daemon.url}/broken", PAGE)
        assert status == 500
        assert "RuntimeError: &lt;b&gt;what the &lt;page&gt; tells&lt;/b&gt;" in page
        assert "app.py" in page
        assert get(f"{daemon.url}/broken") == (500, "sorry")

        # A reload that is refused: pages that are opened tell why, everything else gets the old code.
        views(tmp_path, "def greeting(:\n    return 'three'\n")
        daemon.wait(lambda: get(daemon.url, PAGE)[0] == 500, "the page does not tell")
        assert "SyntaxError" in get(daemon.url, PAGE)[1]
        assert get(daemon.url) == get(daemon.url, SCRIPT) == (200, "two")

        views(tmp_path, "def greeting():\n    return 'four'\n")
        daemon.wait(lambda: get(daemon.url) == get(daemon.url, PAGE) == (200, "four"), "it is not healed")


def test_a_start_that_fails_waits_for_the_repair(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(APP)
    views(tmp_path, "def greeting(:\n    return 'one'\n")
    with Daemon("app", "--worker-class", "asgi", "--reload", folder=tmp_path) as daemon:
        daemon.wait_log("waiting for a file to be saved")
        daemon.wait_log("watching", count=2)
        status, page = get(daemon.urls[-1], PAGE)
        assert status == 500
        assert "SyntaxError" in page
        views(tmp_path, "def greeting():\n    return 'one'\n")
        daemon.wait_log("worker ready")
        assert get(daemon.urls[-1]) == (200, "one")


def test_a_repair_that_is_saved_while_the_start_still_fails(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(APP)
    repair = "open(__file__, 'w').write('def greeting():\\n    return \\'one\\'\\n')"
    views(tmp_path, f"{repair}\nraise ValueError('no database')\n")
    with Daemon("app", "--worker-class", "asgi", "--reload", folder=tmp_path) as daemon:
        daemon.wait_log("waiting for a file to be saved")
        daemon.wait_log("worker ready")
        assert get(daemon.urls[-1]) == (200, "one")


def test_elsewhere_nobody_is_shown_anything(tmp_path: Path) -> None:
    """Watched, but not developed."""
    (tmp_path / "app.py").write_text(APP)
    views(tmp_path, "def greeting():\n    return 'one'\n")
    arguments = ("--worker-class", "asgi", "--reload-watch", "--workers", "1")
    with Daemon("app", *arguments, folder=tmp_path, ready=1) as daemon:
        assert get(f"{daemon.url}/broken", PAGE) == (500, "sorry")
        daemon.wait_log("watching")
        views(tmp_path, "def greeting(:\n    return 'two'\n")
        daemon.wait_log("reload failed")
        assert get(daemon.url, PAGE) == (200, "one")
