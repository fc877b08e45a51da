"""An error as a page for the browser of whoever writes the application. Nobody else should get to see it."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

HEADERS = [("content-type", "text/html; charset=utf-8"), ("cache-control", "no-store")]

_PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">{again}
<title>{title}</title>
<style>
  :root {{ color-scheme: light dark }}
  body {{ font: 16px/1.5 system-ui, sans-serif; margin: 3rem auto; max-width: 60rem; padding: 0 1rem }}
  h1 {{ font-size: 1.3rem; overflow-wrap: anywhere }}
  pre {{ border: 1px solid; border-left: 4px solid #c00; overflow: auto; padding: 1rem }}
</style>
<h1>{title}</h1>
<p>{what}</p>
<pre>{text}</pre>
</html>
"""


def render(text: str, what: str, *, again: bool = False) -> bytes:
    """A page with *text*, a traceback whose last line is its title, below *what* it means; *again* has the browser
    look again every second."""
    title = text.rstrip().rpartition("\n")[2]
    refresh = '\n<meta http-equiv="refresh" content="1">' if again else ""
    page = _PAGE.format(title=escape(title), what=escape(what), text=escape(text), again=refresh)
    return page.encode(errors="backslashreplace")


def takes_pages(headers: Iterable[tuple[bytes, bytes]]) -> bool:
    """Whether these headers are those of a browser that asks for something to show."""
    return any(name == b"accept" and b"text/html" in value for name, value in headers)


def opens_page(method: str, headers: Iterable[tuple[bytes, bytes]]) -> bool:
    """Whether the request is for a page to be opened, and not one that a page's script makes (Fetch Metadata)."""
    headers = list(headers)
    modes = [value for name, value in headers if name == b"sec-fetch-mode"]
    return method == "GET" and takes_pages(headers) and modes in ([], [b"navigate"])
