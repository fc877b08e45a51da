"""How often each page was seen, counted over all workers: a WSGI application."""

import json

from hornbeam_erlang import state_get_multi, state_incr

PAGES = {"/": "home", "/about": "about", "/news": "news"}
"""What is counted. Clients choose paths, and must not fill the state with keys of their own."""


def application(environ, start_response):
    path = environ["PATH_INFO"]
    if path == "/counts":
        return answer(start_response, "200 OK", json.dumps(counts()), "application/json")
    if path not in PAGES:
        return answer(start_response, "404 Not Found", "Nothing here\n")
    if environ["REQUEST_METHOD"] != "GET":
        return answer(start_response, "405 Method Not Allowed", "GET, please\n")
    views = state_incr(f"views:{PAGES[path]}")  # atomic: no view is lost, whichever worker counts it
    return answer(start_response, "200 OK", f"The page {PAGES[path]!r}, seen {views} times\n")


def counts():
    """The views of all pages, as of one moment."""
    found = state_get_multi(f"views:{page}" for page in PAGES.values())
    return {page: found[f"views:{page}"] or 0 for page in PAGES.values()}


def answer(start_response, status, text, kind="text/plain; charset=utf-8"):
    body = text.encode()
    start_response(status, [("Content-Type", kind), ("Content-Length", str(len(body)))])
    return [body]
